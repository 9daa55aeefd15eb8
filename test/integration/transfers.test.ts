/** REFER and Replaces over real trunks: a member has somebody called, a call takes another's place, and who is kept from it. */
import { connect, type TLSSocket } from 'node:tls';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Switch } from '../../src/server/switch.js';
import { freePort, makePlace, type Place } from '../support/configured-switch.js';
import { issue } from '../support/pki.js';
import { until } from '../support/running-switch.js';
import { openSipPeer, plainAnswer, type SipPeer } from '../support/sip-peer.js';

let place: Place;
let peer: SipPeer;
let running: Switch;
let foreignPort = 0;
const sockets: TLSSocket[] = [];

const SDP = [
  ...['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 'c=IN IP4 127.0.0.1', 't=0 0'],
  ...['m=audio 40000 RTP/AVP 96', 'a=rtpmap:96 opus/48000/2', ''],
].join('\r\n');
const methods = (): string[] => peer.requests.map((r) => r.split(' ')[0]!);
const of = (method: string): string[] => peer.requests.filter((r) => r.startsWith(`${method} `));
const header = (message: string, name: string): string => new RegExp(`^${name}: (.*)\r$`, 'm').exec(message)![1]!;
const finals = (callId: string, method: string): string[] =>
  peer.responses.filter(
    (r) => /^SIP\/2.0 [2-6]/.test(r) && header(r, 'Call-ID') === callId && header(r, 'CSeq').endsWith(method),
  );

/** A peer that the switch has called into the conference `board`; another trunk beside it. */
beforeEach(async () => {
  place = await makePlace();
  const identity = await issue(place.root, { cn: 'peer.example', names: ['127.0.0.1'] });
  peer = await openSipPeer({
    transport: 'tls',
    tls: { identity, ca: place.root.pem },
    reply: (request) => {
      if (request.startsWith('INVITE sip:busy@')) return 'SIP/2.0 486 Busy Here';
      if (request.startsWith('INVITE')) return ['SIP/2.0 180 Ringing', plainAnswer(request, 'tls')];
      return request.startsWith('ACK') ? undefined : 'SIP/2.0 200 OK';
    },
  });
  foreignPort = await freePort();
  const trunk = (name: string, port: number, peers: string): string =>
    `[[trunks]]\nname = "${name}"\nsecurity = "authenticated"\nport = ${port}\nx509Names = ["${name}.example"]\npeers = [${peers}]\naccept = ["refer", "replaces"]\n`;
  running = await place.start(
    `[conferences]\npolicy = "non-secure"\n${trunk('peer', await freePort(), `"127.0.0.1:${peer.port}"`)}${trunk('foreign', foreignPort, '')}`,
  );
  running.dial({ conference: 'board', target: '4711' });
  await until('ACK', () => methods().includes('ACK'));
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await place.close();
  await peer.close();
});

/** A request of the peer in its dialog with the conference. */
function inDialog(cseq: number, method: string, extra: string): void {
  const invite = of('INVITE')[0]!;
  const lines = [
    `${method} ${/<([^>]+)>/.exec(header(invite, 'Contact'))![1]} SIP/2.0`,
    `Via: SIP/2.0/TLS 127.0.0.1;branch=z9hG4bK${method}${cseq}`,
    ...[`From: ${header(invite, 'To')};tag=callee`, `To: ${header(invite, 'From')}`],
    ...[`Call-ID: ${header(invite, 'Call-ID')}`, `CSeq: ${cseq} ${method}`],
    ...['Contact: <sip:x@127.0.0.1;transport=tls>', 'Max-Forwards: 70', extra],
  ];
  peer.say(lines.join('\n'));
}

const replacing = (callId: string, value: string): string =>
  `INVITE sip:elsewhere@127.0.0.1 SIP/2.0\nVia: SIP/2.0/TLS 127.0.0.1;branch=z9hG4bK${callId}\nFrom: <sip:new@127.0.0.1>;tag=n\nTo: <sip:elsewhere@127.0.0.1>\nCall-ID: ${callId}\nCSeq: 1 INVITE\nContact: <sip:new@127.0.0.1;transport=tls>\nMax-Forwards: 70\nRequire: replaces\nReplaces: ${value}\nContent-Type: application/sdp\n\n${SDP}`;

/** How a Replaces header names the peer's call. */
function itsCall(): string {
  const invite = of('INVITE')[0]!;
  const tag = /;tag=(\S+)/.exec(header(invite, 'From'))![1]!;
  return `${header(invite, 'Call-ID')};to-tag=${tag};from-tag=callee`;
}

it('a member asks for somebody by REFER: that one is called into the conference, and NOTIFY tells how it went', async () => {
  inDialog(1, 'REFER', 'Refer-To: <sip:carol@c.example>');
  await until('the last NOTIFY', () => of('NOTIFY').length === 2);
  expect(of('INVITE')[1]).toMatch(/^INVITE sip:carol@c.example SIP/);
  expect(of('NOTIFY').map((m) => m.split('\r\n\r\n')[1]!.trim())).toEqual(['SIP/2.0 100 Trying', 'SIP/2.0 200 OK']);
  expect(of('NOTIFY').map((m) => header(m, 'Content-Type'))).toEqual(Array(2).fill('message/sipfrag;version=2.0'));
  await until('both are there', () => of('ACK').length === 2);
  inDialog(2, 'REFER', 'Refer-To: <sip:busy@c.example>');
  await until('the next NOTIFYs', () => of('NOTIFY').length === 4);
  expect(of('NOTIFY').at(-1)).toContain('SIP/2.0 486 Busy Here');
  expect(running.conferenceLevel('board')).toBe('none');
});

it('a call with Replaces takes the place of the member’s call, in its conference', async () => {
  peer.say(replacing('new', itsCall()));
  await until('the answer', () => finals('new', 'INVITE').length === 1);
  expect(finals('new', 'INVITE')[0]).toMatch(/^SIP\/2.0 200 /);
  await until('BYE', () => of('BYE').length === 1);
  expect(header(of('BYE')[0]!, 'Call-ID')).toBe(header(of('INVITE')[0]!, 'Call-ID'));
  expect(header(of('BYE')[0]!, 'Reason')).toContain('replaced');
  expect([running.conferenceLevel('board'), running.conferenceLevel('elsewhere')]).toEqual(['none', undefined]);
});

it('threat: Replaces with a guessed dialog gets 481, and the call goes on', async () => {
  peer.say(replacing('guess', itsCall().replace('from-tag=callee', 'from-tag=caller')));
  await until('the answer', () => finals('guess', 'INVITE').length === 1);
  expect(finals('guess', 'INVITE')[0]).toMatch(/^SIP\/2.0 481 /);
  expect(of('BYE')).toEqual([]);
});

it('threat: the peer of another trunk that knows the dialog cannot take its place', async () => {
  const foreign = await issue(place.root, { cn: 'foreign.example' });
  const socket = connect({
    ...{ host: '127.0.0.1', port: foreignPort, ca: place.root.pem, cert: foreign.pem, key: foreign.keyPem },
  });
  sockets.push(socket);
  let heard = '';
  socket.on('data', (bytes) => {
    heard += bytes.toString('latin1');
  });
  const [head, body] = replacing('stolen', itsCall()).split('\n\n');
  socket.write(`${head!.replaceAll('\n', '\r\n')}\r\nContent-Length: ${body!.length}\r\n\r\n${body}`);
  await until('an answer', () => /^SIP\/2.0 [2-6]/m.test(heard));
  expect(heard).toMatch(/^SIP\/2.0 403 /m);
  expect(of('BYE')).toEqual([]);
  expect(running.conferenceLevel('board')).toBe('none');
});
