/** Who gets the last place when callers that have proven nothing hold the others. */
import { describe, expect, it } from 'vitest';
import { createOffer } from '../../../src/sip/offer-answer.js';
import { parseSipMessage } from '../../../src/wire/sip-message.js';
import { Bench, CLIENT_HELLO, FINGERPRINT, keysReport, SIGNALLED, TipPeer } from './harness.js';

const SDP = createOffer({
  sessionId: '1',
  sessionVersion: 1,
  address: '198.51.100.9',
  fingerprint: FINGERPRINT,
  media: [
    { media: 'audio', port: 5_000, security: 'dtls', codecs: [{ name: 'opus', payloadType: 96 }] },
    { media: 'video', port: 5_002, security: 'dtls', codecs: [{ name: 'H264', payloadType: 112 }] },
  ],
});

/** A caller at `address`, on its own connection; `dial` gives the status of the final answer. */
class Elsewhere {
  #calls = 0;

  constructor(
    private readonly bench: Bench,
    private readonly connection: number,
    address: string,
  ) {
    const local = { address: '192.0.2.1', port: 5_061 };
    bench.sip({ type: 'connected', connection, remote: { address, port: 5_061 }, local, transport: 'tls' });
  }

  dial(user = '8000'): number {
    const id = `${this.connection}-${++this.#calls}`;
    const head = [
      `INVITE sip:${user}@192.0.2.1 SIP/2.0`,
      `Via: SIP/2.0/TLS x.example;branch=z9hG4bK${id}`,
      `From: <sip:x@x.example>;tag=${id}`,
      `To: <sip:${user}@192.0.2.1>`,
      `Call-ID: ${id}`,
      'CSeq: 1 INVITE',
      'Contact: <sip:x@198.51.100.9>',
      'Content-Type: application/sdp',
      `Content-Length: ${SDP.length}`,
    ];
    const parsed = parseSipMessage(new TextEncoder().encode(`${head.join('\r\n')}\r\n\r\n${SDP}`));
    if (!parsed.ok) throw new Error(parsed.reason);
    this.bench.sip({ type: 'message', connection: this.connection, message: parsed.value });
    const sent = this.bench.taken('sip').flatMap(({ output }) => {
      const ours = output.type === 'send' && output.connection === this.connection;
      return ours ? [new TextDecoder().decode(output.bytes)] : [];
    });
    return Number(sent.at(-1)!.slice(8, 11));
  }
}

describe('attack: all places taken by calls that never prove anything', () => {
  it('a stranger who fills a conference gives one up for a caller from elsewhere, and gets no more than its share back', () => {
    const bench = new Bench({ maxMembers: 4 });
    const stranger = new Elsewhere(bench, 2, '198.51.100.9');
    expect([1, 2, 3, 4, 5].map(() => stranger.dial())).toEqual([200, 200, 200, 200, 503]);
    const ann = new Elsewhere(bench, 3, '203.0.113.1');
    const bob = new Elsewhere(bench, 4, '203.0.113.2');
    expect([ann.dial(), bob.dial()]).toEqual([200, 200]);
    expect(stranger.dial()).toBe(503);
  });

  it('nor does one who has many addresses: all of a /64 are one caller', () => {
    const bench = new Bench({ maxMembers: 4 });
    const many = [1, 2, 3, 4].map((n) => new Elsewhere(bench, n + 1, `2001:db8::${n}`));
    expect(many.map((caller) => caller.dial())).toEqual([200, 200, 200, 200]);
    expect(new Elsewhere(bench, 6, '2001:db8::6').dial()).toBe(503);
    expect(new Elsewhere(bench, 7, '2001:db8:0:1::1').dial()).toBe(200);
  });

  it('the same for all conferences together', () => {
    const bench = new Bench({ maxConferences: 2 });
    const stranger = new Elsewhere(bench, 2, '198.51.100.9');
    expect(['a', 'b', 'c'].map((name) => stranger.dial(name))).toEqual([200, 200, 503]);
    expect(new Elsewhere(bench, 3, '203.0.113.1').dial('board')).toBe(200);
    expect(bench.control.conferenceLevel('b')).toBeUndefined();
  });

  it('a proven member never gives way, nor a call of somebody who has no more than the caller', () => {
    const bench = new Bench({ maxMembers: 2 });
    for (const _ of [1, 2]) {
      bench.dial();
      const opened = bench.called('openChannel').slice(-2);
      for (const [i, [{ channel, media }]] of opened.entries()) {
        const from = { address: SIGNALLED.address, port: SIGNALLED.port + 2 * i };
        bench.relay({ type: 'relay', events: [{ type: 'dtls', channel, from, bytes: CLIENT_HELLO }] });
        bench.association(bench.taken('association-open').at(-1)!.association, keysReport());
        new TipPeer(bench, channel, media).run();
      }
    }
    expect(new Elsewhere(bench, 2, '198.51.100.9').dial()).toBe(503);
    expect(bench.heard.some((o) => o.type === 'ended')).toBe(false);

    const shared = new Bench({ maxMembers: 2 });
    expect([2, 3, 4].map((c) => new Elsewhere(shared, c, `198.51.100.${c}`).dial())).toEqual([200, 200, 503]);
  });
});

describe('attack: the codec of a conference chosen by a caller that proves nothing', () => {
  const CODECS = {
    opus: { name: 'opus', payloadType: 96 },
    PCMU: { name: 'PCMU', payloadType: 0 },
  } as const;
  const offer = (audio: keyof typeof CODECS): string =>
    createOffer({
      ...{ sessionId: '1', sessionVersion: 1, address: SIGNALLED.address, fingerprint: FINGERPRINT },
      media: [
        {
          media: 'audio',
          port: 5_000,
          security: 'dtls',
          codecs: [CODECS[audio]],
        },
        { media: 'video', port: 5_002, security: 'dtls', codecs: [{ name: 'H264', payloadType: 112 }] },
      ],
    }).replaceAll('\r', '');

  it('one who has no codec in common with it may come again when it is gone, and then is taken', () => {
    const bench = new Bench();
    bench.dialSdp(offer('opus'));
    expect(bench.heard.at(-1)).toMatchObject({ type: 'answered' });
    bench.dialSdp(offer('PCMU'));
    expect(bench.heard.at(-1)).toMatchObject({ type: 'failed', status: 503, retryAfterSeconds: 15 });
    bench.advance(20_000); // nobody proved itself
    bench.dialSdp(offer('PCMU'));
    expect(bench.heard.at(-1)).toMatchObject({ type: 'answered' });
  });

  it('once somebody is there in earnest, its line without a common codec is refused for good', () => {
    const bench = new Bench({ adHoc: { policy: 'non-secure', requiredLevel: 'none' } });
    const plain = (audio: keyof typeof CODECS): string =>
      offer(audio)
        .replaceAll(/UDP\/TLS\/RTP\/SAVPF?/g, 'RTP/AVP')
        .replaceAll(/a=(fingerprint|setup|tls-id):.*\n/g, '');
    bench.dialSdp(plain('opus'));
    expect(bench.heard.at(-1)).toMatchObject({ type: 'answered' });
    bench.dialSdp(plain('PCMU'));
    expect(bench.heard.at(-1)).toMatchObject({ type: 'answered', sdp: expect.stringMatching(/m=audio 0 /) });
  });
});
