/**
 * What a member that has left can still read (WIRE.md 10). It keeps its keys and listens to everything that the others send,
 * with the receiver that it had, and never drops a set.
 */
import { describe, expect, it } from 'vitest';
import { MIN_SET_INTERVAL_MS, SET_SEND_DELAY_MS } from '../../../src/base/limits.js';
import { Secret } from '../../../src/base/secret.js';
import type { Effect } from '../../../src/conference/contract.js';
import { EktReceiver } from '../../../src/srtp/ekt-receiver.js';
import { EktSender } from '../../../src/srtp/ekt-sender.js';
import type { GroupSet } from '../../../src/srtp/group-set.js';
import { writeRtpHeader } from '../../../src/wire/rtp.js';
import { audioOf, Driver, ofType, seeded, videoOf } from './helpers.js';

const SSRC = 0x11223301;
const READABLE_MS = 30_000;

/** Seconds after the leave at which the leaver still decrypts what member 1 sends. */
function readableFor(options: {
  readonly leavesAfterMs: number;
  readonly ackAfterMs: number;
  readonly seed: number;
}): number[] {
  const random = seeded(options.seed);
  const bytes = (length: number) => Uint8Array.from({ length }, () => random.int(256));
  const d = new Driver();
  const sets = new Map<number, GroupSet>();
  const leaver = new EktReceiver();
  let present = true;
  const acks: { readonly at: number; readonly channel: number; readonly spiWord: number }[] = [];
  const take = (effects: readonly Effect[]) => {
    for (const { spiWord } of ofType(effects, 'make-set')) {
      sets.set(spiWord, {
        spiWord,
        suite: 1,
        cipher: 1,
        kek: new Secret(bytes(16)),
        masterSalt: new Secret(bytes(14)),
      });
    }
    for (const { channel, spiWord } of ofType(effects, 'send-set')) {
      if (present && channel === audioOf(3)) expect(leaver.addSet(sets.get(spiWord)!).ok).toBe(true);
      acks.push({ at: d.now + (channel < 30 ? options.ackAfterMs : 10), channel, spiWord });
    }
  };
  let activate: { readonly at: number; readonly spiWord: number } | undefined;
  const pass = (ms: number) => {
    const end = d.now + ms;
    while (d.now < end) {
      const next = Math.min(end, ...acks.map(({ at }) => at));
      take(d.advance(Math.max(0, next - d.now)));
      for (const ack of acks.filter(({ at }) => at <= d.now)) {
        acks.splice(acks.indexOf(ack), 1);
        if (!d.state.owners.has(ack.channel)) continue;
        take(d.send({ type: 'set-acked', channel: ack.channel, spiWord: ack.spiWord }));
        const waits = acks.some(({ channel, spiWord }) => channel < 20 && spiWord === ack.spiWord);
        if (ack.channel < 20 && !waits) activate = { at: d.now + SET_SEND_DELAY_MS, spiWord: ack.spiWord };
      }
    }
  };
  for (const member of [1, 2, 3]) {
    take(d.join(member));
    for (const channel of [audioOf(member), videoOf(member)]) {
      take(d.keyed(channel));
      take(d.negotiated(channel));
    }
    pass(options.ackAfterMs);
  }
  const first = d.state.sets.live.at(-1)!.spiWord;
  let using = first;
  const sender = new EktSender({ ssrc: SSRC, sequence: 1, set: sets.get(first)!, key: new Secret(bytes(16)) });
  pass(options.leavesAfterMs);

  present = false;
  take(d.leave(3));
  const left = d.now;
  const readable: number[] = [];
  for (let second = 0; second <= 60; second++) {
    if (activate !== undefined && activate.at <= d.now && activate.spiWord > using) {
      using = activate.spiWord;
      sender.rekey(sets.get(using)!, new Secret(bytes(16)));
    }
    const fields = { marker: false, payloadType: 96, timestamp: second, ssrc: SSRC, csrcs: [0x11] };
    const header = writeRtpHeader({ ...fields, sequence: sender.sequence });
    const packet = sender.protectRtp(header, bytes(100), { full: true });
    // The switch relays what is under a set that it still accepts, and the leaver taps the wire.
    const relayed = d.state.sets.live.some(({ spiWord }) => spiWord === using);
    expect(relayed, 'the sender is cut off').toBe(true);
    if (leaver.receiveRtp(packet, d.now).ok) readable.push(d.now - left);
    pass(1_000);
  }
  return readable;
}

describe('attack: a member that left goes on listening with all its keys', () => {
  for (const leavesAfterMs of [1_000, MIN_SET_INTERVAL_MS / 2, MIN_SET_INTERVAL_MS, 60_000]) {
    for (const ackAfterMs of [10, 3_000, 9_000]) {
      it(`left ${leavesAfterMs} ms after the last set, the others ACK in ${ackAfterMs} ms: nothing decrypts 30 s later`, () => {
        const readable = readableFor({ leavesAfterMs, ackAfterMs, seed: leavesAfterMs + ackAfterMs });
        // It really has the keys: what was sent at once it reads.
        expect(readable).toContain(0);
        expect(readable.filter((ms) => ms >= READABLE_MS)).toEqual([]);
      });
    }
  }
});
