import { describe, expect, it } from 'vitest';
import { switchedStreams } from '../../../bench/fanout-rig.js';
import { RECEIVER_PAYLOAD_TYPE, randomSet, SINK, SOURCE_POSITION } from '../../../bench/room.js';
import { sortSuites, suiteRefusal } from '../../../bench/suites.js';
import { SHAPES, Switcher, TrafficSource } from '../../../bench/traffic.js';
import { parseRtpHeader } from '../../../src/wire/rtp.js';

describe('the traffic', () => {
  it.each(['audio', 'video'] as const)('of %s has one length, and is what the core makes of it', (media) => {
    const { bytes } = SHAPES[media];
    const set = randomSet();
    const source = new TrafficSource(media, bytes, set);
    const switcher = new Switcher(media, bytes, set);
    const packets = source.packets(12);
    const copies = switcher.switch(packets);
    expect(packets.length).toBe(12 * bytes);
    expect(copies.length).toBe(12 * (bytes - 1));
    const sequences = new Set<number>();
    for (let i = 0; i < 12; i++) {
      const copy = parseRtpHeader(copies.subarray(i * (bytes - 1), (i + 1) * (bytes - 1)));
      if (!copy.ok) throw new Error(copy.reason);
      sequences.add(copy.value.sequence);
      expect(copy.value.payloadType).toBe(RECEIVER_PAYLOAD_TYPE);
      expect(copy.value.csrcs).toEqual([(SOURCE_POSITION << 4) | SINK]);
    }
    expect(sequences.size).toBe(12);
    expect(() => switcher.switch(packets)).toThrow('replayed');
    switcher.close();
    source.wipe();
  });

  it('has sources of their own SSRC, each at a sink of its own', () => {
    const { bytes, sources } = SHAPES.video;
    const streams = switchedStreams('video', randomSet(), 2);
    const headers = streams.map((stream) => parseRtpHeader(stream.subarray(0, bytes - 1)));
    expect(new Set(headers.map((h) => h.ok && h.value.ssrc)).size).toBe(sources);
    expect(headers.map((h) => h.ok && h.value.csrcs[0]! & 0xf)).toEqual(streams.map((_, i) => SINK + i));
  });
});

describe('the suites', () => {
  it('are tried, not believed: one that nobody knows is refused with the reason', () => {
    expect(suiteRefusal(1)).toBeUndefined();
    expect(sortSuites([1, 99])).toEqual({ available: [1], unavailable: [{ suite: 99, reason: 'no suite 99' }] });
  });
});
