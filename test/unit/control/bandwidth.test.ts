/** `b=` of receivers: a switch that does not transcode tells the sources, those who are in already too (RFC 3264, RFC 3890). */
import { describe, expect, it } from 'vitest';
import { MIN_LIMIT_BITS_PER_SECOND } from '../../../src/base/limits.js';
import { answer, readOffer } from '../../../src/sip/offer-answer.js';
import { Bench } from './harness.js';

const ROOM = { adHoc: { policy: 'non-secure', requiredLevel: 'none' } } as const;
const offer = (bitsPerSecond?: number): string =>
  `v=0\no=- 1 1 IN IP4 192.0.2.7\ns=-\nc=IN IP4 192.0.2.7\nt=0 0\nm=video 40000 RTP/AVPF 96\n${
    bitsPerSecond === undefined ? '' : `b=TIAS:${bitsPerSecond}\n`
  }a=rtpmap:96 VP8/90000\na=rtcp-mux\n`;

/** What the re-INVITEs of the switch to a call have said since, each answered with the call's own limit. */
function told(bench: Bench, call: number, own?: number): (string | undefined)[] {
  const out: (string | undefined)[] = [];
  const limit = own === undefined ? {} : { bandwidthBitsPerSecond: own };
  for (let i = 0; i < bench.heard.length; i++) {
    const heard = bench.heard[i]!;
    if (heard.type !== 'offer-again' || heard.call !== call) continue;
    bench.heard.splice(i--, 1);
    out.push(/^b=(.*)\r$/m.exec(heard.offer!)?.[1]);
    const read = readOffer(heard.offer!);
    if (!read.ok) throw new Error(read.reason);
    const local = { sessionId: '1', sessionVersion: 2 + out.length, address: '192.0.2.7' };
    const made = answer(read.value, { ...local, media: [{ port: 40_000, ...limit }] });
    if (!made.ok) throw new Error(made.reason);
    bench.callerDoes({ type: 'accept', call, sdp: made.value.sdp });
  }
  return out;
}

describe('the bandwidth that a receiver takes', () => {
  it('is told to sources that came before it, once, and taken back when it has gone', () => {
    const bench = new Bench(ROOM, false);
    const source = bench.dialSdp(offer());
    const narrow = bench.dialSdp(offer(500_000));
    expect(told(bench, source)).toEqual(['TIAS:500000']);
    expect(told(bench, source)).toEqual([]);
    expect(told(bench, narrow, 500_000)).toEqual([]); // nobody else has a limit
    const narrower = bench.dialSdp(offer(300_000));
    expect(told(bench, source)).toEqual(['TIAS:300000']);
    expect(told(bench, narrow, 500_000)).toEqual(['TIAS:300000']);
    expect(told(bench, narrower, 300_000)).toEqual([]); // its own answer said so
    bench.callerDoes({ type: 'hangup', call: narrower });
    expect(told(bench, source)).toEqual(['TIAS:500000']);
    expect(told(bench, narrow, 500_000)).toEqual([undefined]);
    bench.callerDoes({ type: 'hangup', call: narrow });
    expect(told(bench, source)).toEqual([undefined]);
  });

  it('attack: a member that asks for less and less does not keep the others answering, and none is held to next to nothing', () => {
    const bench = new Bench(ROOM, false);
    const source = bench.dialSdp(offer());
    const call = bench.dialSdp(offer(500_000));
    expect(told(bench, source)).toHaveLength(1);
    const again = (bitsPerSecond: number, version: number): void =>
      bench.callerDoes({
        type: 'reinvite',
        call,
        sdp: offer(bitsPerSecond).replace('o=- 1 1', `o=- 1 ${version}`).replaceAll('\n', '\r\n'),
      });
    for (let i = 1; i < 50; i++) again(500_000 - i * 1_000, 1 + i);
    expect(told(bench, source)).toEqual([]);
    again(1, 100);
    expect(told(bench, source)).toEqual([`TIAS:${MIN_LIMIT_BITS_PER_SECOND.video}`]);
  });
});
