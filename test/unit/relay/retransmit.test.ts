/** NACKs and receiver reports through the relay's JavaScript face; the cases are in native/test/retransmit_test.cc. */
import { describe, expect, it } from 'vitest';
import { concat, toHex } from '../../../src/base/bytes.js';
import {
  RELAY_REPORT_INTERVAL_MS,
  RELAY_RETRANSMIT_AGE_MS,
  RELAY_RETRANSMIT_REQUEST_BURST,
  RELAY_RETRANSMIT_REQUESTS_PER_SECOND,
} from '../../../src/base/limits.js';
import { buildControlCompound, writeNack, writePli } from '../../../src/wire/rtcp-write.js';
import { mesh, PARAMETERS, type Room, remoteKeys, room, WORD } from './room.js';
import { protectControl } from './sender.js';

const CONTROL_SSRC = 0x55667700;
const VIDEO = 0xa1;

function video(): Room {
  return room({ media: 'video' });
}

function send({ core, sender }: Room, from: number, to: number, now: number) {
  const outputs: { receiver: number; bytes: Uint8Array }[] = [];
  for (let sequence = from; sequence <= to; sequence++) {
    const first = sequence === from;
    const packet = sender.rtp({ sequence, isn: 1, full: first, word: WORD, trailing: first ? 1 : 0 });
    const fed = core.feed(1, packet, now);
    expect(fed.drop).toBeUndefined();
    outputs.push(...fed.outputs);
  }
  return outputs;
}

let index = 0;
function nack({ core }: Room, channel: number, pids: readonly number[], now: number, blp = 0) {
  const request = writeNack(
    CONTROL_SSRC,
    VIDEO,
    pids.map((pid) => ({ pid, blp })),
  );
  const compound = buildControlCompound({ ssrc: CONTROL_SSRC, cname: 'endpoint' }, [request]);
  return core.feed(channel, protectControl(remoteKeys(channel), compound, ++index), now);
}

describe('a NACK', () => {
  it('is answered in the relay with the bytes that the receiver got, and reaches no other thread', () => {
    const r = video();
    const sent = send(r, 1, 4, 0).filter(({ receiver }) => receiver === 2);
    const { outputs, events, drop } = nack(r, 2, [2], 30, 1);
    expect(drop).toBeUndefined();
    expect(events).toEqual([]);
    expect(outputs.map((o) => [o.receiver, toHex(o.bytes)])).toEqual(sent.slice(1, 3).map((o) => [2, toHex(o.bytes)]));
    expect(r.core.counters()).toMatchObject({ retransmitted: 2, retransmitUnknown: 0, retransmitLimited: 0 });
    expect(r.core.channelCounters(2)).toMatchObject({ retransmitted: 2, packetsOut: 6 });
  });

  it('with a PLI beside it is answered, and the PLI goes on to the main thread', () => {
    const r = video();
    send(r, 1, 2, 0);
    const packets = [writeNack(CONTROL_SSRC, VIDEO, [{ pid: 2, blp: 0 }]), writePli(CONTROL_SSRC, VIDEO)];
    const compound = buildControlCompound({ ssrc: CONTROL_SSRC, cname: 'endpoint' }, packets);
    const { outputs, events } = r.core.feed(2, protectControl(remoteKeys(2), compound, ++index), 0);
    expect([outputs.length, events.map((e) => e.type)]).toEqual([1, ['control']]);
  });

  it('for what was never sent, or too long ago, is counted', () => {
    const r = video();
    send(r, 1, 2, 0);
    expect(nack(r, 2, [3, 4], 0).outputs).toEqual([]);
    expect(nack(r, 2, [1, 2], RELAY_RETRANSMIT_AGE_MS).outputs).toEqual([]);
    expect(r.core.counters()).toMatchObject({ retransmitted: 0, retransmitUnknown: 4 });
  });
});

describe('threat: retransmission as an amplifier', () => {
  it('a member that asks for everything at line rate gets the cap and no more', () => {
    const r = video();
    send(r, 1, 400, 0);
    let got = 0;
    for (let now = 0; now < 400; now += 1) {
      const pids = Array.from({ length: 23 }, (_, i) => 1 + ((now * 7 + i * 17) % 380));
      got += nack(r, 2, pids, now, 0xffff).outputs.length;
    }
    expect(got).toBeLessThanOrEqual(RELAY_RETRANSMIT_REQUEST_BURST + 0.4 * RELAY_RETRANSMIT_REQUESTS_PER_SECOND);
    expect(got).toBeGreaterThan(RELAY_RETRANSMIT_REQUEST_BURST);
    expect(r.core.counters().retransmitLimited).toBeGreaterThan(100_000);
    // The others have a cap of their own.
    expect(nack(r, 3, [100], 400, 0xffff).outputs).toHaveLength(17);
  });

  it('a member cannot ask for packets of a stream that is not routed to it, nor of one that no longer is', () => {
    const r = video();
    r.core.setRoutes(
      7,
      'video',
      mesh([1, 2, 3]).filter((e) => e.receiver !== 3),
    );
    send(r, 1, 4, 0);
    expect(nack(r, 3, [2], 0, 0xffff).outputs).toEqual([]);
    expect(nack(r, 2, [2], 0).outputs).toHaveLength(1);
    r.core.setRoutes(7, 'video', []);
    expect(nack(r, 2, [3], 30).outputs).toEqual([]);
  });
});

describe('receiver reports', () => {
  it('say what was lost of each stream that was heard', () => {
    const r = video();
    const { core, sender } = r;
    core.tick(0);
    for (const sequence of [1, 2, 3, 5]) {
      core.feed(1, sender.rtp({ sequence, isn: 1, full: true, roc: 2, word: WORD, trailing: 0, timestamp: 0 }), 10);
    }
    core.tick(20);
    const reports = core.tick(20 + RELAY_REPORT_INTERVAL_MS).events.filter((e) => e.type === 'reports');
    expect(reports).toEqual([
      {
        type: 'reports',
        channel: 1,
        reports: [
          {
            ssrc: VIDEO,
            fractionLost: Math.floor(256 / 5),
            cumulativeLost: 1,
            highestSequence: 0x20005,
            jitter: 0,
            lastSr: 0,
            delaySinceLastSr: 0,
          },
        ],
      },
    ]);
  });

  it('give jitter in the clock that the payload type was said to have', () => {
    const jitter = (clockRateHz?: number): number => {
      const payloadTypes = [{ payloadType: 96, codec: 1, ...(clockRateHz === undefined ? {} : { clockRateHz }) }];
      const { core, sender } = room({ media: 'audio', parameters: { payloadTypes } });
      core.tick(0);
      for (const [i, at] of [0, 20, 45, 60].entries()) {
        const hz = clockRateHz ?? 48_000;
        const packet = { sequence: i + 1, isn: 1, full: true, word: WORD, trailing: 0, timestamp: (i * hz) / 50 };
        core.feed(1, sender.rtp(packet), at);
      }
      core.tick(60);
      const { events } = core.tick(60 + RELAY_REPORT_INTERVAL_MS);
      return events.flatMap((e) => (e.type === 'reports' ? e.reports : []))[0]?.jitter ?? -1;
    };
    expect(jitter(8_000)).toBe(4); // the worked example of native/test/report_test.cc
    expect(jitter()).toBe(29); // six times as fine: 240; 240 + 240 - 15 = 465; 465 >> 4
  });

  it('of a plain channel tell when the last sender report came', () => {
    const { core } = room();
    core.setConference(8, { requiredLevel: 'none' });
    core.openChannel({
      channel: 11,
      conference: 8,
      member: 11,
      media: 'audio',
      transport: 'plain',
      peer: { address: '192.0.2.1', port: 4000 },
    });
    core.setParameters(11, { ...PARAMETERS, tip: false, trailingByte: false, level: 'none' });
    core.tick(0);
    const rtp = concat(Uint8Array.of(0x80, 96, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0xc1), new Uint8Array(20));
    const sr = concat(Uint8Array.of(0x80, 200, 0, 6, 0, 0, 0, 0xc1, 1, 2, 3, 4, 5, 6, 7, 8), new Uint8Array(12));
    expect([core.feed(11, rtp, 10).drop, core.feed(11, sr, 500).drop]).toEqual([undefined, undefined]);
    core.tick(500);
    const { events } = core.tick(500 + RELAY_REPORT_INTERVAL_MS);
    const [block] = events.flatMap((e) => (e.type === 'reports' ? e.reports : []));
    expect(block).toMatchObject({ ssrc: 0xc1, highestSequence: 7, lastSr: 0x03040506, delaySinceLastSr: 98_304 });
  });
});
