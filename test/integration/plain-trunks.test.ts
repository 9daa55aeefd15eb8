/** Non-secure trunks over TCP and UDP: calls both ways, what changes in them, and how they end. */
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Switch } from '../../src/server/switch.js';
import { createOffer } from '../../src/sip/offer-answer.js';
import { freePort, makePlace, type Place } from '../support/configured-switch.js';
import { a, type DnsServer, openDnsServer } from '../support/dns-server.js';
import { until } from '../support/running-switch.js';
import { openSipPeer, plainAnswer, type SipPeer } from '../support/sip-peer.js';

let place: Place;
let dns: DnsServer;
let peer: SipPeer;
let running: Switch;
let port = 0;
const sockets: (() => void)[] = [];

beforeEach(async () => {
  place = await makePlace();
  dns = await openDnsServer();
});
afterEach(async () => {
  for (const close of sockets.splice(0)) close();
  await place.close();
  await peer.close();
  await dns.close();
});

type Transport = 'tcp' | 'udp';

/** @param policy of the conferences; the peer answers every INVITE with plain RTP, and everything else with 200. */
async function start(transport: Transport, policy = 'non-secure', name?: string): Promise<void> {
  peer = await openSipPeer({
    transport,
    reply: (request) => {
      if (request.startsWith('INVITE')) return plainAnswer(request, transport, peer.port);
      return request.startsWith('ACK') ? undefined : 'SIP/2.0 200 OK';
    },
  });
  port = await freePort();
  const more = name === undefined ? '' : `[dns]\nservers = ["${dns.address}"]\n`;
  running = await place.start(
    `[conferences]\npolicy = "${policy}"\n[[trunks]]\nname = "pbx"\nsecurity = "non-secure"\nsrtp = false\nincoming = ["${transport}"]\noutgoing = "${transport}"\nport = ${port}\npeers = ["${name ?? '127.0.0.1'}:${peer.port}"]\n${more}`,
  );
}

async function dialled(target = '4711'): Promise<void> {
  running.dial({ conference: 'board', target });
  await until('the answer', () => running.dialled('board', 1)?.state === 'answered');
  await until('ACK', () => methods().includes('ACK'));
}

const methods = (): string[] => peer.requests.map((r) => r.split(' ')[0]!);
const header = (message: string, name: string): string => new RegExp(`^${name}: (.*)\r$`, 'm').exec(message)![1]!;
const finals = (method: string): string[] =>
  peer.responses.filter((r) => /^SIP\/2.0 [2-6]/.test(r) && header(r, 'CSeq').endsWith(method));

const offer = (version: number, direction = 'sendrecv'): string =>
  createOffer({
    ...{ sessionId: '1', sessionVersion: version, address: '127.0.0.1' },
    media: [
      { media: 'audio', port: 40_000, security: 'plain', codecs: [{ name: 'opus', payloadType: 96 }] },
      { media: 'video', port: 40_002, security: 'plain', codecs: [{ name: 'H264', payloadType: 97 }] },
    ],
  }).replaceAll('a=sendrecv', `a=${direction}`);

/** A request of the peer in the dialog that the switch's INVITE made. */
function inDialog(transport: Transport, cseq: number, method: string, body = ''): void {
  const invite = peer.requests[0]!;
  const lines = [
    `${method} ${/<([^>]+)>/.exec(header(invite, 'Contact'))![1]} SIP/2.0`,
    `Via: SIP/2.0/${transport.toUpperCase()} 127.0.0.1:${peer.port};branch=z9hG4bK${method}${cseq};rport`,
    `From: ${header(invite, 'To')};tag=callee`,
    `To: ${header(invite, 'From')}`,
    `Call-ID: ${header(invite, 'Call-ID')}`,
    `CSeq: ${cseq} ${method}`,
    `Contact: <sip:x@127.0.0.1:${peer.port};transport=${transport}>`,
    'Max-Forwards: 70',
    ...(body === '' ? [] : ['Content-Type: application/sdp']),
  ];
  peer.say(`${lines.join('\n')}\n\n${body}`);
}

/** The peer calls the switch. @returns the final answer */
async function callIn(transport: Transport, body: string): Promise<string> {
  let heard = '';
  const type = body === '' ? '' : 'Content-Type: application/sdp\r\n';
  const request = `INVITE sip:board@127.0.0.1:${port} SIP/2.0\r\nVia: SIP/2.0/${transport.toUpperCase()} 127.0.0.1:9;branch=z9hG4bKin;rport\r\nFrom: <sip:x@127.0.0.1>;tag=x\r\nTo: <sip:board@127.0.0.1>\r\nCall-ID: in\r\nCSeq: 1 INVITE\r\nContact: <sip:x@127.0.0.1:9>\r\nMax-Forwards: 70\r\n${type}Content-Length: ${body.length}\r\n\r\n${body}`;
  if (transport === 'udp') {
    const socket = createSocket('udp4');
    sockets.push(() => socket.close());
    socket.on('message', (bytes) => {
      heard += bytes.toString('latin1');
    });
    socket.send(request, port, '127.0.0.1');
  } else {
    const socket = connect({ host: '127.0.0.1', port });
    sockets.push(() => socket.destroy());
    socket.on('data', (bytes) => {
      heard += bytes.toString('latin1');
    });
    socket.write(request);
  }
  const final = (): number => heard.search(/SIP\/2.0 [2-6]/);
  await until('a final answer', () => final() >= 0);
  return heard.slice(final());
}

describe.each<Transport>(['tcp', 'udp'])('a trunk over %s', (transport) => {
  it('dials out, is put on hold and resumed by re-INVITE, and the peer hangs up', async () => {
    await start(transport);
    await dialled();
    const invite = peer.requests[0]!;
    expect(invite).toMatch(new RegExp(`^INVITE sip:4711@127.0.0.1:${peer.port}`));
    expect(header(invite, 'Contact')).toBe(`<sip:127.0.0.1:${port};transport=${transport}>`);
    expect(invite).toMatch(/m=audio \d+ RTP\/AVPF? /);
    expect(invite).not.toContain('SAVP');
    expect(running.conferenceLevel('board')).toBe('none');

    inDialog(transport, 1, 'INVITE', offer(1, 'sendonly'));
    await until('the answer', () => finals('INVITE').length === 1);
    expect(finals('INVITE')[0]).toMatch(/^SIP\/2.0 200 /);
    expect(finals('INVITE')[0]!.match(/a=recvonly/g)).toHaveLength(2);
    inDialog(transport, 1, 'ACK');
    inDialog(transport, 2, 'INVITE', offer(2));
    await until('the next answer', () => finals('INVITE').some((r) => header(r, 'CSeq') === '2 INVITE'));
    expect(
      finals('INVITE')
        .at(-1)!
        .match(/a=sendrecv/g),
    ).toHaveLength(2);
    inDialog(transport, 2, 'ACK');
    inDialog(transport, 3, 'BYE');
    await until('the answer to BYE', () => finals('BYE').length === 1);
    expect(finals('BYE')[0]).toMatch(/^SIP\/2.0 200 /);
    await until('the end', () => running.conferenceLevel('board') === undefined);
    expect(place.events.filter((e) => e.code !== 'certificate-expiring').map((e) => e.code)).toEqual([]);
  });

  it('the switch hangs up', async () => {
    await start(transport);
    await dialled();
    running.operate('board', { type: 'close', reason: 'operator' });
    await until('BYE', () => methods().includes('BYE'));
    await until('the end', () => running.conferenceLevel('board') === undefined);
  });

  it.each(['with', 'without'])('a call from the peer %s an offer is answered with plain RTP', async (how) => {
    await start(transport);
    const answer = await callIn(transport, how === 'with' ? offer(1) : '');
    expect(answer).toMatch(/^SIP\/2.0 200 [\s\S]*m=audio \d+ RTP\/AVPF? /);
    expect(answer).not.toContain('SAVP');
  });

  it.each([
    ['is taken for the peer', '127.0.0.1', '200'],
    ['is refused where the name is elsewhere', '127.0.0.9', '403'],
  ])('a call from the address of a peer that is a name %s', async (_, address, status) => {
    dns.zone.set('A pbx.example', [a(address)]);
    await start(transport, 'non-secure', 'pbx.example');
    expect(await callIn(transport, offer(1))).toMatch(new RegExp(`^SIP/2.0 ${status} `));
  });

  it('an offer of SRTP gets 488, with the reason', async () => {
    await start(transport);
    const keys = offer(1).replace(/(m=audio \d+) RTP\/AVPF?/, '$1 RTP/SAVP');
    const crypto = 'a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n';
    expect(await callIn(transport, keys.replace('m=video', `${crypto}m=video`))).toMatch(
      /^SIP\/2.0 488 [\s\S]*SRTP is not allowed on trunk pbx/,
    );
  });

  it.each(['with', 'without'])('a secure conference is not to be had by an INVITE %s an offer', async (how) => {
    await start(transport, 'secure');
    expect(await callIn(transport, how === 'with' ? offer(1) : '')).toMatch(/^SIP\/2.0 488 /);
    expect(running.conferenceLevel('board')).toBeUndefined();
    expect(place.events.map((e) => e.code)).toContain('security-mismatch');
  });

  it('a secure conference does not call over it', async () => {
    await start(transport, 'secure');
    running.dial({ conference: 'board', target: '4711' });
    await until('its end', () => running.dialled('board', 1)?.state === 'failed');
    expect(running.dialled('board', 1)).toMatchObject({ status: 488 });
    expect(peer.requests).toEqual([]);
  });
});

describe('an INVITE that is too large for UDP (RFC 3261 §18.1.1)', () => {
  const TARGET = 'x'.repeat(600);

  it('goes by TCP where the peer takes it, and what is small by UDP', async () => {
    await start('udp');
    const tcp = await openSipPeer({
      transport: 'tcp',
      port: peer.port,
      reply: (request) => (request.startsWith('INVITE') ? plainAnswer(request, 'udp', peer.port) : undefined),
    });
    await dialled(TARGET);
    expect(tcp.requests.map((r) => r.split(' ')[0])).toEqual(['INVITE']);
    expect(tcp.requests[0]).toContain('\r\nVia: SIP/2.0/TCP 127.0.0.1:');
    expect(Buffer.byteLength(tcp.requests[0]!)).toBeGreaterThan(1_300);
    expect(methods()).toEqual(['ACK']);
    expect(running.conferenceLevel('board')).toBe('none');
    running.operate('board', { type: 'close', reason: 'operator' });
    await until('BYE', () => methods().includes('BYE'));
    await tcp.close();
  });

  it('goes by UDP after all where the peer takes no TCP', async () => {
    await start('udp');
    await dialled(TARGET);
    expect(methods()[0]).toBe('INVITE');
    expect(peer.requests[0]).toContain('\r\nVia: SIP/2.0/UDP 127.0.0.1:');
    expect(Buffer.byteLength(peer.requests[0]!)).toBeGreaterThan(1_300);
  });
});
