/** Routes, switch-over, egress refusals and plain channels. */
import { describe, expect, it } from 'vitest';
import { concat } from '../../../src/base/bytes.js';
import type { RelayEvent } from '../../../src/relay/contract.js';
import { RelayCore } from '../../../src/relay/harness.js';
import { addMember, bytesOf, CONFERENCE, PARAMETERS, PEER, type Room, room, WORD } from './room.js';
import { compound, type RtpFields, TestSender } from './sender.js';

const full = { word: WORD, full: true };

function receivers(r: Room, sender: TestSender, channel: number, f: RtpFields): number[] {
  const { drop, outputs } = r.core.feed(channel, sender.rtp({ trailing: 0, ...full, ...f }), 0);
  expect(drop).toBeUndefined();
  return outputs.map((o) => o.receiver);
}

describe('variants', () => {
  it('one tag for each (sink, payload type), shared by its receivers', () => {
    const r = room();
    const ids = Array.from({ length: 40 }, (_, i) => 10 + i);
    for (const id of ids) {
      addMember(r.core, id, 'audio', { payloadTypes: [{ payloadType: 96 + (id % 2), codec: 1 }] });
      r.core.setAcked(id, r.set.spiWord);
    }
    const sinkOf = (id: number): number => 1 + (id % 3);
    r.core.setRoutes(
      CONFERENCE,
      'audio',
      ids.map((receiver) => ({ source: 1, position: 1, receiver, sink: sinkOf(receiver) })),
    );
    const f = { ...full, sequence: 5, isn: 5, trailing: 33, marker: true };
    const { outputs } = r.core.feed(1, r.sender.rtp(f), 0);
    expect(outputs.map((o) => o.receiver).sort((a, b) => a - b)).toEqual(ids);
    for (const o of outputs) {
      expect(o.bytes).toEqual(r.sender.switched(f, sinkOf(o.receiver), 96 + (o.receiver % 2)));
    }
    expect(r.core.counters()).toMatchObject({ ingress: 1, verified: 1, egress: 40, variants: 6 });
    expect(r.core.channelCounters(10)).toMatchObject({ packetsOut: 1, bytesOut: outputs[0]!.bytes.length });
  });

  it('many variants and long queues: nothing is mixed up when the arena turns over', () => {
    const r = room();
    const ids = Array.from({ length: 45 }, (_, i) => 10 + i);
    for (const id of ids) {
      addMember(r.core, id, 'audio', { payloadTypes: [{ payloadType: 80 + (id - 10), codec: 1 }] });
      r.core.setAcked(id, r.set.spiWord);
    }
    r.core.setRoutes(
      CONFERENCE,
      'audio',
      ids.map((receiver) => ({ source: 1, position: 1, receiver, sink: 2 })),
    );
    for (let sequence = 1; sequence < 30; sequence++) {
      const f = { ...full, sequence, isn: 1, trailing: 0 };
      const { outputs } = r.core.feed(1, r.sender.rtp(f), 0);
      expect(outputs.length).toBe(45);
      for (const o of outputs) expect(o.bytes).toEqual(r.sender.switched(f, 2, 70 + o.receiver));
    }
  });
});

describe('the data plane itself', () => {
  it('refuses a receiver below the level of the conference, whatever the routes say', () => {
    const r = room();
    for (const level of ['unknown', 'none', 'hop-by-hop'] as const) {
      r.core.setParameters(2, { ...PARAMETERS, level });
      const before = r.core.channelCounters(2)!.drops.below_level;
      const sequence = 10 + before;
      expect(receivers(r, r.sender, 1, { sequence, isn: 10 })).toEqual([3]);
      expect(r.core.feed(1, r.sender.rtcp({ isn: 10 }), 0).outputs.map((o) => o.receiver)).toEqual([3]);
      expect(r.core.channelCounters(2)!.drops.below_level).toBe(before + 2);
    }
  });

  it('refuses a receiver that is not ready, has no payload type for the codec, or has not acknowledged the set', () => {
    const r = room();
    r.core.setParameters(2, { ...PARAMETERS, ready: false });
    r.core.setParameters(3, { ...PARAMETERS, payloadTypes: [{ payloadType: 96, codec: 2 }] });
    expect(receivers(r, r.sender, 1, { sequence: 10, isn: 10 })).toEqual([]);
    expect(r.core.channelCounters(2)?.drops.not_ready).toBe(1);
    expect(r.core.channelCounters(3)?.drops.no_payload_type).toBe(1);
    addMember(r.core, 4, 'audio');
    r.core.setRoutes(CONFERENCE, 'audio', [{ source: 1, position: 1, receiver: 4, sink: 1 }]);
    expect(receivers(r, r.sender, 1, { sequence: 11, isn: 10 })).toEqual([]);
    expect(r.core.channelCounters(4)?.drops.set_not_installed).toBe(1);
  });

  it('counts and keeps to itself a payload type that was not negotiated', () => {
    const r = room();
    expect(receivers(r, r.sender, 1, { sequence: 10, isn: 10, payloadType: 97 })).toEqual([]);
    expect(r.core.channelCounters(1)?.drops.no_payload_type).toBe(1);
  });

  it('ignores edges to itself, to another conference and to what is closed', () => {
    const r = room();
    r.core.openChannel({ channel: 50, conference: 8, member: 50, media: 'audio', transport: 'dtls' });
    const edge = { source: 1, position: 1, sink: 1 };
    r.core.setRoutes(
      CONFERENCE,
      'audio',
      [1, 50, 99, 3].map((receiver) => ({ ...edge, receiver })),
    );
    expect(receivers(r, r.sender, 1, { sequence: 10, isn: 10 })).toEqual([3]);
    r.core.closeChannel(3);
    expect(receivers(r, r.sender, 1, { sequence: 11, isn: 10 })).toEqual([]);
    r.core.closeConference(CONFERENCE);
    expect(() => r.core.feed(1, r.sender.rtp({ ...full, sequence: 12 }), 0)).toThrow();
  });
});

describe('switch-over of a video sink (S3)', () => {
  const pair = () => {
    const r = room({ media: 'video' });
    const other = new TestSender(0xb2, bytesOf(2, 16), r.set);
    const edge = { position: 1, receiver: 3, sink: 1 };
    const show = (source: number): RelayEvent[] => {
      r.core.setRoutes(CONFERENCE, 'video', [{ ...edge, source }]);
      return [...r.core.take().events];
    };
    return { r, other, show };
  };
  const switched = (source: number): RelayEvent => ({ type: 'switched', receiver: 3, sink: 1, source, position: 1 });

  it('keeps the old source until the new one gives a refresh point, and then shows that very packet', () => {
    const { r, other, show } = pair();
    show(1);
    expect(receivers(r, r.sender, 1, { sequence: 1, isn: 1, trailing: 1 })).toEqual([3]);
    expect(show(2)).toEqual([]);
    expect(receivers(r, r.sender, 1, { sequence: 2, isn: 1 })).toEqual([3]);
    expect(receivers(r, other, 2, { sequence: 1, isn: 1 })).toEqual([]);
    expect(receivers(r, other, 2, { sequence: 2, isn: 1, trailing: 3 })).toEqual([]);
    const idr = r.core.feed(2, other.rtp({ ...full, sequence: 3, isn: 1, trailing: 1 }), 0);
    expect(idr.outputs.map((o) => o.receiver)).toEqual([3]);
    expect(idr.events).toEqual([{ type: 'refresh', channel: 2, position: 1 }, switched(2)]);
    expect(receivers(r, r.sender, 1, { sequence: 3, isn: 1 })).toEqual([]);
    expect(receivers(r, other, 2, { sequence: 4, isn: 1 })).toEqual([3]);
  });

  it('a forged refresh point switches nothing', () => {
    const { r, other, show } = pair();
    show(1);
    show(2);
    const forged = other.rtp({ ...full, sequence: 1, isn: 1, trailing: 0 });
    forged[forged.length - 35] = 1;
    const before = r.core.stateHash();
    expect(r.core.feed(2, forged, 0).drop).toBe('auth_failed');
    expect(r.core.stateHash()).toBe(before);
  });

  it('follows a plan that changes again while it waits, and goes back without a gap', () => {
    const { r, other, show } = pair();
    show(1);
    receivers(r, r.sender, 1, { sequence: 1, isn: 1, trailing: 1 });
    show(2);
    expect(show(1)).toEqual([]);
    expect(receivers(r, other, 2, { sequence: 1, isn: 1, trailing: 1 })).toEqual([]);
    expect(receivers(r, r.sender, 1, { sequence: 2, isn: 1 })).toEqual([3]);
  });

  it('an empty display, or one whose source has closed, begins at a refresh point too', () => {
    const { r, other, show } = pair();
    expect(show(1)).toEqual([]);
    expect(receivers(r, r.sender, 1, { sequence: 1, isn: 1 })).toEqual([]);
    expect(receivers(r, r.sender, 1, { sequence: 2, isn: 1, trailing: 1 })).toEqual([3]);
    show(2);
    r.core.closeChannel(1);
    expect(r.core.take().events).toEqual([]);
    expect(receivers(r, other, 2, { sequence: 1, isn: 1 })).toEqual([]);
    const idr = r.core.feed(2, other.rtp({ ...full, sequence: 2, isn: 1, trailing: 2 }), 0);
    expect([idr.outputs.map((o) => o.receiver), idr.events.at(-1)]).toEqual([[3], switched(2)]);
  });

  it('does not wait for a source that has no refresh flag', () => {
    const { r, show } = pair();
    show(1);
    r.core.setParameters(2, { ...PARAMETERS, trailingByte: false });
    expect(show(2)).toEqual([switched(2)]);
    const waiting = pair();
    waiting.show(1);
    waiting.show(2);
    waiting.r.core.setParameters(2, { ...PARAMETERS, trailingByte: false });
    expect(waiting.r.core.take().events).toEqual([switched(2)]);
  });

  it('a stream that moves between the displays of a receiver is never given to it twice', () => {
    const { r, other } = pair();
    const plan = (edges: readonly (readonly [source: number, sink: number])[]): void => {
      const all = edges.map(([source, sink]) => ({ source, position: 1, receiver: 3, sink }));
      r.core.setRoutes(CONFERENCE, 'video', all);
    };
    const sinks = (sender: TestSender, channel: number, f: RtpFields): number[] =>
      r.core
        .feed(channel, sender.rtp({ trailing: 0, ...full, isn: 1, ...f }), 0)
        .outputs.map((o) => o.bytes[15]! & 0xf);
    plan([[1, 1]]);
    expect(sinks(r.sender, 1, { sequence: 1, trailing: 1 })).toEqual([1]);
    // 2 becomes the loudest and takes the center; 1, the speaker before, goes to the left.
    plan([
      [2, 1],
      [1, 2],
    ]);
    expect(sinks(r.sender, 1, { sequence: 2 })).toEqual([1]);
    expect(sinks(r.sender, 1, { sequence: 3, trailing: 1 })).toEqual([2]); // moved; the center keeps its last picture
    expect(sinks(other, 2, { sequence: 1 })).toEqual([]);
    expect(sinks(other, 2, { sequence: 2, trailing: 1 })).toEqual([1]);
    expect(sinks(r.sender, 1, { sequence: 4 })).toEqual([2]);
    // They change places: neither can wait for the other, and neither is doubled.
    plan([
      [1, 1],
      [2, 2],
    ]);
    expect(sinks(other, 2, { sequence: 3, trailing: 1 })).toEqual([2]);
    expect(sinks(r.sender, 1, { sequence: 5 })).toEqual([]); // its old display went to 2, its new one waits for it
    expect(sinks(r.sender, 1, { sequence: 6, trailing: 1 })).toEqual([1]);
    expect(sinks(other, 2, { sequence: 4 })).toEqual([2]);
    // Named twice in one plan: the first place counts.
    plan([
      [1, 1],
      [1, 2],
    ]);
    expect(sinks(r.sender, 1, { sequence: 7, trailing: 1 })).toEqual([1]);
  });

  it('reports a refresh point once a frame', () => {
    const { r } = pair();
    const events = [1, 2, 3].flatMap((sequence) => {
      const f = { ...full, sequence, isn: 1, trailing: 1, timestamp: sequence < 3 ? 900 : 1800 };
      return r.core.feed(1, r.sender.rtp(f), 0).events.filter((e) => e.type === 'refresh');
    });
    expect(events.length).toBe(2);
  });
});

describe('what is reported', () => {
  it('activity: the highest energy, at most 100, and the packets since the last time', () => {
    const r = room();
    const bound = r.core.feed(1, r.sender.rtp({ ...full, sequence: 1, isn: 1, trailing: 20 }), 0).events;
    expect(bound).toEqual([{ type: 'bound', channel: 1, ssrc: 0xa1, position: 1 }]);
    r.core.feed(1, r.sender.rtp({ ...full, sequence: 2, isn: 1, trailing: 250 }), 0);
    r.core.feed(1, r.sender.rtp({ ...full, sequence: 2, isn: 1, trailing: 250 }), 0);
    const at = { type: 'activity', channel: 1, position: 1 };
    expect(r.core.tick(100).events).toEqual([{ ...at, energy: 100, packets: 2 }]);
    expect(r.core.tick(200).events).toEqual([]);
    r.core.setParameters(1, { ...PARAMETERS, trailingByte: false });
    r.core.feed(1, r.sender.rtp({ ...full, sequence: 3, isn: 1 }), 200);
    expect(r.core.tick(300).events).toEqual([{ ...at, energy: -1, packets: 1 }]);
  });

  it('refusals: at most one summary a second', () => {
    const r = room();
    const forged = r.sender.rtp({ ...full, sequence: 1, isn: 1, trailing: 0 });
    forged[20]! ^= 1;
    const summary = { type: 'refusals', channel: 1, drop: 'auth_failed', ssrc: 0xa1 };
    for (let i = 0; i < 5; i++) r.core.feed(1, forged, 5_000);
    expect(r.core.tick(5_000).events).toEqual([{ ...summary, count: 5 }]);
    r.core.feed(1, forged, 5_500);
    expect(r.core.tick(5_999).events).toEqual([]);
    expect(r.core.tick(6_000).events).toEqual([{ ...summary, count: 1 }]);
  });
});

describe('a non-secure conference', () => {
  const plainRoom = () => {
    const core = new RelayCore();
    core.setConference(CONFERENCE, { requiredLevel: 'none' });
    for (const id of [1, 2]) {
      core.openChannel({
        channel: id,
        conference: CONFERENCE,
        member: id,
        media: 'audio',
        transport: 'plain',
        peer: PEER,
      });
      const payloadTypes = [{ payloadType: 95 + id, codec: 1 }];
      core.setParameters(id, { ...PARAMETERS, tip: false, trailingByte: false, level: 'none', payloadTypes });
    }
    core.setRoutes(CONFERENCE, 'audio', [{ source: 1, position: 1, receiver: 2, sink: 3 }]);
    return core;
  };
  const set = { spiWord: 1, kek: bytesOf(1, 16), masterSalt: bytesOf(2, 14) };
  const sender = new TestSender(0xa1, bytesOf(3, 16), set);

  it('relays RTP with payload type and sink rewritten, and nothing from another address or under a stolen SSRC', () => {
    const core = plainRoom();
    const packet = sender.body({ sequence: 9, word: WORD });
    const out = Uint8Array.from(packet);
    out[1] = 97;
    out[15] = (WORD & 0xf0) | 3;
    expect(core.feed(1, packet, 0).outputs).toEqual([{ receiver: 2, bytes: out }]);
    expect(core.feed(1, packet, 0, { address: '192.0.2.1', port: 1 }).drop).toBe('unknown_source');
    expect(core.feed(2, packet, 0).drop).toBe('ssrc_owned');
    expect(core.feed(1, Uint8Array.of(22, 254, 253), 0).drop).toBe('unknown_protocol');
    const bare = sender.body({ sequence: 10 });
    expect(core.feed(1, bare, 0).outputs[0]!.bytes.slice(2)).toEqual(bare.slice(2));
  });

  it('hands compounds up and gives the others the sender report without its blocks', () => {
    const core = plainRoom();
    core.feed(1, sender.body({ sequence: 9 }), 0);
    const ssrc = Uint8Array.of(0, 0, 0, 0xa1);
    const info = bytesOf(7, 20);
    const sdes = concat(Uint8Array.of(0x81, 202, 0, 2), ssrc, Uint8Array.of(1, 1, 65, 0));
    const bytes = concat(Uint8Array.of(0x81, 200, 0, 12), ssrc, info, bytesOf(8, 24), sdes);
    const { events, outputs } = core.feed(1, bytes, 0);
    expect(events).toEqual([{ type: 'control', channel: 1, tipAllowed: false, rtcp: bytes }]);
    const expected = concat(Uint8Array.of(0x80, 200, 0, 6), ssrc, info, sdes);
    expect(outputs).toEqual([{ receiver: 2, bytes: expected }]);
    expect(core.feed(2, bytes, 0).drop).toBe('ssrc_owned');
    const plain = compound(0x100);
    expect(core.sendControl(1, plain)).toBe(true);
    expect(core.take().outputs).toEqual([{ receiver: 1, bytes: plain }]);
  });

  it('never sends what is in the clear to a secured channel, nor lets a plain channel into a secure conference', () => {
    const core = plainRoom();
    addMember(core, 3, 'audio');
    core.setRoutes(CONFERENCE, 'audio', [{ source: 1, position: 1, receiver: 3, sink: 1 }]);
    expect(core.feed(1, sender.body({ sequence: 9 }), 0)).toMatchObject({ outputs: [] });
    expect(core.channelCounters(3)?.drops.set_not_installed).toBe(1);
    core.setConference(CONFERENCE, { requiredLevel: 'hop-by-hop' });
    expect(core.feed(1, sender.body({ sequence: 10 }), 0).drop).toBe('not_ready');
  });
});
