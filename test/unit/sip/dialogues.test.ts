/** Whole conversations as a person reads them on the wire, replayed with the peer's bytes cut at every place. */
import { describe, expect, it } from 'vitest';
import type { SipCommand } from '../../../src/sip/contract.js';
import { Bench, SDP_A, SDP_B, wire } from './support.js';

type Step =
  /** The peer sends this, with SDP_A as body where `sdp` is set. */
  | { readonly peer: string; readonly sdp?: boolean }
  | { readonly command: SipCommand }
  /** The user agent has sent exactly these (without blank lines and bodies), and said these events. */
  | { readonly expect: readonly string[]; readonly events: readonly object[] };

const INVITE = `INVITE sips:8000@switch.example SIP/2.0
Via: SIP/2.0/TLS proxy.example;branch=z9hG4bKp
Via: SIP/2.0/TLS client.example:5061;branch=z9hG4bKc;rport
Record-Route: <sips:proxy.example;lr>
Max-Forwards: 69
From: "Ann" <sips:ann@client.example>;tag=a1
To: <sips:8000@switch.example>
Call-ID: call-1
CSeq: 314 INVITE
Contact: <sips:ann@client.example:5061>`;

const VIAS = `Via: SIP/2.0/TLS proxy.example;branch=z9hG4bKp;received=192.0.2.7
Via: SIP/2.0/TLS client.example:5061;branch=z9hG4bKc;rport`;

const incoming = {
  type: 'incoming',
  call: 1,
  connection: 1,
  user: '8000',
  from: 'sips:ann@client.example',
  to: 'sips:8000@switch.example',
  offer: SDP_A,
  tip: false,
};

const TRYING = `SIP/2.0 100 Trying
${VIAS}
From: "Ann" <sips:ann@client.example>;tag=a1
To: <sips:8000@switch.example>
Call-ID: call-1
CSeq: 314 INVITE
Content-Length: 0`;

const inDialog = (method: string, cseq: number, branch: string, extra = '') => `${method} sips:192.0.2.100:5061 SIP/2.0
Via: SIP/2.0/TLS client.example:5061;branch=z9hG4bK${branch}
Max-Forwards: 70
From: "Ann" <sips:ann@client.example>;tag=a1
To: <sips:8000@switch.example>;tag=t1
Call-ID: call-1
CSeq: ${cseq} ${method}${extra}`;

const answered: Step = {
  expect: [
    `SIP/2.0 200 OK
${VIAS}
From: "Ann" <sips:ann@client.example>;tag=a1
To: <sips:8000@switch.example>;tag=t1
Call-ID: call-1
CSeq: 314 INVITE
Record-Route: <sips:proxy.example;lr>
Contact: <sips:192.0.2.100:5061>
Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, PRACK
Supported: timer, 100rel
Content-Type: application/sdp
Content-Length: ${SDP_B.length}`,
  ],
  events: [],
};

const dialogues: Readonly<Record<string, readonly Step[]>> = {
  'a caller is answered and hangs up': [
    { peer: INVITE, sdp: true },
    { expect: [TRYING], events: [incoming] },
    { command: { type: 'accept', call: 1, sdp: SDP_B } },
    answered,
    { peer: inDialog('ACK', 314, 'k') },
    { expect: [], events: [{ type: 'confirmed', call: 1 }] },
    { peer: inDialog('BYE', 315, 'b', '\nReason: Q.850;cause=16') },
    {
      expect: [
        `SIP/2.0 200 OK
Via: SIP/2.0/TLS client.example:5061;branch=z9hG4bKb;received=192.0.2.7
From: "Ann" <sips:ann@client.example>;tag=a1
To: <sips:8000@switch.example>;tag=t1
Call-ID: call-1
CSeq: 315 BYE
Content-Length: 0`,
      ],
      events: [{ type: 'ended', call: 1, by: 'peer', cause: 'Q.850;cause=16' }],
    },
  ],

  'the switch ends a call for its security, through the route the INVITE recorded': [
    { peer: INVITE, sdp: true },
    { expect: [TRYING], events: [incoming] },
    { command: { type: 'accept', call: 1, sdp: SDP_B } },
    answered,
    { peer: inDialog('ACK', 314, 'k') },
    { expect: [], events: [{ type: 'confirmed', call: 1 }] },
    { command: { type: 'hangup', call: 1, reason: 'SIP;cause=488;text="no EKT"' } },
    {
      expect: [
        `BYE sips:ann@client.example:5061 SIP/2.0
Via: SIP/2.0/TLS 192.0.2.100:5061;branch=z9hG4bKt2;rport
Route: <sips:proxy.example;lr>
Max-Forwards: 70
From: <sips:8000@switch.example>;tag=t1
To: "Ann" <sips:ann@client.example>;tag=a1
Call-ID: call-1
CSeq: 1 BYE
Reason: SIP;cause=488;text="no EKT"
Content-Length: 0`,
      ],
      events: [],
    },
    {
      peer: `SIP/2.0 200 OK
Via: SIP/2.0/TLS 192.0.2.100:5061;branch=z9hG4bKt2;rport=5061
From: <sips:8000@switch.example>;tag=t1
To: "Ann" <sips:ann@client.example>;tag=a1
Call-ID: call-1
CSeq: 1 BYE`,
    },
    { expect: [], events: [{ type: 'ended', call: 1, by: 'local' }] },
  ],

  'an offer below the required level is refused with Warning and Reason': [
    { peer: INVITE, sdp: true },
    { expect: [TRYING], events: [incoming] },
    {
      command: {
        type: 'reject',
        call: 1,
        status: 488,
        headers: [
          { name: 'warning', value: '399 switch.example "not secure"' },
          { name: 'reason', value: 'SIP;cause=488;text="not secure"' },
        ],
      },
    },
    {
      expect: [
        `SIP/2.0 488 Not Acceptable Here
${VIAS}
From: "Ann" <sips:ann@client.example>;tag=a1
To: <sips:8000@switch.example>;tag=t1
Call-ID: call-1
CSeq: 314 INVITE
Warning: 399 switch.example "not secure"
Reason: SIP;cause=488;text="not secure"
Content-Length: 0`,
      ],
      events: [],
    },
    {
      peer: `ACK sips:8000@switch.example SIP/2.0
Via: SIP/2.0/TLS proxy.example;branch=z9hG4bKp
From: "Ann" <sips:ann@client.example>;tag=a1
To: <sips:8000@switch.example>;tag=t1
Call-ID: call-1
CSeq: 314 ACK`,
    },
    { expect: [], events: [] },
  ],

  'a caller gives up before the answer': [
    { peer: INVITE, sdp: true },
    { expect: [TRYING], events: [incoming] },
    {
      peer: `CANCEL sips:8000@switch.example SIP/2.0
Via: SIP/2.0/TLS proxy.example;branch=z9hG4bKp
Max-Forwards: 69
From: "Ann" <sips:ann@client.example>;tag=a1
To: <sips:8000@switch.example>
Call-ID: call-1
CSeq: 314 CANCEL`,
    },
    {
      expect: [
        `SIP/2.0 200 OK
Via: SIP/2.0/TLS proxy.example;branch=z9hG4bKp;received=192.0.2.7
From: "Ann" <sips:ann@client.example>;tag=a1
To: <sips:8000@switch.example>;tag=t1
Call-ID: call-1
CSeq: 314 CANCEL
Content-Length: 0`,
        `SIP/2.0 487 Request Terminated
${VIAS}
From: "Ann" <sips:ann@client.example>;tag=a1
To: <sips:8000@switch.example>;tag=t1
Call-ID: call-1
CSeq: 314 INVITE
Content-Length: 0`,
      ],
      events: [{ type: 'ended', call: 1, by: 'peer', cause: 'cancelled' }],
    },
    { command: { type: 'accept', call: 1, sdp: SDP_B } },
    { expect: [], events: [] },
  ],

  'a call out is answered, and its 2xx is acknowledged through the recorded route': [
    {
      command: {
        type: 'invite',
        call: 7,
        connection: 1,
        target: 'sips:8000@switch.example',
        from: 'sips:ann@client.example',
        sdp: SDP_A,
      },
    },
    {
      expect: [
        `INVITE sips:8000@switch.example SIP/2.0
Via: SIP/2.0/TLS 192.0.2.100:5061;branch=z9hG4bKt3;rport
Max-Forwards: 70
From: <sips:ann@client.example>;tag=t1
To: <sips:8000@switch.example>
Call-ID: t2
CSeq: 1 INVITE
Contact: <sips:192.0.2.100:5061>
Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, PRACK
Supported: timer, 100rel
Content-Type: application/sdp
Content-Length: ${SDP_A.length}`,
      ],
      events: [],
    },
    {
      peer: `SIP/2.0 180 Ringing
Via: SIP/2.0/TLS 192.0.2.100:5061;branch=z9hG4bKt3;rport=5061
From: <sips:ann@client.example>;tag=t1
To: <sips:8000@switch.example>;tag=b1
Call-ID: t2
CSeq: 1 INVITE`,
    },
    { expect: [], events: [{ type: 'progress', call: 7, status: 180 }] },
    {
      sdp: true,
      peer: `SIP/2.0 200 OK
Via: SIP/2.0/TLS 192.0.2.100:5061;branch=z9hG4bKt3;rport=5061
Record-Route: <sips:p2.example;lr>, <sips:p1.example;lr>
From: <sips:ann@client.example>;tag=t1
To: <sips:8000@switch.example>;tag=b1
Call-ID: t2
CSeq: 1 INVITE
Contact: <sips:8000@192.0.2.9:5061>`,
    },
    {
      expect: [
        `ACK sips:8000@192.0.2.9:5061 SIP/2.0
Via: SIP/2.0/TLS 192.0.2.100:5061;branch=z9hG4bKt4;rport
Route: <sips:p1.example;lr>
Route: <sips:p2.example;lr>
Max-Forwards: 70
From: <sips:ann@client.example>;tag=t1
To: <sips:8000@switch.example>;tag=b1
Call-ID: t2
CSeq: 1 ACK
Content-Length: 0`,
      ],
      events: [{ type: 'answered', call: 7, sdp: SDP_A, tip: false }],
    },
  ],
};

function play(steps: readonly Step[], cut: (bytes: Uint8Array, message: number) => readonly Uint8Array[]): void {
  const bench = new Bench();
  let message = 0;
  for (const step of steps) {
    if ('peer' in step) {
      for (const piece of cut(wire(step.peer, step.sdp === true ? SDP_A : ''), message)) bench.feed(piece);
      message++;
    } else if ('command' in step) {
      bench.put(step.command);
    } else {
      const heads = bench.take().map((m) => m.split('\r\n\r\n')[0]!.replaceAll('\r\n', '\n'));
      expect(heads).toEqual(step.expect);
      expect(bench.takeEvents()).toEqual(step.events);
    }
  }
}

describe.each(Object.entries(dialogues))('%s', (_, steps) => {
  it('in whole messages', () => play(steps, (bytes) => [bytes]));
  it('byte by byte', () => play(steps, (bytes) => [...bytes].map((b) => Uint8Array.of(b))));
  it('with every message of the peer cut at every place', () => {
    const messages = steps.filter((s) => 'peer' in s);
    for (const [m, step] of messages.entries()) {
      const { length } = wire(step.peer, step.sdp === true ? SDP_A : '');
      for (let at = 1; at < length; at++) {
        play(steps, (bytes, i) => (i === m ? [bytes.slice(0, at), bytes.slice(at)] : [bytes]));
      }
    }
  });
});
