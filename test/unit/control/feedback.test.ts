/** What receivers say of what they got, on its way to the source: refresh requests with the throttle of S3, reports. */
import { describe, expect, it } from 'vitest';
import { concat } from '../../../src/base/bytes.js';
import { REFRESH_MIN_INTERVAL_MS } from '../../../src/base/limits.js';
import type { ControlOptions } from '../../../src/control/contract.js';
import { parseCompound, type RtcpPacket } from '../../../src/wire/rtcp.js';
import { buildControlCompound, writeFir, writePli } from '../../../src/wire/rtcp-write.js';
import { Bench, CLIENT_HELLO, keysReport, SIGNALLED, TipPeer } from './harness.js';

const REPORT = {
  ssrc: 0xa1,
  fractionLost: 51,
  cumulativeLost: -2,
  highestSequence: 0x20005,
  jitter: 9,
  lastSr: 3,
  delaySinceLastSr: 4,
};

/** What was sent to a channel since `from`, but for the RR and SDES that open every compound. */
function sentTo(bench: Bench, channel: number, from = 0): RtcpPacket[] {
  const compounds = bench.called('sendControl').slice(from);
  return compounds.flatMap(([to, bytes]) => {
    const packets = parseCompound(bytes);
    if (!packets.ok) throw new Error('a malformed compound');
    expect(packets.value.slice(0, 2).map((p) => p.type)).toEqual(['rr', 'sdes']);
    return to === channel ? packets.value.slice(2) : [];
  });
}

/** How many TIP REFRESH (WIRE.md 4). */
const refreshes = (packets: readonly RtcpPacket[]): number =>
  packets.filter((p) => p.type === 'app' && p.name === 'xcts' && p.subtype === 8).length;

interface Two {
  readonly bench: Bench;
  readonly source: number;
  readonly receiver: number;
  readonly tip: TipPeer;
}

/** Two end-to-end members; the video of the first is bound to 0xa1 and shown to the second. */
function secured(): Two {
  const bench = new Bench();
  const videos: { channel: number; tip: TipPeer }[] = [];
  for (let member = 0; member < 2; member++) {
    bench.dial();
    const opened = bench.called('openChannel').slice(-2);
    for (const [{ channel, media }] of opened) {
      const from = { address: '192.0.2.7', port: 40_000 + channel };
      bench.relay({ type: 'relay', events: [{ type: 'dtls', channel, from, bytes: CLIENT_HELLO }] });
      bench.association(bench.taken('association-open').at(-1)!.association, {
        ...keysReport(),
        peerFingerprint: `0${member}`.repeat(32),
      });
      const tip = new TipPeer(bench, channel, media);
      tip.run();
      if (media === 'video') videos.push({ channel, tip });
    }
  }
  const [source, receiver] = [videos[0]!, videos[1]!];
  bench.relay({ type: 'relay', events: [{ type: 'bound', channel: source.channel, ssrc: 0xa1, position: 1 }] });
  const [, , edges] = bench
    .called('setRoutes')
    .filter(([, media]) => media === 'video')
    .at(-1)!;
  expect(edges).toContainEqual({ source: source.channel, position: 1, receiver: receiver.channel, sink: 1 });
  // Whatever was asked for while the conference was put together.
  bench.advance(5 * REFRESH_MIN_INTERVAL_MS);
  for (const { channel } of videos) {
    const event = { type: 'switched' as const, receiver: channel, sink: 1, position: 1 };
    const other = videos.find((v) => v.channel !== channel)!.channel;
    bench.relay({ type: 'relay', events: [{ ...event, source: other }] });
  }
  source.tip.run();
  bench.advance(5 * REFRESH_MIN_INTERVAL_MS);
  source.tip.run();
  return { bench, source: source.channel, receiver: receiver.channel, tip: source.tip };
}

function feedback({ bench, receiver }: Two, packet: Uint8Array, from = receiver): void {
  const rtcp = buildControlCompound({ ssrc: 0x100, cname: 'endpoint' }, [packet]);
  bench.relay({ type: 'relay', events: [{ type: 'control', channel: from, rtcp, tipAllowed: true }] });
}

describe('a receiver’s PLI or FIR', () => {
  it('becomes one TIP REFRESH to the source in 500 ms, however many ask (S3)', () => {
    const two = secured();
    const { bench, source, tip } = two;
    let mark = bench.called('sendControl').length;
    for (let i = 0; i < 20; i++) {
      feedback(two, writePli(0x100, 0xa1));
      feedback(two, writeFir(0x100, [{ ssrc: 0xa1, sequence: i }]));
    }
    expect(refreshes(sentTo(bench, source, mark))).toBe(1);
    tip.run(); // the source ACKs it
    mark = bench.called('sendControl').length;
    bench.advance(REFRESH_MIN_INTERVAL_MS - 1);
    expect(refreshes(sentTo(bench, source, mark))).toBe(0);
    bench.advance(1);
    expect(refreshes(sentTo(bench, source, mark))).toBe(1);
    tip.run();
    mark = bench.called('sendControl').length;
    bench.advance(10 * REFRESH_MIN_INTERVAL_MS);
    expect(refreshes(sentTo(bench, source, mark))).toBe(0);
  });

  it('threat: for a stream that it is not shown, or that nobody sends, troubles no source', () => {
    const two = secured();
    const { bench, source } = two;
    const mark = bench.called('sendControl').length;
    feedback(two, writePli(0x100, 0xb1));
    feedback(two, writePli(0x100, 0xa1), source);
    expect(refreshes(sentTo(bench, source, mark))).toBe(0);
    feedback(two, writePli(0x100, 0xa1));
    expect(refreshes(sentTo(bench, source, mark))).toBe(1);
  });
});

/** Two plain callers without TIP whose SDP is altered by `sdp`; gives their video channels. */
function plain(sdp: (text: string) => string): { bench: Bench; source: number; receiver: number } {
  const bench = new Bench({ adHoc: { policy: 'non-secure', requiredLevel: 'none' } });
  const invite = bench.callerDoes.bind(bench);
  bench.callerDoes = (input) => invite(input.type === 'invite' ? { ...input, sdp: sdp(input.sdp) } : input);
  bench.dial('8000', 'plain');
  bench.dial('8000', 'plain');
  const [source, receiver] = bench
    .called('openChannel')
    .filter(([o]) => o.media === 'video')
    .map(([o]) => o.channel);
  return { bench, source: source!, receiver: receiver! };
}

const avpf = (text: string): string => text.replaceAll('RTP/AVP ', 'RTP/AVPF ');
const noMux = (text: string): string => text.replaceAll('a=rtcp-mux\r\n', '');

describe('a plain source without TIP', () => {
  const ask = ({ bench, source, receiver }: ReturnType<typeof plain>): RtcpPacket[] => {
    const bound = { type: 'bound' as const, channel: source, position: 1 };
    bench.relay({
      type: 'relay',
      events: [
        { ...bound, ssrc: 0xa1 },
        { ...bound, ssrc: 0xa3 },
      ],
    });
    bench.advance(5 * REFRESH_MIN_INTERVAL_MS);
    const mark = bench.called('sendControl').length;
    for (let i = 0; i < 5; i++) {
      const rtcp = concat(writePli(0xb1, 0xa3));
      bench.relay({ type: 'relay', events: [{ type: 'control', channel: receiver, rtcp, tipAllowed: false }] });
    }
    return sentTo(bench, source, mark);
  };

  it('that speaks AVPF is asked by PLI, with the SSRC that it sends now, once in 500 ms', () => {
    const two = plain(avpf);
    const asked = ask(two);
    expect(asked).toEqual([{ type: 'pli', sender: (two.source << 8) >>> 0, media: 0xa3 }]);
  });

  it('that takes FIR only is asked by FIR, each time with the next number', () => {
    const firOnly = (text: string): string =>
      avpf(text).replaceAll(/(a=rtpmap:(\d+) H264\S*\r\n)/g, '$1a=rtcp-fb:$2 ccm fir\r\n');
    const two = plain(firOnly);
    ask(two);
    ask(two);
    const asked = sentTo(two.bench, two.source, 0).filter((packet) => packet.type === 'fir');
    const sender = (two.source << 8) >>> 0;
    expect(asked.length).toBeGreaterThan(1);
    expect(asked).toEqual(asked.map((_, i) => ({ type: 'fir', sender, requests: [{ ssrc: 0xa3, sequence: i + 1 }] })));
  });

  it('is sent nothing that it did not agree to: no feedback on AVP, no RTCP to a port that takes none', () => {
    expect(ask(plain((text) => text))).toEqual([]);
    expect(ask(plain((text) => noMux(avpf(text))))).toEqual([]);
    const { bench, source } = plain(noMux);
    bench.relay({ type: 'relay', events: [{ type: 'reports', channel: source, reports: [REPORT] }] });
    expect(bench.called('sendControl')).toEqual([]);
  });
});

describe('RTCP apart from RTP: a plain caller without rtcp-mux and without TIP', () => {
  const call = (sdp: (text: string) => string): Bench => {
    const bench = new Bench({ adHoc: { policy: 'non-secure', requiredLevel: 'none' } }, false);
    bench.callerDoes = new Proxy(bench.callerDoes.bind(bench), {
      apply: (does, _, [input]: Parameters<Bench['callerDoes']>) =>
        does(input.type === 'invite' ? { ...input, sdp: sdp(input.sdp) } : input),
    });
    bench.dial('8000', 'plain');
    return bench;
  };
  const opened = (bench: Bench) => bench.called('openChannel').map(([{ rtcp }]) => rtcp);
  const { address, port } = SIGNALLED;

  it.each([
    ['one above its RTP port', '', { address, port: port + 1 }],
    ['the port that a=rtcp names (RFC 3605)', 'a=rtcp:53020\r\n', { address, port: 53_020 }],
    ['with an address', 'a=rtcp:53020 IN IP4 198.51.100.4\r\n', { address: '198.51.100.4', port: 53_020 }],
    ['not what cannot be read', 'a=rtcp:0 IN IP4 nowhere\r\n', { address, port: port + 1 }],
  ])('%s', (_, line, rtcp) => {
    const bench = call((text) => noMux(text).replace(/(a=rtpmap:96)/, `${line}$1`));
    expect(opened(bench)).toEqual([rtcp, { address, port: port + 3 }]);
    const answered = bench.heard.find((out) => out.type === 'answered');
    expect(answered?.type === 'answered' && answered.sdp).not.toMatch(/rtcp-mux/);
    const [{ channel }] = bench.called('openChannel')[0]!;
    bench.relay({ type: 'relay', events: [{ type: 'reports', channel, reports: [REPORT] }] });
    expect(bench.called('sendControl').map(([to]) => to)).toEqual([channel]);
  });

  it('with rtcp-mux there is one port, and no pair is taken', () => {
    const bench = call((text) => text);
    expect(opened(bench)).toEqual([undefined, undefined]);
    expect(bench.called('setRtcpPort')).toEqual([]);
  });

  it('who speaks TIP has it with RTP, whatever its offer says', () => {
    const { bench } = plain(noMux);
    expect(opened(bench)).toEqual([undefined, undefined, undefined, undefined]);
  });

  it('a later offer moves it; with rtcp-mux it goes with RTP from then on', () => {
    const bench = call(noMux);
    const [{ channel }] = bench.called('openChannel')[0]!;
    const { call: id } = bench.heard.find((out) => out.type === 'answered')!;
    const offer = (more: string) =>
      `v=0\r\no=- 1 9 IN IP4 ${address}\r\ns=-\r\nc=IN IP4 ${address}\r\nt=0 0\r\nm=audio ${port} RTP/AVP 96\r\n${more}a=rtpmap:96 opus/48000/2\r\nm=video 0 RTP/AVP 112\r\n`;
    const told = () => bench.called('setRtcpPort').filter(([to]) => to === channel);
    expect(told()).toEqual([[channel, { address, port: port + 1 }]]);
    for (const more of ['a=rtcp:4242\r\n', 'a=rtcp:4242\r\n', 'a=rtcp-mux\r\n', '']) {
      bench.callerDoes({ type: 'reinvite', call: id, sdp: offer(more) });
    }
    expect(told().map(([, rtcp]) => rtcp?.port)).toEqual([port + 1, 4_242, undefined]);
  });
});

describe('the latch window of plain RTP', () => {
  const dialled = (latch: ControlOptions['latch'], security: 'plain' | 'dtls' = 'plain'): Bench => {
    const policy = security === 'plain' ? 'non-secure' : 'secure';
    const requiredLevel = security === 'plain' ? 'none' : 'end-to-end';
    const bench = new Bench({
      adHoc: { policy, requiredLevel },
      ...(latch === undefined ? {} : { latch }),
    });
    bench.dial('8000', security);
    return bench;
  };

  it.each([
    ['from the address of signalling', { ms: 3_000, anywhere: false }, { ms: 3_000, from: SIGNALLED.address }],
    ['from anywhere', { ms: 3_000, anywhere: true }, { ms: 3_000 }],
  ])('begins with the answer, %s', (_, rules, window) => {
    const bench = dialled(rules);
    expect(bench.called('latch').map(([, told]) => told)).toEqual([window, window]);
    const names = bench.relayCalls.map(({ name }) => name);
    expect(names.indexOf('latch')).toBe(names.indexOf('provePeer') + 1);
  });

  it('is not there by default, and never where there are keys', () => {
    expect(dialled(undefined).called('latch')).toEqual([]);
    expect(dialled({ ms: 3_000, anywhere: true }, 'dtls').called('latch')).toEqual([]);
  });
});

describe('receiver reports', () => {
  it('go to the source in the RR of a control compound', () => {
    const { bench, source } = secured();
    bench.relay({ type: 'relay', events: [{ type: 'reports', channel: source, reports: [REPORT] }] });
    const [to, bytes] = bench.called('sendControl').at(-1)!;
    const packets = parseCompound(bytes);
    expect(to).toBe(source);
    expect(packets.ok && packets.value[0]).toEqual({ type: 'rr', ssrc: (source << 8) >>> 0, reports: [REPORT] });
    expect(packets.ok && packets.value.map((p) => p.type)).toEqual(['rr', 'sdes']);
  });
});
