/** Wireshark's dissectors find nothing malformed in our SIP, SDP, RTP and RTCP; what was inside TLS is captured as it was said. */
import { spawnSync } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { writeFileSync } from 'node:fs';
import { connect, type TLSSocket } from 'node:tls';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { concat } from '../../src/base/bytes.js';
import type { Address } from '../../src/base/ids.js';
import { PcapWriter } from '../../src/endpoint/media/pcap.js';
import { createOffer } from '../../src/sip/offer-answer.js';
import { writeRtpHeader } from '../../src/wire/rtp.js';
import { makePlace, type Place } from '../support/configured-switch.js';
import { describeWithPeers } from '../support/peers.js';
import { until } from '../support/running-switch.js';

const SIP: Address = { address: '127.0.0.1', port: 5_060 };
const PEER: Address = { address: '127.0.0.2', port: 5_060 };
const FINGERPRINT = { algorithm: 'sha-256', value: new Uint8Array(32).fill(0xab) } as const;

/** One Opus frame (RFC 6716 §3.2.2), one H.264 access unit delimiter. */
const PAYLOADS = [Uint8Array.of(0x08, 1, 2, 3), Uint8Array.of(0x09, 0xf0)];

let place: Place;
const closing: (() => unknown)[] = [];
const pieces: Uint8Array[] = [];
let pcap: PcapWriter;
beforeEach(async () => {
  place = await makePlace();
  pieces.length = 0;
  pcap = new PcapWriter((bytes) => void pieces.push(bytes));
});
afterEach(async () => {
  for (const close of closing.splice(0)) close();
  await place.close();
});

function capture(from: Address, to: Address, payload: Uint8Array): void {
  const written = pcap.datagram({ time: Date.now(), from, to, payload });
  if (!written.ok) throw new Error(written.reason);
}

/** Fields of every packet that the filter takes; `media` ports carry RTP and RTCP. */
function tshark(filter: string, fields: readonly string[], media: readonly number[] = []): string[] {
  const file = place.file('capture.pcap');
  writeFileSync(file, Buffer.concat(pieces));
  const ports = media.flatMap((port) => ['-d', `udp.port==${port},rtp`]);
  const shown = fields.flatMap((field) => ['-e', field]);
  const args = ['-n', '-r', file, '-d', 'udp.port==5060,sip', ...ports, '-Y', filter, '-T', 'fields', ...shown];
  const ran = spawnSync('tshark', args, { encoding: 'utf8' });
  if (ran.status !== 0) throw new Error(ran.stderr);
  return ran.stdout.split('\n').filter((line) => line !== '');
}

const MALFORMED = '_ws.malformed || _ws.expert.severity == "Error" || _ws.expert.group == "Malformed"';

/** A caller by hand: each message is captured as it goes into TLS and as it comes out. */
class Caller {
  heard: string[] = [];
  readonly #socket: TLSSocket;
  #text = '';

  constructor(port: number) {
    this.#socket = connect({ host: '127.0.0.1', port, ca: place.root.pem, servername: 'switch.example' });
    closing.push(() => this.#socket.destroy());
    this.#socket.on('data', (chunk) => this.#data(chunk.toString('utf8')));
  }

  #data(chunk: string): void {
    this.#text += chunk;
    for (let end = this.#text.indexOf('\r\n\r\n'); end >= 0; end = this.#text.indexOf('\r\n\r\n')) {
      const length = Number(/content-length: (\d+)/i.exec(this.#text)![1]);
      if (this.#text.length < end + 4 + length) return;
      const message = this.#text.slice(0, end + 4 + length);
      this.#text = this.#text.slice(message.length);
      capture(SIP, PEER, Buffer.from(message));
      this.heard.push(message);
    }
  }

  say(
    method: string,
    sequence: number,
    more: { to?: string; body?: string; extra?: string; user?: string } = {},
  ): void {
    const { to = '', body = '', extra = '', user = 'board' } = more;
    const type = body === '' ? '' : 'Content-Type: application/sdp\r\n';
    const branch = method === 'ACK' || method === 'CANCEL' ? sequence : `${method}${sequence}`;
    const message =
      `${method} sip:${user}@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.2:5060;branch=z9hG4bK${branch}\r\nMax-Forwards: 70\r\n` +
      `From: <sip:peer@127.0.0.2>;tag=f\r\nTo: <sip:${user}@127.0.0.1>${to}\r\nCall-ID: ${user}\r\nCSeq: ${sequence} ${method}\r\n` +
      `Contact: <sip:peer@127.0.0.2>\r\n${extra}${type}Content-Length: ${body.length}\r\n\r\n${body}`;
    this.#socket.write(message);
  }

  async answer(what: string, sequence: string): Promise<string> {
    const found = (): string | undefined =>
      this.heard.find((m) => m.includes(`CSeq: ${sequence}`) && !m.startsWith('SIP/2.0 100'));
    await until(what, () => found() !== undefined);
    return found()!;
  }

  /** A call that is up; its To parameter and the answer. */
  async call(sdp: string, user = 'board'): Promise<{ readonly to: string; readonly answer: string }> {
    this.say('INVITE', 1, { body: sdp, user });
    const answer = await this.answer('an answer', '1 INVITE');
    const to = /^To: [^;]*(;tag=\S+)/m.exec(answer)![1]!;
    this.say('ACK', 1, { to, user });
    return { to, answer };
  }
}

async function mediaSocket(): Promise<Socket> {
  const socket = createSocket('udp4');
  closing.push(() => socket.close());
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  return socket;
}

function offer(security: 'dtls' | 'plain', ports: readonly number[]): string {
  return createOffer({
    sessionId: '1',
    sessionVersion: 1,
    address: '127.0.0.1',
    ...(security === 'dtls' ? { fingerprint: FINGERPRINT } : {}),
    media: ports.map((port, i) => ({
      media: i === 0 ? ('audio' as const) : ('video' as const),
      port,
      security,
      codecs: [
        i === 0 ? { name: 'opus', payloadType: 96 } : { name: 'H264', payloadType: 97, profileLevelId: '42e01f' },
      ],
    })),
  });
}

describeWithPeers('tshark finds nothing malformed', ['tshark'], () => {
  it('in what the switch says in SIP and SDP: answers, refusals, BYE', async () => {
    const running = await place.start('');
    const caller = new Caller(running.sip.port);
    caller.say('OPTIONS', 1, { user: 'o' });
    await caller.answer('capabilities', '1 OPTIONS');
    const { to } = await caller.call(offer('dtls', [5_000, 5_002]));
    caller.say('OPTIONS', 2, { to });
    await caller.answer('capabilities', '2 OPTIONS');
    caller.say('INVITE', 1, { user: 'plain', body: offer('plain', [5_000]) });
    expect(await caller.answer('a refusal', '1 INVITE')).toMatch(/^SIP/);
    caller.say('INVITE', 3, { to, body: offer('dtls', [5_000, 5_002]) });
    await caller.answer('a refreshed session', '3 INVITE');
    caller.say('ACK', 3, { to });
    caller.say('REFER', 9, { user: 'r', extra: 'Require: nothing\r\n' });
    await caller.answer('a refusal', '9 REFER');
    caller.say('BYE', 7, { user: 'b', to: ';tag=x' });
    await caller.answer('no such call', '7 BYE');
    await running.stop();
    await until('BYE', () => caller.heard.some((m) => m.startsWith('BYE ')));
    expect(tshark('sip', ['frame.number'])).toHaveLength(caller.heard.length);
    expect(tshark('sdp', ['sdp.version']).length).toBeGreaterThanOrEqual(2);
    expect(tshark('sip.Status-Code', ['sip.Status-Code'])).toEqual(
      expect.arrayContaining(['100', '200', '488', '481']),
    );
    expect(tshark(MALFORMED, ['frame.number', '_ws.expert.message'])).toEqual([]);
  });

  it('in the RTP and RTCP that it relays and makes', async () => {
    const running = await place.start('[conferences]\npolicy = "non-secure"');
    const members = [];
    for (const name of ['one', 'two']) {
      const sockets = [await mediaSocket(), await mediaSocket()];
      const caller = new Caller(running.sip.port);
      const ports = sockets.map((s) => s.address().port);
      const body = offer('plain', ports).replaceAll('RTP/AVP ', 'RTP/AVPF ');
      const { answer } = await caller.call(body.replace('s=-', `s=${name}`));
      const theirs = [...answer.matchAll(/^m=\w+ (\d+)/gm)].map((m) => Number(m[1]));
      for (const [i, socket] of sockets.entries()) {
        const here = { address: '127.0.0.1', port: ports[i]! };
        socket.on('message', (bytes, from) => capture({ address: from.address, port: from.port }, here, bytes));
      }
      members.push({ sockets, theirs, ports });
    }
    const [one, two] = members;
    const media = members.flatMap((m) => m.ports);
    let sequence = 0;
    const timer = setInterval(() => {
      sequence++;
      for (const [m, { sockets, theirs }] of [one!, two!].entries()) {
        for (const [i, socket] of sockets.entries()) {
          const fields = { payloadType: 96 + i, sequence, timestamp: 960 * sequence, ssrc: 100 * (m + 1) + i };
          socket.send(concat(writeRtpHeader(fields), PAYLOADS[i]!), theirs[i]!, '127.0.0.1');
        }
      }
    }, 20);
    closing.push(() => clearInterval(timer));
    const count = (filter: string): number => tshark(filter, ['frame.number'], media).length;
    await until('media and reports', () => count('rtp') > 50 && count('rtcp') > 1, 20_000);
    clearInterval(timer);
    expect(tshark('rtcp', ['rtcp.pt'], media).join()).toMatch(/20[01]/);
    expect(tshark(MALFORMED, ['frame.number', '_ws.expert.message'], media)).toEqual([]);
  }, 45_000);

  it('and would find it', () => {
    const header = writeRtpHeader({ payloadType: 96, sequence: 1, timestamp: 1, ssrc: 1 });
    header[0]! |= 15; // CSRCs that are not there
    capture(PEER, { ...PEER, port: 5_000 }, header);
    expect(tshark(MALFORMED, ['frame.number'], [5_000])).toEqual(['1']);
  });
});
