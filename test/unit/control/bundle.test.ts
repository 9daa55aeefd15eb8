/** Callers whose m-lines share one transport (RFC 9143), as browsers do. */
import { describe, expect, it } from 'vitest';
import type { ConferenceSettings } from '../../../src/control/contract.js';
import { ownSsrc } from '../../../src/wire/own-ssrc.js';
import { Bench, CLIENT_HELLO, keysReport, SIGNALLED } from './harness.js';

const BEST_EFFORT: ConferenceSettings = { policy: 'best-effort', requiredLevel: 'none' };
const FINGERPRINT = `sha-256 ${Array(32).fill('07').join(':')}`;
const TRANSPORT = ['rtcp-mux', `fingerprint:${FINGERPRINT}`, 'setup:actpass'];
const MID = 'extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid';
const LEVEL = 'extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level';

const AUDIO = { port: 40_000, type: 111, map: 'opus/48000/2', more: [LEVEL, MID] };
const VIDEO = { port: 40_000, type: 96, map: 'VP8/90000', more: [MID, 'rtcp-fb:96 nack', 'rtcp-fb:96 nack pli'] };
interface LineOf {
  readonly port: number;
  readonly type: number;
  readonly map: string;
  readonly more: readonly string[];
}

/** @param group the session's attribute; '': none */
function offer(audio: LineOf, video: LineOf | undefined, group = 'BUNDLE 0 1', version = 1): string {
  const line = (kind: string, mid: string, { port, type, map, more }: LineOf) => [
    `m=${kind} ${port} UDP/TLS/RTP/SAVPF ${type}`,
    ...[`mid:${mid}`, `rtpmap:${type} ${map}`, ...(port === 0 ? [] : TRANSPORT), ...more].map((a) => `a=${a}`),
  ];
  const lines = [
    ...['v=0', `o=- 1 ${version} IN IP4 192.0.2.7`, 's=-', 'c=IN IP4 192.0.2.7', 't=0 0'],
    ...(group === '' ? [] : [`a=group:${group}`]),
    ...line('audio', '0', audio),
    ...(video === undefined ? [] : line('video', '1', video)),
  ];
  return `${lines.join('\n')}\n`;
}
const bundleOnly = (line: LineOf): LineOf => ({ ...line, port: 0, more: [...line.more, 'bundle-only'] });
const refused = (line: LineOf): LineOf => ({ ...line, port: 0 });

class Caller {
  readonly bench: Bench;
  readonly call: number;
  #version = 1;

  constructor(sdp: string, adHoc: ConferenceSettings = BEST_EFFORT, tip = false) {
    this.bench = new Bench({ adHoc }, tip);
    this.call = this.bench.dialSdp(sdp);
  }
  again(audio: LineOf, video: LineOf | undefined, group?: string): void {
    const sdp = offer(audio, video, group, ++this.#version);
    this.bench.callerDoes({ type: 'reinvite', call: this.call, sdp: sdp.replaceAll('\n', '\r\n') });
  }
  get answer(): readonly string[] {
    const answered = this.bench.heard.filter((o) => o.type === 'answered').at(-1);
    if (answered?.type !== 'answered') throw new Error(`no answer: ${JSON.stringify(this.bench.heard)}`);
    return answered.sdp.split('\r\n');
  }
  lines(pattern: RegExp): readonly string[] {
    return this.answer.filter((line) => pattern.test(line));
  }
  get opened() {
    return this.bench.called('openChannel').map(([o]) => o);
  }
  /** The handshake on a channel's port. */
  shake(channel: number): void {
    this.bench.relay({ type: 'relay', events: [{ type: 'dtls', channel, from: SIGNALLED, bytes: CLIENT_HELLO }] });
    this.bench.association(this.bench.taken('association-open').at(-1)!.association, keysReport());
  }
  /** What the relay was told of a channel last. */
  told(channel: number) {
    return this.bench.called('setParameters').findLast(([id]) => id === channel)![1];
  }
}

describe('an offer of one transport for all m-lines', () => {
  it.each([
    ['balanced: each line with a port', offer(AUDIO, { ...VIDEO, port: 40_002 })],
    ['the same port', offer(AUDIO, VIDEO)],
    ['max-bundle: the second without a port and a transport', offer(AUDIO, bundleOnly(VIDEO))],
  ])('%s: one socket, one association, one port; both lines are hop-by-hop with the handshake', (_, sdp) => {
    const caller = new Caller(sdp);
    const [audio, video] = caller.opened;
    expect(video).toMatchObject({ media: 'video', transport: 'dtls', leader: audio!.channel });
    expect(caller.lines(/^a=(group|mid)/)).toEqual(['a=group:BUNDLE 0 1', 'a=mid:0', 'a=mid:1']);
    const ports = caller.lines(/^m=/).map((line) => line.split(' ')[1]);
    expect(ports[0]).toBe(ports[1]);
    expect(caller.bench.called('awaitPeer').map(([id]) => id)).toEqual([audio!.channel]);
    caller.shake(audio!.channel);
    expect(caller.bench.called('provePeer').map(([id]) => id)).toEqual([audio!.channel]);
    expect(caller.bench.called('setChannelKeys').map(([id]) => id)).toEqual([audio!.channel]);
    for (const { channel } of caller.opened)
      expect(caller.told(channel)).toMatchObject({ level: 'hop-by-hop', ready: true });
  });

  it('what is sent on the lines differs in SSRC by construction, also under keys that follow', () => {
    const caller = new Caller(offer(AUDIO, VIDEO));
    const [audio, video] = caller.opened.map(({ channel }) => channel) as [number, number];
    for (let round = 0; round < 3; round++) {
      caller.shake(audio);
      const seeds = [audio, video].map((id) => caller.told(id).endsHere!.seed);
      expect(new Set(seeds.map((seed) => ownSsrc(seed, 1))).size).toBe(2);
      // With other keys the relay begins anew, and must be told of both lines again.
      const { relayCalls } = caller.bench;
      const since = relayCalls.findLastIndex(({ name }) => name === 'setChannelKeys');
      const told = relayCalls.slice(since).filter(({ name }) => name === 'setParameters');
      expect(new Set(told.map(({ args }) => args[0]))).toEqual(new Set([audio, video]));
      // Another certificate asks for another association (RFC 8842 §5.1).
      const other = (line: LineOf): LineOf => ({ ...line, more: [...line.more, `tls-id:${'b'.repeat(20 + round)}`] });
      caller.again(other(AUDIO), other(VIDEO));
    }
    expect(caller.bench.called('setChannelKeys')).toHaveLength(3);
  });

  it('the names of the lines and the extension that brings them reach the relay; what is not used is left out', () => {
    const caller = new Caller(
      offer(
        {
          ...AUDIO,
          more: [...AUDIO.more, 'extmap:3 urn:example:other', 'extmap-allow-mixed', 'rtcp-rsize', 'msid:- a'],
        },
        { ...VIDEO, more: [...VIDEO.more, 'rid:hi send', 'simulcast:send hi', 'ssrc:1 cname:x', 'rtcp-rsize'] },
      ),
    );
    expect(caller.lines(/^a=(extmap|rtcp-rsize|msid|rid|simulcast|ssrc)/)).toEqual([
      'a=extmap:1/recvonly urn:ietf:params:rtp-hdrext:ssrc-audio-level',
      'a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid',
      'a=extmap-allow-mixed',
      'a=rtcp-rsize',
      'a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid',
      'a=rtcp-rsize',
    ]);
    const [audio, video] = caller.opened;
    expect(caller.told(audio!.channel).mid).toEqual({ id: 4, name: '0' });
    expect(caller.told(video!.channel).mid).toEqual({ id: 4, name: '1' });
  });

  it('without a=group the lines are on their own, with their mids', () => {
    const caller = new Caller(offer(AUDIO, { ...VIDEO, port: 40_002 }, ''));
    expect(caller.opened.map(({ leader }) => leader)).toEqual([undefined, undefined]);
    expect(caller.lines(/^a=(group|mid|extmap:4)/)).toEqual(['a=mid:0', 'a=mid:1']);
  });

  it('TIP and bundles do not go together: the lines are on their own, and one without a port is refused', () => {
    const balanced = new Caller(offer(AUDIO, { ...VIDEO, port: 40_002 }), BEST_EFFORT, true);
    expect(balanced.lines(/^a=group/)).toEqual([]);
    expect(balanced.opened.map(({ leader }) => leader)).toEqual([undefined, undefined]);
    const max = new Caller(offer(AUDIO, bundleOnly(VIDEO)), BEST_EFFORT, true);
    expect(max.opened).toHaveLength(1);
    expect(max.lines(/^m=video/)).toEqual(['m=video 0 UDP/TLS/RTP/SAVPF 96']);
  });

  it('payload types that clash: the line stays on its own, or is refused where it cannot', () => {
    const clash = { ...VIDEO, type: 111, port: 40_002 };
    const apart = new Caller(offer(AUDIO, clash));
    expect(apart.opened.map(({ leader }) => leader)).toEqual([undefined, undefined]);
    expect(apart.lines(/^a=group/)).toEqual(['a=group:BUNDLE 0']);
    const only = new Caller(offer(AUDIO, bundleOnly(clash)));
    expect(only.opened).toHaveLength(1);
    expect(only.lines(/^m=video/)).toEqual(['m=video 0 UDP/TLS/RTP/SAVPF 111']);
  });

  it('a first line that is refused leaves its place to the next that has a port', () => {
    const settings: ConferenceSettings = { ...BEST_EFFORT, codecs: { audio: ['opus'], video: ['VP8'] } };
    const strange = { ...AUDIO, type: 9, map: 'G722/8000' };
    const caller = new Caller(offer(strange, { ...VIDEO, port: 40_002 }), settings);
    expect(caller.opened).toMatchObject([{ media: 'video', transport: 'dtls' }]);
    expect(caller.lines(/^a=group/)).toEqual(['a=group:BUNDLE 1']);
    const none = new Caller(offer(strange, bundleOnly(VIDEO)), settings);
    expect(none.bench.heard.find((o) => o.type === 'failed')).toMatchObject({ status: 488 });
  });
});

describe('re-INVITEs in a bundled session', () => {
  const proven = (sdp: string) => {
    const caller = new Caller(sdp);
    caller.shake(caller.opened[0]!.channel);
    return caller;
  };

  it('the same again changes nothing; our own offers keep the group', () => {
    const caller = proven(offer(AUDIO, VIDEO));
    const before = caller.bench.called('awaitPeer').length;
    caller.again(AUDIO, VIDEO);
    expect(caller.lines(/^a=group/)).toEqual(['a=group:BUNDLE 0 1']);
    expect(caller.bench.called('openChannel')).toHaveLength(2);
    expect(caller.bench.called('awaitPeer')).toHaveLength(before);
    caller.bench.callerDoes({ type: 'reinvite', call: caller.call, sdp: '' }); // none: the offer is to be ours
    const ours = caller.answer;
    expect(ours.filter((line) => /^(a=group|a=mid|m=)/.test(line)).map((line) => line.split(' UDP')[0])).toEqual([
      'a=group:BUNDLE 0 1',
      'm=audio 20002',
      'a=mid:0',
      'm=video 20002',
      'a=mid:1',
    ]);
  });

  it('a line that is added joins the bundle, with the keys that are there', () => {
    const caller = proven(offer(AUDIO, undefined, 'BUNDLE 0'));
    expect(caller.lines(/^a=group/)).toEqual(['a=group:BUNDLE 0']);
    caller.again(AUDIO, VIDEO);
    const [audio, video] = caller.opened;
    expect(video).toMatchObject({ leader: audio!.channel });
    expect(caller.lines(/^a=group/)).toEqual(['a=group:BUNDLE 0 1']);
    expect(caller.told(video!.channel)).toMatchObject({ level: 'hop-by-hop', ready: true });
    expect(caller.bench.taken('association-open')).toHaveLength(1);
  });

  it('the leader is refused: its transport stays for the others, and the next line is the tagged one', () => {
    const caller = proven(offer(AUDIO, VIDEO));
    const [audio, video] = caller.opened.map(({ channel }) => channel) as [number, number];
    caller.again(refused(AUDIO), VIDEO, 'BUNDLE 1');
    expect(caller.lines(/^(a=group|m=)/).map((line) => line.split(' UDP')[0])).toEqual([
      'a=group:BUNDLE 1',
      'm=audio 0',
      'm=video 20002',
    ]);
    expect(caller.bench.called('closeChannel')).toEqual([]);
    expect(caller.told(audio)).toMatchObject({ ready: false, payloadTypes: [] });
    expect(caller.told(video)).toMatchObject({ ready: true });
    // The association is still that channel's, and so are the next keys.
    const other = { ...VIDEO, more: [...VIDEO.more, `tls-id:${'b'.repeat(20)}`] };
    caller.again(refused(AUDIO), other, 'BUNDLE 1');
    expect(caller.bench.called('awaitPeer').at(-1)![0]).toBe(audio);
    caller.shake(audio);
    expect(caller.bench.called('setChannelKeys').map(([id]) => id)).toEqual([audio, audio]);
    expect(caller.told(video)).toMatchObject({ level: 'hop-by-hop', ready: true });
    caller.bench.callerDoes({ type: 'hangup', call: caller.call });
    expect(
      caller.bench
        .called('closeChannel')
        .map(([id]) => id)
        .sort(),
    ).toEqual([audio, video].sort());
  });

  it('a new association that fails after the leader has gone ends the call', () => {
    const caller = proven(offer(AUDIO, VIDEO));
    const other = { ...VIDEO, more: [...VIDEO.more, `tls-id:${'b'.repeat(20)}`] };
    caller.again(refused(AUDIO), other, 'BUNDLE 1');
    caller.bench.advance(60_000);
    expect(caller.bench.events()).toContain('dtls-failed');
    expect(caller.bench.heard.at(-1)).toMatchObject({ type: 'ended' });
  });

  it('a follower is refused: its channel closes alone', () => {
    const caller = proven(offer(AUDIO, VIDEO));
    const [audio, video] = caller.opened.map(({ channel }) => channel) as [number, number];
    caller.again(AUDIO, refused(VIDEO), 'BUNDLE 0');
    expect(caller.bench.called('closeChannel').map(([id]) => id)).toEqual([video]);
    expect(caller.told(audio)).toMatchObject({ ready: true });
    expect(caller.lines(/^a=group/)).toEqual(['a=group:BUNDLE 0']);
  });

  it('a line that would leave the bundle is refused with a reason, and the call goes on', () => {
    const caller = proven(offer(AUDIO, VIDEO));
    caller.again(AUDIO, { ...VIDEO, port: 40_002 }, 'BUNDLE 0');
    expect(caller.bench.heard.at(-1)).toMatchObject({ type: 'offer-refused', status: 488 });
    expect(caller.bench.called('closeChannel')).toEqual([]);
  });

  it('lines that have transports of their own keep them when a later offer bundles them', () => {
    const caller = new Caller(offer(AUDIO, { ...VIDEO, port: 40_002 }, ''));
    for (const { channel } of caller.opened) caller.shake(channel);
    caller.again(AUDIO, { ...VIDEO, port: 40_002 });
    expect(caller.opened).toHaveLength(2);
    expect(caller.lines(/^a=group/)).toEqual(['a=group:BUNDLE 0']);
  });
});
