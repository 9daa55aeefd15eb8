/** Each test is a threat to WIRE.md 9; a refused packet must leave no trace in the state. */
import { describe, expect, it } from 'vitest';
import { concat } from '../../../src/base/bytes.js';
import { RELAY_CLAIM_INTERVAL_MS } from '../../../src/base/limits.js';
import type { DropName, RelayEvent } from '../../../src/relay/contract.js';
import type { RelayCore } from '../../../src/relay/harness.js';
import { addMember, bytesOf, CONFERENCE, installSet, PARAMETERS, PEER, room, testSet, WORD } from './room.js';
import { TestSender } from './sender.js';

const T = 1_000;

function refused(
  core: RelayCore,
  channel: number,
  bytes: Uint8Array,
  drop: DropName,
  now = T,
  events: readonly RelayEvent[] = [],
): void {
  const before = core.stateHash();
  const counted = core.counters().drops[drop];
  const outcome = core.feed(channel, bytes, now);
  expect(outcome.drop).toBe(drop);
  expect(outcome.outputs).toEqual([]);
  expect(outcome.events).toEqual(events);
  expect(core.stateHash()).toBe(before);
  expect(core.counters().drops[drop]).toBe(counted + 1);
}

function accepted(core: RelayCore, channel: number, bytes: Uint8Array, now = T): void {
  const before = core.stateHash();
  expect(core.feed(channel, bytes, now).drop).toBeUndefined();
  expect(core.stateHash()).not.toBe(before);
}

const full = { word: WORD, trailing: 0, full: true };
const short = { word: WORD, trailing: 0 };

describe('a forger on the path', () => {
  it('flips any single bit of a Full packet and none of them is accepted or leaves a trace', () => {
    const { core, sender } = room();
    accepted(core, 1, sender.rtp({ ...full, sequence: 9, isn: 9 }));
    const good = sender.rtp({ ...full, sequence: 10, isn: 9, payload: bytesOf(3, 9) });
    const seen = new Set<string>();
    for (let bit = 0; bit < good.length * 8; bit++) {
      const forged = Uint8Array.from(good);
      forged[bit >> 3]! ^= 1 << (bit & 7);
      const before = core.stateHash();
      const outcome = core.feed(1, forged, T);
      expect([bit, outcome.drop === undefined]).toEqual([bit, false]);
      expect(core.stateHash()).toBe(before);
      seen.add(outcome.drop!);
    }
    expect(seen).toContain('auth_failed');
    accepted(core, 1, good);
  });

  it('flips any single bit of a Short packet: only the unused bits of the last byte do not matter, and they go out as 0', () => {
    const { core, sender } = room();
    accepted(core, 1, sender.rtp({ ...full, sequence: 9, isn: 9 }));
    const good = sender.rtp({ ...short, sequence: 10 });
    for (let bit = 0; bit < (good.length - 1) * 8 + 1; bit++) {
      const forged = Uint8Array.from(good);
      forged[bit >> 3]! ^= 1 << (bit & 7);
      const before = core.stateHash();
      expect([bit, core.feed(1, forged, T).drop === undefined]).toEqual([bit, false]);
      expect(core.stateHash()).toBe(before);
    }
    good[good.length - 1] = 0xfe;
    expect(core.feed(1, good, T).outputs[0]!.bytes).toEqual(sender.switched({ ...short, sequence: 10 }, 1, 96));
  });

  it('splices the key block of one packet onto another packet', () => {
    const { core, sender, set } = room();
    accepted(core, 1, sender.rtp({ ...full, sequence: 10, isn: 10 }));
    const other = new TestSender(0xa1, bytesOf(2, 16), set);
    const one = sender.rtp({ ...full, sequence: 11, isn: 10 });
    const two = other.rtp({ ...full, sequence: 12, isn: 12 });
    refused(core, 1, concat(one.slice(0, -24), two.slice(-24)), 'auth_failed');
    refused(core, 1, concat(two.slice(0, -24), one.slice(-24)), 'auth_failed');
    accepted(core, 1, one);
  });

  it('moves a packet of one SSRC to another SSRC', () => {
    const { core, sender } = room();
    const moved = sender.rtp({ ...full, sequence: 10, isn: 10 });
    moved[11] = 0xa2;
    refused(core, 1, moved, 'auth_failed');
  });

  it('invents a key: any 16 bytes unwrap to something, nothing of it is kept', () => {
    const { core, sender } = room();
    accepted(core, 1, sender.rtp({ ...full, sequence: 10, isn: 10 }));
    const forged = sender.rtp({ ...full, sequence: 11, isn: 11 });
    forged[forged.length - 20]! ^= 0x55;
    refused(core, 1, forged, 'auth_failed');
    accepted(core, 1, sender.rtp({ ...short, sequence: 11 }));
  });

  it('claims a ROC far ahead in a Full tag', () => {
    const { core, sender } = room();
    accepted(core, 1, sender.rtp({ ...full, sequence: 10, isn: 10 }));
    const forged = sender.rtp({ ...full, sequence: 11, isn: 10 });
    forged[forged.length - 8 + 3] = 9;
    refused(core, 1, forged, 'auth_failed');
    accepted(core, 1, sender.rtp({ ...short, sequence: 12 }));
  });
});

describe('a replayer', () => {
  it('sends a packet twice, Full and Short', () => {
    const { core, sender } = room();
    const one = sender.rtp({ ...full, sequence: 10, isn: 10 });
    const two = sender.rtp({ ...short, sequence: 11 });
    accepted(core, 1, one);
    accepted(core, 1, two);
    refused(core, 1, one, 'replayed');
    refused(core, 1, two, 'replayed');
  });

  it('comes back after the window has moved on: 1023 behind is new, 1024 behind is too old', () => {
    const { core, sender } = room();
    accepted(core, 1, sender.rtp({ ...full, sequence: 2000, isn: 1 }));
    accepted(core, 1, sender.rtp({ ...short, sequence: 2000 - 1023 }));
    refused(core, 1, sender.rtp({ ...short, sequence: 2000 - 1024 }), 'too_old');
    refused(core, 1, sender.rtp({ ...full, sequence: 2000 - 1024, isn: 1 }), 'too_old');
  });

  it('replays media RTCP', () => {
    const { core, sender } = room();
    const sr = sender.rtcp({ isn: 10 });
    accepted(core, 1, sr);
    refused(core, 1, sr, 'replayed');
  });
});

describe('another member of the conference', () => {
  it('cannot send under the SSRC of somebody else, even with the right group key', () => {
    const { core, sender, set } = room();
    accepted(core, 1, sender.rtp({ ...full, sequence: 10, isn: 10 }));
    const thief = new TestSender(0xa1, bytesOf(5, 16), set);
    const claimed: RelayEvent = { type: 'claimed', channel: 2, ssrc: 0xa1, owner: 1 };
    refused(core, 2, thief.rtp({ ...full, sequence: 10, isn: 10 }), 'ssrc_owned', T, [claimed]);
    // Told at once, then once an interval: the flood of a thief is not the main thread's.
    refused(core, 2, thief.rtcp({ isn: 10 }), 'ssrc_owned');
    // The owner's own packet, sent from the wrong channel, is refused as well.
    refused(core, 2, sender.rtp({ ...full, sequence: 11, isn: 10 }), 'ssrc_owned');
    refused(core, 2, sender.rtp({ ...short, sequence: 11 }), 'no_key');
    refused(core, 2, thief.rtcp({ isn: 10 }), 'ssrc_owned', T + RELAY_CLAIM_INTERVAL_MS, [claimed]);
    const { events } = core.tick(T + 1_000);
    expect(events).toContainEqual({ type: 'refusals', channel: 2, drop: 'ssrc_owned', count: 4, ssrc: 0xa1 });
  });

  it('may have the SSRC once the channel that held it is closed', () => {
    const { core, sender } = room();
    accepted(core, 1, sender.rtp({ ...full, sequence: 10, isn: 10 }));
    core.closeChannel(1);
    accepted(core, 2, sender.rtp({ ...full, sequence: 11, isn: 10 }));
  });

  it('cannot send from a position outside its mask, from position 0, or from another one than at binding', () => {
    const { core, sender } = room();
    for (const position of [0, 4, 15]) {
      const word = (WORD & ~0xf0) | (position << 4);
      refused(core, 1, sender.rtp({ ...full, word, sequence: 10, isn: 10 }), 'bad_position');
    }
    accepted(core, 1, sender.rtp({ ...full, sequence: 10, isn: 10 }));
    const word = (WORD & ~0xf0) | (2 << 4);
    refused(core, 1, sender.rtp({ ...full, word, sequence: 11, isn: 10 }), 'bad_position');
  });

  it('cannot open more streams than the limit, and those that are open go on', () => {
    const { core, set } = room();
    const senders = Array.from({ length: 17 }, (_, i) => new TestSender(0x101 + i, bytesOf(i, 16), set));
    for (const s of senders.slice(0, 16)) accepted(core, 1, s.rtp({ ...full, sequence: 1, isn: 1 }));
    refused(core, 1, senders[16]!.rtp({ ...full, sequence: 1, isn: 1 }), 'stream_limit');
    refused(core, 1, senders[16]!.rtcp({ isn: 1 }), 'stream_limit');
    accepted(core, 1, senders[0]!.rtp({ ...short, sequence: 2 }));
  });

  it('cannot send under a set that it has not acknowledged, nor under one that is unknown or dropped', () => {
    const { core, sender } = room();
    const unknown = new TestSender(0xa2, bytesOf(2, 16), testSet(0x3001));
    refused(core, 1, unknown.rtp({ ...full, sequence: 1, isn: 1 }), 'unknown_spi');
    installSet(core, unknown.set, [2, 3]);
    refused(core, 1, unknown.rtp({ ...full, sequence: 1, isn: 1 }), 'unknown_spi');
    core.setAcked(1, 0x3001);
    accepted(core, 1, unknown.rtp({ ...full, sequence: 1, isn: 1 }));
    accepted(core, 1, sender.rtp({ ...full, sequence: 1, isn: 1 }));
    core.dropSet(CONFERENCE, 0x1235);
    refused(core, 1, sender.rtp({ ...full, sequence: 2, isn: 1 }), 'unknown_spi');
    refused(core, 1, sender.rtp({ ...short, sequence: 2 }), 'no_key');
  });
});

describe('what does not fit or is not due yet', () => {
  it('has its own name', () => {
    const { core, sender } = room();
    const good = sender.rtp({ ...full, sequence: 10, isn: 10 });
    refused(core, 1, Uint8Array.of(), 'unknown_protocol');
    refused(core, 1, Uint8Array.of(0, 1, 2), 'unknown_protocol');
    refused(core, 1, Uint8Array.of(64, 1, 2), 'unknown_protocol');
    refused(core, 1, Uint8Array.of(0x80), 'malformed');
    refused(core, 1, good.slice(0, 15), 'malformed');
    refused(core, 1, concat(good.slice(0, 16), good.slice(-34)), 'malformed'); // no trailing byte
    refused(core, 1, concat(good, new Uint8Array(1501)).slice(0, 1501), 'malformed');
    const extension = Uint8Array.from(good);
    extension[0]! |= 0x10;
    refused(core, 1, extension, 'malformed');
    refused(core, 1, sender.rtp({ ...full, word: undefined, sequence: 10, isn: 10 }), 'no_multiplex_word');
    const control = new TestSender(0xa100, bytesOf(1, 16), sender.set);
    refused(core, 1, control.rtp({ ...full, sequence: 10, isn: 10 }), 'malformed');
    refused(core, 1, sender.rtcp({ isn: 10, encrypted: false }), 'malformed');
    refused(core, 1, sender.rtp({ ...short, sequence: 11 }), 'no_key');
    accepted(core, 1, good);
  });

  it('media waits until the endpoint is proven at the level of the conference', () => {
    const { core, sender } = room();
    const good = sender.rtp({ ...full, sequence: 10, isn: 10 });
    for (const not of [{ ready: false }, { level: 'unknown' as const }, { level: 'hop-by-hop' as const }]) {
      core.setParameters(1, { ...PARAMETERS, ...not });
      refused(core, 1, good, 'not_ready');
      refused(core, 1, sender.rtcp({ isn: 10 }), 'not_ready');
    }
    core.setParameters(1, PARAMETERS);
    accepted(core, 1, good);
    core.openChannel({ channel: 9, conference: CONFERENCE, member: 9, media: 'audio', transport: 'dtls' });
    refused(core, 9, good, 'not_ready');
    core.provePeer(9, PEER);
    core.setParameters(9, PARAMETERS);
    refused(core, 9, good, 'not_ready'); // no keys
  });

  it('a stranger changes nothing once the peer is proven, whatever it sends', () => {
    const { core, sender } = room();
    const good = sender.rtp({ ...full, sequence: 10, isn: 10 });
    for (const bytes of [good, sender.rtcp({ isn: 10 }), Uint8Array.of(22, 254, 253, 0)]) {
      for (const from of [
        { address: '192.0.2.1', port: 4001 },
        { address: '192.0.2.2', port: 4000 },
      ]) {
        const before = core.stateHash();
        const outcome = core.feed(1, bytes, T, from);
        expect(outcome).toEqual({ drop: 'unknown_source', events: [], outputs: [] });
        expect(core.stateHash()).toBe(before);
      }
    }
    accepted(core, 1, good);
  });

  it('an endpoint that comes later has no key for a Short packet, and gets what it needs with ROC 5 from a Full one', () => {
    const { core, set } = room();
    addMember(core, 4, 'audio');
    core.setAcked(4, set.spiWord);
    const late = new TestSender(0xb1, bytesOf(8, 16), set);
    refused(core, 4, late.rtp({ ...short, roc: 5, sequence: 99 }), 'no_key');
    accepted(core, 4, late.rtp({ ...full, roc: 5, sequence: 100 }));
    accepted(core, 4, late.rtp({ ...short, roc: 5, sequence: 101 }));
    refused(core, 4, late.rtp({ ...short, roc: 4, sequence: 102 }), 'auth_failed');
    refused(core, 4, late.rtp({ ...full, roc: 4, sequence: 103 }), 'too_old');
  });
});
