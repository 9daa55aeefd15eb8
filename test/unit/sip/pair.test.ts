/** Two user agents back to back: every byte passes the other's framer and parser. */
import { describe, expect, it } from 'vitest';
import type { SipCommand, UserAgentOutput } from '../../../src/sip/contract.js';
import { refusalHeaders } from '../../../src/sip/refusal.js';
import { UserAgent } from '../../../src/sip/user-agent.js';
import { StreamFramer } from '../../../src/wire/sip-framing.js';
import { counter, drain, SDP_A, SDP_B, text } from './support.js';

type Name = 'client' | 'server';

class Pair {
  readonly ua: Record<Name, UserAgent>;
  readonly events: Record<Name, UserAgentOutput[]> = { client: [], server: [] };
  /** First words of everything on the line. */
  log: string[] = [];
  now = 5_000_000;
  readonly #framers: Record<Name, StreamFramer> = { client: new StreamFramer(), server: new StreamFramer() };
  readonly #line: { to: Name; bytes: Uint8Array }[] = [];
  /** Bytes stay on the line until `deliver`. */
  hold = false;

  constructor() {
    this.ua = {
      client: new UserAgent({ random: counter('c') }),
      server: new UserAgent({ random: counter('s'), host: 'switch.example' }),
    };
    const c = { address: '192.0.2.7', port: 40000 };
    const s = { address: '192.0.2.100', port: 5061 };
    this.ua.client.receive({ type: 'connected', connection: 1, remote: s, local: c, transport: 'tls' }, this.now);
    this.ua.server.receive({ type: 'connected', connection: 1, remote: c, local: s, transport: 'tls' }, this.now);
  }

  put(name: Name, command: SipCommand | { type: 'disconnected'; connection: number }): void {
    this.ua[name].receive(command, this.now);
    this.#pump();
  }

  call(): void {
    const call = this.ua.client.newCall();
    const target = 'sips:8000@switch.example';
    this.put('client', { type: 'invite', call, connection: 1, target, from: 'sips:ann@client.example', sdp: SDP_A });
  }

  connect(): void {
    this.call();
    this.put('server', { type: 'accept', call: 1, sdp: SDP_B });
    this.take('client');
    this.take('server');
    this.log = [];
  }

  /** Lets `count` messages through, all by default. */
  deliver(count = Number.POSITIVE_INFINITY): void {
    for (let i = 0; i < count && this.#line.length > 0; i++) {
      const { to, bytes } = this.#line.shift()!;
      for (const event of this.#framers[to].feed(bytes)) {
        if (event.type !== 'message') throw new Error(`not a message: ${event.type}\n${text(bytes)}`);
        const { message } = event;
        this.log.push(message.kind === 'request' ? message.method : `${message.status} ${message.cseq.method}`);
        this.ua[to].receive({ type: 'message', connection: 1, message }, this.now);
      }
      this.#collect();
    }
  }

  advance(milliseconds: number): void {
    const end = this.now + milliseconds;
    for (;;) {
      const next = Math.min(this.ua.client.deadline() ?? Infinity, this.ua.server.deadline() ?? Infinity);
      if (next > end) break;
      this.now = Math.max(this.now, next);
      for (const ua of Object.values(this.ua)) ua.receive({ type: 'tick' }, this.now);
      this.#pump();
    }
    this.now = end;
  }

  take(name: Name): UserAgentOutput[] {
    return this.events[name].splice(0);
  }

  #pump(): void {
    this.#collect();
    if (!this.hold) this.deliver();
  }

  #collect(): void {
    for (const name of ['client', 'server'] as const) {
      for (const out of drain(this.ua[name])) {
        if (out.type === 'send') this.#line.push({ to: name === 'client' ? 'server' : 'client', bytes: out.bytes });
        else this.events[name].push(out);
      }
    }
  }

  /** Everything ran out: no call, no transaction, no timer is left on either side. */
  expectEmpty(): void {
    this.advance(200_000);
    for (const ua of Object.values(this.ua)) {
      expect(ua.counts).toEqual({ calls: 0, transactions: 0 });
      expect(ua.deadline()).toBeUndefined();
    }
  }
}

describe('two user agents', () => {
  it('call, answer, the caller hangs up', () => {
    const p = new Pair();
    p.call();
    p.put('server', { type: 'accept', call: 1, sdp: SDP_B });
    expect(p.log).toEqual(['INVITE', '100 INVITE', '200 INVITE', 'ACK']);
    expect(p.take('client')).toEqual([{ type: 'answered', call: 1, sdp: SDP_B, tip: false }]);
    expect(p.take('server')).toMatchObject([
      { type: 'incoming', user: '8000', offer: SDP_A },
      { type: 'confirmed', call: 1 },
    ]);
    p.put('client', { type: 'hangup', call: 1, reason: 'Q.850;cause=16' });
    expect(p.take('client')).toEqual([{ type: 'ended', call: 1, by: 'local' }]);
    expect(p.take('server')).toEqual([{ type: 'ended', call: 1, by: 'peer', cause: 'Q.850;cause=16' }]);
    p.expectEmpty();
  });

  it('the answerer hangs up', () => {
    const p = new Pair();
    p.connect();
    p.put('server', { type: 'hangup', call: 1 });
    expect(p.take('client')).toEqual([{ type: 'ended', call: 1, by: 'peer' }]);
    p.expectEmpty();
  });

  it('both hang up at once', () => {
    const p = new Pair();
    p.connect();
    p.hold = true;
    p.put('server', { type: 'hangup', call: 1 });
    p.put('client', { type: 'hangup', call: 1 });
    p.deliver();
    expect(p.log).toEqual(['BYE', 'BYE', '200 BYE', '200 BYE']);
    expect(p.take('client')).toEqual([{ type: 'ended', call: 1, by: 'local' }]);
    expect(p.take('server')).toEqual([{ type: 'ended', call: 1, by: 'local' }]);
    p.hold = false;
    p.expectEmpty();
  });

  it('a refusal arrives with its Reason and Warning', () => {
    const p = new Pair();
    p.call();
    const problem = { warnCode: 305, text: 'm-line 1 (audio): no codec in common' } as const;
    p.put('server', { type: 'reject', call: 1, status: 488, headers: refusalHeaders(488, 'switch.example', problem) });
    expect(p.log).toEqual(['INVITE', '100 INVITE', '488 INVITE', 'ACK']);
    expect(p.take('client')).toEqual([
      {
        type: 'failed',
        call: 1,
        status: 488,
        reason: 'SIP;cause=488;text="m-line 1 (audio): no codec in common"',
        warning: '305 switch.example "m-line 1 (audio): no codec in common"',
      },
    ]);
    p.expectEmpty();
  });

  it('the caller gives up: CANCEL, but not before a provisional response', () => {
    const p = new Pair();
    p.hold = true;
    p.call();
    p.put('client', { type: 'hangup', call: 1, reason: 'SIP;cause=200' });
    p.deliver(1); // INVITE
    expect(p.log).toEqual(['INVITE']);
    p.hold = false;
    p.deliver();
    expect(p.log).toEqual(['INVITE', '100 INVITE', 'CANCEL', '200 CANCEL', '487 INVITE', 'ACK']);
    expect(p.take('client')).toEqual([{ type: 'ended', call: 1, by: 'local' }]);
    expect(p.take('server').at(-1)).toEqual({ type: 'ended', call: 1, by: 'peer', cause: 'SIP;cause=200' });
    p.expectEmpty();
  });

  it('race: CANCEL crosses the 200, and the call is ended by BYE', () => {
    const p = new Pair();
    p.call();
    p.hold = true;
    p.put('server', { type: 'accept', call: 1, sdp: SDP_B });
    p.put('client', { type: 'hangup', call: 1 });
    p.hold = false;
    p.deliver();
    expect(p.log).toEqual(['INVITE', '100 INVITE', '200 INVITE', 'CANCEL', 'ACK', 'BYE', '200 CANCEL', '200 BYE']);
    expect(p.take('client')).toEqual([{ type: 'ended', call: 1, by: 'local' }]);
    expect(p.take('server').at(-1)).toEqual({ type: 'ended', call: 1, by: 'peer' });
    p.expectEmpty();
  });

  it('the answerer hangs up before it answers: 480', () => {
    const p = new Pair();
    p.call();
    p.put('server', { type: 'hangup', call: 1, reason: 'SIP;cause=480;text="closing"' });
    expect(p.take('client')).toMatchObject([{ type: 'failed', status: 480, reason: 'SIP;cause=480;text="closing"' }]);
    expect(p.take('server').at(-1)).toEqual({ type: 'ended', call: 1, by: 'local' });
    p.expectEmpty();
  });

  it('the connection is lost in every phase', () => {
    for (const phase of ['calling', 'confirmed', 'leaving'] as const) {
      const p = new Pair();
      if (phase === 'calling') p.call();
      else p.connect();
      p.take('server');
      p.hold = true;
      if (phase === 'leaving') p.put('client', { type: 'hangup', call: 1 });
      for (const name of ['client', 'server'] as const) p.put(name, { type: 'disconnected', connection: 1 });
      const by = phase === 'leaving' ? 'local' : 'connection';
      expect(p.take('client')).toEqual([{ type: 'ended', call: 1, by }]);
      expect(p.take('server')).toEqual([{ type: 'ended', call: 1, by: 'connection' }]);
      p.expectEmpty();
    }
  });

  it('a stopped server refuses with Retry-After', () => {
    const p = new Pair();
    p.put('server', { type: 'stop', retryAfterSeconds: 7 });
    p.call();
    expect(p.take('client')).toMatchObject([
      { type: 'failed', status: 503, reason: 'SIP;cause=503;text="Service Unavailable"' },
    ]);
    p.expectEmpty();
  });
});

describe('re-INVITE', () => {
  it('both ways, and refused', () => {
    const p = new Pair();
    p.connect();
    p.put('server', { type: 'reinvite', call: 1, sdp: SDP_B });
    expect(p.take('client')).toEqual([{ type: 'offer-again', call: 1, offer: SDP_B }]);
    p.put('client', { type: 'accept', call: 1, sdp: SDP_A });
    expect(p.take('server')).toEqual([{ type: 'answered', call: 1, sdp: SDP_A, tip: false }]);
    expect(p.take('client')).toEqual([{ type: 'confirmed', call: 1 }]);
    p.put('client', { type: 'reinvite', call: 1, sdp: SDP_A });
    p.put('server', { type: 'reject', call: 1, status: 488 });
    expect(p.take('client')).toEqual([
      {
        type: 'offer-refused',
        call: 1,
        status: 488,
        reason: 'SIP;cause=488;text="Not Acceptable Here"',
        warning: '399 claviger "Not Acceptable Here"',
      },
    ]);
    p.put('client', { type: 'hangup', call: 1 });
    p.expectEmpty();
  });

  it('glare: both get 491, wait their times, and the offer that is overtaken is asked for anew', () => {
    const p = new Pair();
    p.connect();
    p.hold = true;
    p.put('client', { type: 'reinvite', call: 1, sdp: SDP_A });
    p.put('server', { type: 'reinvite', call: 1, sdp: SDP_B });
    p.hold = false;
    p.deliver();
    expect(p.log).toEqual(['INVITE', 'INVITE', '491 INVITE', '491 INVITE', 'ACK', 'ACK']);
    p.advance(2_001); // §14.1: the answerer within 2 s, the caller from 2.1 s on
    expect(p.take('client')).toEqual([{ type: 'offer-again', call: 1, offer: SDP_B }]);
    p.put('client', { type: 'accept', call: 1, sdp: SDP_A });
    p.take('client');
    p.advance(2_000);
    // What waited was written before the server's offer: sent as it was, it would take that back.
    expect(p.take('client')).toEqual([{ type: 'offer-due', call: 1 }]);
    p.put('client', { type: 'reinvite', call: 1, sdp: SDP_A });
    expect(p.take('server').at(-1)).toEqual({ type: 'offer-again', call: 1, offer: SDP_A });
    p.put('server', { type: 'accept', call: 1, sdp: SDP_B });
    expect(p.take('client').at(-1)).toEqual({ type: 'answered', call: 1, sdp: SDP_B, tip: false });
  });

  it('waits while another is under way, and the newest offer wins', () => {
    const p = new Pair();
    p.connect();
    p.put('client', { type: 'reinvite', call: 1, sdp: SDP_A });
    p.put('client', { type: 'reinvite', call: 1, sdp: 'old' });
    p.put('client', { type: 'reinvite', call: 1, sdp: SDP_B });
    p.take('server');
    p.put('server', { type: 'accept', call: 1, sdp: SDP_B });
    p.advance(0);
    // The server's own 2xx is acknowledged before the next INVITE reaches it.
    expect(p.take('server')).toEqual([
      { type: 'confirmed', call: 1 },
      { type: 'offer-again', call: 1, offer: SDP_B },
    ]);
  });
});
