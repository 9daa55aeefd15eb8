/** Requests that are too large for UDP (RFC 3261 §18.1.1), as the user agent sees them. */
import { describe, expect, it } from 'vitest';
import type { Send, UserAgentInput } from '../../../src/sip/contract.js';
import { UserAgent } from '../../../src/sip/user-agent.js';
import { counter, parse, reply, SDP_A, SDP_B, text } from './support.js';

const REMOTE = { address: '192.0.2.7', port: 5060 };
const LOCAL = { address: '192.0.2.100', port: 5060 };
const LARGE = `${SDP_A}${'a=x:0123456789012345678901234567890123456789\r\n'.repeat(30)}`;

function called(sdp: string, transport: 'udp' | 'tcp' = 'udp') {
  const ua = new UserAgent({ random: counter('t') });
  let now = 1_000_000;
  const put = (input: UserAgentInput): Send[] => {
    ua.receive(input, now);
    const sent: Send[] = [];
    for (let out = ua.poll(); out !== undefined; out = ua.poll()) if (out.type === 'send') sent.push(out);
    return sent;
  };
  put({ type: 'connected', connection: 1, remote: REMOTE, local: LOCAL, transport });
  const [invite] = put({
    ...{ type: 'invite', call: 1, connection: 1, target: 'sip:b@192.0.2.7', from: 'sip:a@192.0.2.100', sdp },
  });
  const later = (ms: number): Send[] => {
    now += ms;
    return put({ type: 'tick' });
  };
  return { ua, put, invite: invite!, later };
}

const hear = (bytes: Uint8Array, connection: number): UserAgentInput => ({
  type: 'message',
  connection,
  message: parse(bytes),
});

describe('an INVITE of ours over UDP', () => {
  it('that is larger than 1,300 bytes comes with what is to go by TCP, also when it is sent again', () => {
    const { invite, later } = called(LARGE);
    expect(invite.bytes.length).toBeGreaterThan(1_300);
    expect(text(invite.bytes)).toContain('\r\nVia: SIP/2.0/UDP 192.0.2.100:5060;branch=');
    expect(text(invite.stream!)).toBe(text(invite.bytes).replace('SIP/2.0/UDP', 'SIP/2.0/TCP'));
    const [again] = later(500);
    expect(again!.bytes).toBe(invite.bytes);
    expect(text(again!.stream!)).toBe(text(invite.stream!));
  });

  it('that is small goes as it is; over TCP every one does', () => {
    expect(called(SDP_A).invite.stream).toBeUndefined();
    expect(called(LARGE, 'tcp').invite.stream).toBeUndefined();
  });

  it('is answered on the connection beside; its ACK and CANCEL go where it went (§17.1.1.3, §9.1)', () => {
    const { put, invite } = called(LARGE);
    put({ type: 'connected', connection: 2, remote: REMOTE, local: LOCAL, transport: 'tcp', beside: 1 });
    put(hear(reply(text(invite.stream!), '180 Ringing', 'b'), 2));
    const [cancel] = put({ type: 'hangup', call: 1 });
    expect(text(cancel!.stream!)).toMatch(/^CANCEL [\s\S]*SIP\/2.0\/TCP/);
    const [ack] = put(hear(reply(text(invite.stream!), '487 Terminated', 'b'), 2));
    expect(text(ack!.stream!)).toMatch(/^ACK [\s\S]*SIP\/2.0\/TCP/);
  });

  it('spoofed response: nobody answers it on a connection that is not beside it', () => {
    const { ua, put, invite } = called(LARGE);
    put({ type: 'connected', connection: 2, remote: REMOTE, local: LOCAL, transport: 'tcp' });
    const ok = reply(text(invite.bytes), '200 OK', 'b', '\nContact: <sip:b@192.0.2.7>', SDP_B);
    expect(put(hear(ok, 2))).toEqual([]);
    expect(ua.counts.calls).toBe(1);
  });
});
