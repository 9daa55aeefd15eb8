import { describe, expect, it } from 'vitest';
import {
  DTLS_HANDSHAKE_TIMEOUT_MS,
  DTLS_MAX_PARALLEL_ADDRESSES,
  MAX_CONTROL_COMPOUNDS_PER_CHANNEL_SECOND,
} from '../../../src/base/limits.js';
import { countLevels } from '../../../src/control/administration.js';
import { writeTip } from '../../../src/wire/tip.js';
import { Bench, CLIENT_HELLO, keysReport, SIGNALLED, secured, TipPeer } from './harness.js';

describe('a call into a secure conference', () => {
  it('is answered with a channel for each line, and is ready only when every channel has ACKed its set', () => {
    const bench = new Bench();
    const { channels } = secured(bench);
    expect(bench.heard.map((o) => o.type)).toContain('answered');
    const answer = bench.heard.find((o) => o.type === 'answered');
    expect(answer?.type === 'answered' && answer.sdp).toMatch(
      /m=audio 20002 UDP\/TLS\/RTP\/SAVPF 96[\s\S]*a=setup:passive/,
    );
    const ready = bench.called('setParameters').filter(([, p]) => p.ready);
    expect(new Set(ready.map(([channel]) => channel))).toEqual(new Set(channels));
    const firstReady = bench.relayCalls.findIndex(
      (c) => c.name === 'setParameters' && (c.args[1] as { ready: boolean }).ready,
    );
    const lastAck = bench.relayCalls.map((c) => c.name).lastIndexOf('setAcked');
    expect(firstReady).toBeGreaterThan(lastAck);
    expect(bench.control.conferenceLevel('8000')).toBe('end-to-end');
  });

  it('proves the peer and hands over the keys before it speaks TIP, and wipes its own copies', () => {
    const bench = new Bench();
    bench.dial();
    const { channel } = bench.called('openChannel')[0]![0];
    bench.relay({ type: 'relay', events: [{ type: 'dtls', channel, from: SIGNALLED, bytes: CLIENT_HELLO }] });
    const keys = keysReport();
    expect(bench.called('sendControl')).toEqual([]);
    bench.association(bench.taken('association-open')[0]!.association, keys);
    const names = bench.relayCalls.map((c) => c.name);
    expect(names.indexOf('provePeer')).toBeLessThan(names.indexOf('setChannelKeys'));
    expect(names.indexOf('setChannelKeys')).toBeLessThan(names.indexOf('sendControl'));
    expect([keys.local.wiped, keys.remote.wiped]).toEqual([true, true]);
  });

  it('closes channels, wipes the sets and forgets the conference when its last member hangs up', () => {
    const bench = new Bench();
    const { call, channels } = secured(bench);
    const set = bench.called('installSet')[0]![1];
    bench.callerDoes({ type: 'hangup', call });
    expect(new Set(bench.called('closeChannel').map(([c]) => c))).toEqual(new Set(channels));
    expect(bench.called('closeConference')).toHaveLength(1);
    expect([set.kek.wiped, set.masterSalt.wiped]).toEqual([true, true]);
    expect(bench.control.conferenceLevel('8000')).toBeUndefined();
  });

  it('is refused on a plain offer without a socket being opened (C3)', () => {
    const bench = new Bench();
    bench.dial('8000', 'plain');
    expect(bench.called('openChannel')).toEqual([]);
    expect(bench.heard.find((o) => o.type === 'failed')).toMatchObject({ status: 488 });
    expect(bench.events()).toEqual(['security-mismatch']);
    expect(bench.taken('call-refused').map((o) => o.status)).toEqual([488]);
  });

  it('ends with an event when no DTLS peer proves itself in time, and the conference does not survive it', () => {
    const bench = new Bench();
    bench.dial();
    bench.advance(DTLS_HANDSHAKE_TIMEOUT_MS - 1);
    expect(bench.events()).toEqual([]);
    bench.advance(1);
    expect(bench.events()).toEqual(['dtls-failed']);
    expect(bench.heard.find((o) => o.type === 'ended')).toMatchObject({ by: 'peer' });
    expect(bench.control.conferenceLevel('8000')).toBeUndefined();
  });

  it('ends with media-timeout when the peer never speaks TIP', () => {
    const bench = new Bench();
    bench.dial();
    const opened = bench.called('openChannel').map(([o]) => o);
    for (const [i, { channel }] of opened.entries()) {
      const from = { address: SIGNALLED.address, port: SIGNALLED.port + 2 * i };
      bench.relay({ type: 'relay', events: [{ type: 'dtls', channel, from, bytes: CLIENT_HELLO }] });
      bench.association(bench.taken('association-open').at(-1)!.association, keysReport());
    }
    bench.advance(9_999);
    expect(bench.events()).toEqual([]);
    bench.advance(2);
    expect(bench.events()).toEqual(['media-timeout']);
  });
});

describe('attacks on a channel that is being set up', () => {
  const from = (n: number) => ({ address: '198.51.100.9', port: 1_000 + n });

  it('strangers’ hellos: a bounded number of associations, and the signalled address always gets one', () => {
    const bench = new Bench();
    bench.dial();
    const { channel } = bench.called('openChannel')[0]![0];
    for (let n = 0; n < 50; n++) {
      bench.relay({ type: 'relay', events: [{ type: 'dtls', channel, from: from(n), bytes: CLIENT_HELLO }] });
    }
    expect(bench.taken('association-open')).toHaveLength(DTLS_MAX_PARALLEL_ADDRESSES);
    bench.relay({ type: 'relay', events: [{ type: 'dtls', channel, from: SIGNALLED, bytes: CLIENT_HELLO }] });
    expect(bench.taken('association-open')).toHaveLength(DTLS_MAX_PARALLEL_ADDRESSES + 1);
    expect(bench.taken('association-open').at(-1)).toMatchObject({ signalled: true });
    expect(bench.taken('association-close')).toEqual([]);
    bench.association(bench.taken('association-open').at(-1)!.association, keysReport());
    expect(bench.called('provePeer')).toEqual([[channel, SIGNALLED]]);
    // The others are closed; nobody else can prove himself any more.
    expect(bench.taken('association-close')).toHaveLength(DTLS_MAX_PARALLEL_ADDRESSES);
    for (const { association } of bench.taken('association-open').slice(0, -1))
      bench.association(association, keysReport());
    expect(bench.called('setChannelKeys')).toHaveLength(1);
  });

  it('an address is the signalled one however signalling wrote it: its wrong certificate ends the call', () => {
    const bench = new Bench();
    bench.dial('8000', 'dtls', ['audio', 'video'], '2001:DB8:0:0::0007');
    const { channel } = bench.called('openChannel')[0]![0];
    const sender = { address: '2001:db8::7', port: SIGNALLED.port };
    bench.relay({ type: 'relay', events: [{ type: 'dtls', channel, from: sender, bytes: CLIENT_HELLO }] });
    const { association } = bench.taken('association-open').at(-1)!;
    bench.association(association, { type: 'failed', reason: 'fingerprint-mismatch', detail: 'another certificate' });
    expect(bench.heard.some((o) => o.type === 'ended')).toBe(true);
  });

  it('an engine that is lost before it answered costs nothing but the next hello, and the call at once after it', () => {
    const bench = new Bench();
    bench.dial();
    const { channel } = bench.called('openChannel')[0]![0];
    const hello = {
      type: 'relay' as const,
      events: [{ type: 'dtls' as const, channel, from: SIGNALLED, bytes: CLIENT_HELLO }],
    };
    const lost = {
      type: 'failed' as const,
      reason: 'engine-lost',
      detail: 'the DTLS worker of this association ended',
    };
    bench.relay(hello);
    bench.association(bench.taken('association-open').at(-1)!.association, lost);
    expect(bench.events()).toEqual([]);
    bench.relay(hello);
    expect(bench.taken('association-open')).toHaveLength(2);
    const { association } = bench.taken('association-open').at(-1)!;
    bench.association(association, { type: 'datagram', bytes: CLIENT_HELLO });
    bench.association(association, lost);
    expect(bench.events()).toEqual(['dtls-failed']);
    expect(bench.heard.find((o) => o.type === 'ended')).toMatchObject({ by: 'peer' });
  });

  it('a stranger’s wrong certificate is an alarm and does not end the call; the member’s own does', () => {
    const bench = new Bench();
    bench.dial();
    const { channel } = bench.called('openChannel')[0]![0];
    const mismatch = { type: 'failed' as const, reason: 'fingerprint-mismatch', detail: 'another certificate' };
    bench.relay({ type: 'relay', events: [{ type: 'dtls', channel, from: from(1), bytes: CLIENT_HELLO }] });
    bench.association(bench.taken('association-open').at(-1)!.association, mismatch);
    expect(bench.events()).toEqual(['fingerprint-mismatch']);
    expect(bench.heard.some((o) => o.type === 'ended')).toBe(false);
    bench.relay({ type: 'relay', events: [{ type: 'dtls', channel, from: SIGNALLED, bytes: CLIENT_HELLO }] });
    bench.association(bench.taken('association-open').at(-1)!.association, mismatch);
    expect(bench.events()).toEqual(['fingerprint-mismatch', 'fingerprint-mismatch']);
    expect(bench.heard.find((o) => o.type === 'ended')).toMatchObject({ by: 'peer' });
  });

  it('what is not a handshake record costs no association', () => {
    const bench = new Bench();
    bench.dial();
    const { channel } = bench.called('openChannel')[0]![0];
    for (const type of [20, 21, 23, 25, 63]) {
      const events = [{ type: 'dtls' as const, channel, from: SIGNALLED, bytes: Uint8Array.of(type, 254, 253) }];
      bench.relay({ type: 'relay', events });
    }
    expect(bench.taken('association-open')).toEqual([]);
  });

  it('TIP from a media SSRC is not heard (WIRE.md 3)', () => {
    const bench = new Bench();
    bench.dial();
    const { channel, media } = bench.called('openChannel')[0]![0];
    bench.relay({ type: 'relay', events: [{ type: 'dtls', channel, from: SIGNALLED, bytes: CLIENT_HELLO }] });
    bench.association(bench.taken('association-open')[0]!.association, keysReport());
    const peer = new TipPeer(bench, channel, media);
    const before = bench.called('sendControl').length;
    for (let out = peer.machine.poll(); out !== undefined; out = peer.machine.poll()) {
      if (out.type === 'send') {
        bench.relay({ type: 'relay', events: [{ type: 'control', channel, rtcp: out.packet, tipAllowed: false }] });
      }
    }
    expect(bench.called('sendControl')).toHaveLength(before);
  });
});

describe('attack: a member that asks without end', () => {
  it('is heard so often a second, and again in the next: its flood does not take the others’ time', () => {
    const bench = new Bench();
    const channel = secured(bench).channels[0]!;
    bench.advance(1_000);
    const answered = (first: number): number => {
      const before = bench.called('sendControl').length;
      for (let i = first; i < first + 1_000; i++) {
        const rtcp = writeTip({ type: 'echo', ssrc: 0xabcdef00, ntp: BigInt(i), receiveNtp: 0n });
        bench.relay({ type: 'relay', events: [{ type: 'control', channel, rtcp, tipAllowed: true }] });
      }
      return bench.called('sendControl').length - before;
    };
    expect(answered(1)).toBe(MAX_CONTROL_COMPOUNDS_PER_CHANNEL_SECOND);
    bench.advance(1_000);
    expect(answered(2_000)).toBe(MAX_CONTROL_COMPOUNDS_PER_CHANNEL_SECOND);
  });
});

describe('stopping', () => {
  it('says BYE with 503, refuses the next call with 503, and reports when the last call is over', () => {
    const bench = new Bench();
    secured(bench);
    bench.stop();
    expect(bench.heard.find((o) => o.type === 'ended')).toMatchObject({
      by: 'peer',
      cause: expect.stringContaining('cause=503'),
    });
    expect(bench.taken('stopped')).toHaveLength(1);
    bench.dial();
    expect(bench.heard.find((o) => o.type === 'failed')).toMatchObject({ status: 503 });
  });
});

describe('dialling', () => {
  it.each([
    ['a name that no conference can have', {}, 'no%20such', 404],
    ['no ad-hoc conferences', { adHoc: undefined }, '8000', 404],
    ['no room for a conference', { maxConferences: 0 }, '8000', 503],
    ['an audio-only call into end-to-end (C8)', {}, '8000', 488],
  ] as const)('%s: %4$s', (what, options, user, status) => {
    const bench = new Bench(options);
    bench.dial(user, 'dtls', what.startsWith('an audio-only') ? ['audio'] : ['audio', 'video']);
    expect(bench.heard.find((o) => o.type === 'failed')).toMatchObject({ status });
    expect(countLevels(bench.control.views()).conferences).toEqual({
      unknown: 0,
      none: 0,
      'hop-by-hop': 0,
      'end-to-end': 0,
    });
  });
});
