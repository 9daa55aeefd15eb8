/** Dialogs over real TLS, played by hand: what a peer sees on the wire. */
import { connect, type TLSSocket } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { type Call, listen } from '../../src/endpoint/index.js';
import { answer, createOffer, readOffer } from '../../src/sip/offer-answer.js';
import { audioInput, videoInput } from '../support/caller.js';
import { issue } from '../support/pki.js';
import { type RunningSwitch, startSwitch, until } from '../support/running-switch.js';

let host: RunningSwitch | undefined;
const sockets: TLSSocket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await host?.stop();
  host = undefined;
});

const FINGERPRINT = { algorithm: 'sha-256' as const, value: new Uint8Array(32).fill(7) };
const LOCAL = { sessionId: '1', sessionVersion: 1, address: '127.0.0.1', fingerprint: FINGERPRINT };
const offer = (security: 'dtls' | 'plain') =>
  createOffer({
    ...LOCAL,
    media: [
      { media: 'audio', port: 40_000, security, codecs: [{ name: 'opus', payloadType: 96 }] },
      { media: 'video', port: 40_002, security, codecs: [{ name: 'H264', payloadType: 97 }] },
    ],
  });

/** One TLS connection of a peer that does exactly what the test says. */
class Peer {
  readonly heard: string[] = [];
  #text = '';
  #sequence = 1;
  toTag = '';

  private constructor(
    readonly socket: TLSSocket,
    readonly callId: string,
  ) {
    socket.on('data', (chunk) => this.#data(chunk.toString('latin1')));
    socket.on('error', () => undefined);
  }

  static open(to: RunningSwitch, callId: string): Promise<Peer> {
    return Peer.connect(to.running.sip.port, to.caPem, callId);
  }

  static async connect(port: number, ca: string, callId: string): Promise<Peer> {
    const socket = connect({ host: '127.0.0.1', port, ca });
    sockets.push(socket);
    await new Promise<void>((resolve, reject) => socket.once('secureConnect', () => resolve()).once('error', reject));
    return new Peer(socket, callId);
  }

  /** @returns the CSeq number */
  send(
    method: string,
    fields: { readonly body?: string; readonly extra?: string; readonly sequence?: number } = {},
  ): number {
    const { body = '', extra = '' } = fields;
    const sequence = fields.sequence ?? this.#sequence++;
    const type = body === '' ? '' : 'Content-Type: application/sdp\r\n';
    this.socket.write(
      `${method} sips:8000@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1;branch=z9hG4bK${method}${sequence}\r\n` +
        `From: <sips:peer@127.0.0.1>;tag=p\r\nTo: <sips:8000@127.0.0.1>${this.toTag === '' ? '' : `;tag=${this.toTag}`}\r\n` +
        `Call-ID: ${this.callId}\r\nCSeq: ${sequence} ${method}\r\nContact: <sips:peer@127.0.0.1>\r\nMax-Forwards: 70\r\n` +
        `${extra}${type}Content-Length: ${body.length}\r\n\r\n${body}`,
    );
    return sequence;
  }

  /** The final response to this CSeq. */
  async final(method: string, sequence: number): Promise<string> {
    const found = () =>
      this.heard.find((m) => /^SIP\/2.0 [2-6]/.test(m) && m.includes(`\r\nCSeq: ${sequence} ${method}\r\n`));
    await until(`an answer to ${method}`, () => found() !== undefined);
    const tag = /\r\nTo: [^\r]*;tag=([^\r;]+)/.exec(found()!);
    if (method === 'INVITE' && found()!.startsWith('SIP/2.0 2')) this.toTag = tag![1]!;
    return found()!;
  }

  request(method: string): string | undefined {
    return this.heard.find((m) => m.startsWith(`${method} `));
  }

  /** Answers a request of the switch. */
  reply(request: string, status: string): void {
    const kept = request.split('\r\n').filter((l) => /^(Via|From|To|Call-ID|CSeq): /.test(l));
    this.socket.write(`SIP/2.0 ${status}\r\n${kept.join('\r\n')}\r\nContent-Length: 0\r\n\r\n`);
  }

  #data(text: string): void {
    this.#text += text;
    for (;;) {
      const end = this.#text.indexOf('\r\n\r\n');
      const length = Number(/\r\nContent-Length: (\d+)/i.exec(this.#text.slice(0, end))?.[1] ?? 0);
      if (end < 0 || this.#text.length < end + 4 + length) return;
      this.heard.push(this.#text.slice(0, end + 4 + length));
      this.#text = this.#text.slice(end + 4 + length);
    }
  }
}

const bodyOf = (message: string) => message.slice(message.indexOf('\r\n\r\n') + 4);
const started = async (): Promise<RunningSwitch> => {
  host = await startSwitch({ 'conferences-policy': 'non-secure' });
  return host;
};
/** A confirmed call of plain RTP. */
async function confirmed(callId: string, extra = ''): Promise<{ readonly peer: Peer; readonly ok: string }> {
  const peer = await Peer.open(host!, callId);
  const sequence = peer.send('INVITE', { body: offer('plain'), extra });
  const ok = await peer.final('INVITE', sequence);
  peer.send('ACK', { sequence });
  return { peer, ok };
}

describe('the answering endpoint', () => {
  it('rings by a reliable 180 where the caller takes one (RFC 3262), answers UPDATE meanwhile, and then the call', async () => {
    const root = await issue(undefined);
    const own = await issue(root, { cn: 'callee', names: ['127.0.0.1'] });
    let pickUp: () => void = () => undefined;
    const calls: Call[] = [];
    const callee = await listen({
      ...{ address: '127.0.0.1', port: 0, tls: { cert: own.pem, key: own.keyPem } },
      answer: () => ({ audio: [audioInput(1)], video: [videoInput(1)], security: 'plain' }),
      ring: () => new Promise((resolve) => (pickUp = resolve)),
      onCall: (call) => void calls.push(call),
    });
    const caller = await Peer.connect(callee.port, root.pem, 'rings');
    const sequence = caller.send('INVITE', { body: offer('plain'), extra: 'Require: 100rel\r\n' });
    await until('180', () => caller.heard.some((m) => m.startsWith('SIP/2.0 180 ')));
    const ringing = caller.heard.find((m) => m.startsWith('SIP/2.0 180 '))!;
    expect(ringing).toContain('\r\nRequire: 100rel\r\n');
    caller.toTag = /\r\nTo: [^\r]*;tag=([^\r;]+)/.exec(ringing)![1]!;
    const rack = `RAck: ${/\r\nRSeq: (\d+)/.exec(ringing)![1]!} ${sequence} INVITE\r\n`;
    await until('180 again', () => caller.heard.filter((m) => m === ringing).length > 1);
    expect(await caller.final('PRACK', caller.send('PRACK', { extra: rack }))).toMatch(/^SIP\/2.0 200 /);
    expect(await caller.final('PRACK', caller.send('PRACK', { extra: rack }))).toMatch(/^SIP\/2.0 481 /);
    expect(await caller.final('UPDATE', caller.send('UPDATE'))).toMatch(/^SIP\/2.0 200 /);
    pickUp();
    expect(await caller.final('INVITE', sequence)).toMatch(/^SIP\/2.0 200 /);
    caller.send('ACK', { sequence });
    await until('the call', () => calls.length === 1);
    calls[0]!.kill();
    await callee.close();
  });
});

describe('a call over TLS', () => {
  it('without an offer gets ours in the 200, and its answer in the ACK is taken', async () => {
    const to = await started();
    const peer = await Peer.open(to, 'no-offer');
    const sequence = peer.send('INVITE');
    const ours = readOffer(bodyOf(await peer.final('INVITE', sequence)));
    expect(ours.ok && ours.value.media.map((m) => [m.media, m.security])).toEqual([
      ['audio', 'plain'],
      ['video', 'plain'],
    ]);
    if (!ours.ok) return;
    const answered = answer(ours.value, { ...LOCAL, media: [{ port: 40_000 }, undefined] });
    peer.send('ACK', { sequence, body: answered.ok ? answered.value.sdp : '' });
    await until('the member is in', () => to.running.conferenceLevel('8000') === 'none');
    // What the answer did not take stays out, and the session goes on from there.
    const again = peer.send('INVITE');
    const second = bodyOf(await peer.final('INVITE', again));
    expect(second).toMatch(/m=audio [1-9]\d* RTP\/AVP [\s\S]*m=video 0 RTP\/AVP/);
    peer.send('ACK', { sequence: again, body: answered.ok ? answered.value.sdp : '' });
    const bye = peer.send('BYE');
    expect(await peer.final('BYE', bye)).toMatch(/^SIP\/2.0 200 /);
  });

  it('whose answer in the ACK does not fit ends with BYE and 488', async () => {
    const to = await started();
    const peer = await Peer.open(to, 'bad-answer');
    const sequence = peer.send('INVITE');
    await peer.final('INVITE', sequence);
    peer.send('ACK', { sequence });
    await until('BYE', () => peer.request('BYE') !== undefined);
    expect(peer.request('BYE')).toContain('Reason: SIP;cause=488');
  });

  it('has a session timer: 422 below the least, else as asked, and UPDATE refreshes it', async () => {
    await started();
    const short = await Peer.open(host!, 'short');
    const refused = await short.final(
      'INVITE',
      short.send('INVITE', { body: offer('plain'), extra: 'Supported: timer\r\nSession-Expires: 30\r\n' }),
    );
    expect(refused).toMatch(/^SIP\/2.0 422 [\s\S]*Min-SE: 90/);
    const { peer, ok } = await confirmed('timed', 'Supported: timer\r\nSession-Expires: 120;refresher=uac\r\n');
    expect(ok).toContain('Session-Expires: 120;refresher=uac');
    const update = await peer.final(
      'UPDATE',
      peer.send('UPDATE', { extra: 'Supported: timer\r\nSession-Expires: 120;refresher=uac\r\n' }),
    );
    expect(update).toMatch(/^SIP\/2.0 200 [\s\S]*Session-Expires: 120;refresher=uac/);
  });

  it('changes its media by UPDATE, as by re-INVITE: hold and back', async () => {
    await started();
    const { peer } = await confirmed('held');
    const hold = offer('plain').replaceAll('a=sendrecv', 'a=sendonly').replace('o=- 1 1', 'o=- 1 2');
    const held = await peer.final('UPDATE', peer.send('UPDATE', { body: hold }));
    expect(bodyOf(held).match(/a=recvonly/g)).toHaveLength(2);
    const sequence = peer.send('INVITE', { body: offer('plain').replace('o=- 1 1', 'o=- 1 3') });
    expect(bodyOf(await peer.final('INVITE', sequence)).match(/a=sendrecv/g)).toHaveLength(2);
    peer.send('ACK', { sequence });
  });

  it('REFER and Replaces are nothing that a stranger may ask for', async () => {
    await started();
    const { peer } = await confirmed('refer');
    const refer = await peer.final('REFER', peer.send('REFER', { extra: 'Refer-To: <sips:victim@127.0.0.1>\r\n' }));
    expect(refer).toMatch(/^SIP\/2.0 405 /);
  });

  it('that was never acknowledged gets its BYE when the switch stops', async () => {
    const to = await started();
    const peer = await Peer.open(to, 'no-ack');
    await peer.final('INVITE', peer.send('INVITE', { body: offer('plain') }));
    const stopped = to.running.stop();
    await until('BYE', () => peer.request('BYE') !== undefined);
    expect(peer.request('BYE')).toContain('Reason: SIP;cause=503');
    peer.reply(peer.request('BYE')!, '200 OK');
    await stopped;
  });
});
