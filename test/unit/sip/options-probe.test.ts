/** OPTIONS as client: one answer to every probe, whatever happens to it. */
import { describe, expect, it } from 'vitest';
import type { SipTransport } from '../../../src/sip/contract.js';
import { UserAgent } from '../../../src/sip/user-agent.js';
import { StreamFramer } from '../../../src/wire/sip-framing.js';
import { counter, drain, text } from './support.js';

const here = { address: '192.0.2.7', port: 40_000 };
const there = { address: '192.0.2.100', port: 5_061 };
const NOW = 1_000_000;

function prober(transport: SipTransport = 'tls'): UserAgent {
  const ua = new UserAgent({ random: counter('c') });
  ua.receive({ type: 'connected', connection: 1, remote: there, local: here, transport }, NOW);
  return ua;
}

function probe(ua: UserAgent, target = 'sips:switch.example', connection = 1): void {
  ua.receive({ type: 'options', probe: 7, connection, target, from: 'sips:ann@client.example' }, NOW);
}

const answers = (ua: UserAgent): number[] =>
  drain(ua).flatMap((o) => (o.type === 'options-answered' && o.probe === 7 ? [o.status] : []));

/** Carries everything that `from` has to say to `to`, and back. */
function exchange(from: UserAgent, to: UserAgent): number[] {
  const status: number[] = [];
  const framer = new StreamFramer();
  for (const out of drain(from)) {
    if (out.type !== 'send') continue;
    expect(text(out.bytes)).toMatch(/^OPTIONS sips:switch\.example SIP\/2\.0\r\n/);
    for (const event of framer.feed(out.bytes)) {
      if (event.type === 'message') to.receive({ type: 'message', connection: 1, message: event.message }, NOW);
    }
  }
  for (const out of drain(to)) {
    if (out.type !== 'send') continue;
    for (const event of framer.feed(out.bytes)) {
      if (event.type === 'message') from.receive({ type: 'message', connection: 1, message: event.message }, NOW);
    }
  }
  for (const out of drain(from)) if (out.type === 'options-answered') status.push(out.status);
  return status;
}

describe('OPTIONS as client', () => {
  it('is answered by another user agent with 200, and with 503 by one that is stopping', () => {
    const peer = new UserAgent({ random: counter('s') });
    peer.receive({ type: 'connected', connection: 1, remote: here, local: there, transport: 'tls' }, NOW);
    const ua = prober();
    probe(ua);
    expect(exchange(ua, peer)).toEqual([200]);
    peer.receive({ type: 'stop', retryAfterSeconds: 60 }, NOW);
    probe(ua);
    expect(exchange(ua, peer)).toEqual([503]);
  });

  it('is 408 when nobody answers for 64*T1, and not before', () => {
    const ua = prober();
    probe(ua);
    ua.receive({ type: 'tick' }, NOW + 31_999);
    expect(answers(ua)).toEqual([]);
    ua.receive({ type: 'tick' }, NOW + 32_000);
    expect(answers(ua)).toEqual([408]);
  });

  it('is 503 when the connection is lost under way, once', () => {
    const ua = prober();
    probe(ua);
    ua.receive({ type: 'disconnected', connection: 1 }, NOW);
    ua.receive({ type: 'tick' }, NOW + 40_000);
    expect(answers(ua)).toEqual([503]);
  });

  it.each([
    ['a connection that is not there', 'sips:switch.example', 2, 'tls', 503],
    ['a target that is no SIP URI', 'tel:123', 1, 'tls', 400],
    ['sips: without TLS', 'sips:switch.example', 1, 'tcp', 403],
  ] as const)('is refused here: %s', (_, target, connection, transport, status) => {
    const ua = prober(transport);
    probe(ua, target, connection);
    expect(drain(ua)).toEqual([{ type: 'options-answered', probe: 7, status }]);
  });
});
