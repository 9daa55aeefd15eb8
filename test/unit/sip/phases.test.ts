/** Every phase of a call against every command: what is sent, and what is not. */
import { describe, expect, it } from 'vitest';
import type { SipCommand } from '../../../src/sip/contract.js';
import { Bench, headerOf, SDP_A, SDP_B, wire } from './support.js';

const COMMANDS = {
  accept: { type: 'accept', call: 1, sdp: SDP_B },
  reject: { type: 'reject', call: 1, status: 486 },
  provisional: { type: 'provisional', call: 1, status: 180 },
  reinvite: { type: 'reinvite', call: 1, sdp: SDP_A },
  hangup: { type: 'hangup', call: 1 },
} as const satisfies Record<string, SipCommand>;

const request = (method: string, cseq: number, branch: string, to = '', body = '') =>
  wire(
    `${method} sip:8000@switch.example SIP/2.0
Via: SIP/2.0/TLS client.example:5061;branch=z9hG4bK${branch}
From: <sip:ann@client.example>;tag=a1
To: <sip:8000@switch.example>${to}
Call-ID: call-1
CSeq: ${cseq} ${method}
Contact: <sip:ann@client.example>`,
    body,
  );

function incoming(bench: Bench): void {
  bench.feed(request('INVITE', 1, 'c', '', SDP_A));
}

function accepted(bench: Bench): void {
  incoming(bench);
  bench.put(COMMANDS.accept);
}

function confirmed(bench: Bench): void {
  accepted(bench);
  bench.feed(request('ACK', 1, 'k', ';tag=t1'));
}

function calling(bench: Bench): void {
  const [target, from] = ['sip:b@b.example', 'sip:a@a.example'];
  bench.put({ type: 'invite', call: 1, connection: 1, target, from, sdp: SDP_A });
}

function proceeding(bench: Bench): void {
  calling(bench);
  const [invite] = bench.take();
  const copy = ['Via', 'From', 'To', 'Call-ID', 'CSeq'].map((n) => `${n}: ${headerOf(invite!, n)}`).join('\n');
  bench.feed(wire(`SIP/2.0 100 Trying\n${copy}`));
}

type Row = Readonly<Record<keyof typeof COMMANDS, readonly string[]>>;

const NOTHING: Row = { provisional: [], accept: [], reject: [], reinvite: [], hangup: [] };

/** First words of what each command sends in each phase. */
const TABLE: Readonly<Record<string, readonly [reach: (bench: Bench) => void, row: Row]>> = {
  unknown: [() => {}, NOTHING],
  incoming: [
    incoming,
    {
      provisional: ['180 INVITE'],
      accept: ['200 INVITE'],
      reject: ['486 INVITE'],
      reinvite: [],
      hangup: ['480 INVITE'],
    },
  ],
  accepted: [accepted, NOTHING],
  calling: [calling, NOTHING],
  proceeding: [proceeding, { ...NOTHING, hangup: ['CANCEL'] }],
  cancelling: [
    (bench) => {
      proceeding(bench);
      bench.put(COMMANDS.hangup);
    },
    NOTHING,
  ],
  confirmed: [confirmed, { ...NOTHING, reinvite: ['INVITE'], hangup: ['BYE'] }],
  'confirmed, the peer offers again': [
    (bench) => {
      confirmed(bench);
      bench.feed(request('INVITE', 2, 'r', ';tag=t1', SDP_A));
    },
    { provisional: [], accept: ['200 INVITE'], reject: ['486 INVITE'], reinvite: [], hangup: ['487 INVITE', 'BYE'] },
  ],
  'confirmed, we offer again': [
    (bench) => {
      confirmed(bench);
      bench.put(COMMANDS.reinvite);
    },
    { ...NOTHING, hangup: ['BYE'] },
  ],
  leaving: [
    (bench) => {
      confirmed(bench);
      bench.put(COMMANDS.hangup);
    },
    NOTHING,
  ],
};

describe.each(Object.entries(TABLE))('%s', (_, [reach, row]) => {
  it.each(Object.keys(COMMANDS) as (keyof typeof COMMANDS)[])('%s', (command) => {
    const bench = new Bench();
    reach(bench);
    bench.take();
    bench.put(COMMANDS[command]);
    const words = bench.take().map((m) => {
      const [first, second] = m.split(' ');
      return first === 'SIP/2.0' ? `${second} ${headerOf(m, 'CSeq')!.split(' ')[1]}` : first;
    });
    expect(words).toEqual(row[command]);
    bench.put({ type: 'disconnected', connection: 1 });
    bench.advance(100_000);
    expect(bench.ua.counts).toEqual({ calls: 0, transactions: 0 });
  });
});
