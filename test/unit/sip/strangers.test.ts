/** Peers that reach for calls of others, and peers that want too much. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import {
  SIP_MAX_CALLS,
  SIP_MAX_CONNECTIONS,
  SIP_MAX_IDENTIFIER_CHARS,
  SIP_MAX_TRANSACTIONS_PER_CONNECTION,
} from '../../../src/base/limits.js';
import type { Connected } from '../../../src/sip/contract.js';
import { Bench, confirmed, headerOf, parse, req, SDP_A, SDP_B } from './support.js';

describe('a stranger on another connection', () => {
  const other = (more: Partial<Connected>): Connected => ({
    type: 'connected',
    connection: 2,
    remote: { address: '192.0.2.66', port: 1 },
    local: { address: '192.0.2.100', port: 5061 },
    transport: 'tls',
    ...more,
  });
  const bye = () => parse(req({ method: 'BYE', branch: 'b', to: 't1', cseq: '2' }));

  it('call hijack: knowing the tags does not let it hang up', () => {
    const bench = confirmed();
    bench.put(other({}));
    bench.put({ type: 'message', connection: 2, message: bye() });
    expect(bench.lines()).toEqual(['SIP/2.0 481 Call/Transaction Does Not Exist']);
    expect(bench.takeEvents()).toEqual([]);
  });

  it('call hijack: nor from the same address without TLS, nor with another certificate', () => {
    for (const more of [{ transport: 'tcp' as const }, { identity: 'CN=mallory' }]) {
      const bench = confirmed();
      bench.put(other({ remote: { address: '192.0.2.7', port: 2 }, ...more }));
      bench.put({ type: 'message', connection: 2, message: bye() });
      expect(bench.takeEvents()).toEqual([]);
    }
  });

  it('but the peer itself may use a second connection', () => {
    const bench = confirmed();
    bench.put(other({ remote: { address: '192.0.2.7', port: 2 } }));
    bench.put({ type: 'message', connection: 2, message: bye() });
    expect(bench.takeEvents()).toEqual([{ type: 'ended', call: 1, by: 'peer' }]);
  });

  it('and, with the same verified certificate, from another address', () => {
    const bench = new Bench();
    const [a, b] = [other({ identity: 'CN=ann' }), other({ identity: 'CN=ann', connection: 3 })];
    bench.put({ ...a, remote: { address: '192.0.2.5', port: 5 } });
    bench.put(b);
    const put = (connection: number, bytes: Uint8Array) =>
      bench.put({ type: 'message', connection, message: parse(bytes) });
    put(2, req({ body: SDP_A }));
    bench.put({ type: 'accept', call: 1, sdp: SDP_B });
    put(3, req({ method: 'ACK', branch: 'k', to: 't1' }));
    expect(bench.takeEvents().at(-1)).toEqual({ type: 'confirmed', call: 1 });
  });

  it('cannot cancel or answer in a transaction that is not its own', () => {
    const bench = new Bench();
    bench.feed(req({ body: SDP_A }));
    bench.put(other({}));
    bench.put({ type: 'message', connection: 2, message: parse(req({ method: 'CANCEL' })) });
    expect(bench.lines().at(-1)).toBe('SIP/2.0 481 Call/Transaction Does Not Exist');
    expect(bench.takeEvents().map((e) => e.type)).toEqual(['incoming']);
  });
});

describe('attack: memory of the switch filled with requests that are refused and never acknowledged', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;

  it('what a refused INVITE carried is gone with its answer, its transaction waits on', async () => {
    const bench = new Bench();
    const kept = ((): WeakRef<Uint8Array> => {
      const message = parse(req({ body: SDP_A }));
      bench.put({ type: 'message', connection: 1, message });
      return new WeakRef(message.body);
    })();
    bench.put({ type: 'reject', call: 1, status: 404 });
    expect(bench.lines()).toEqual(['SIP/2.0 100 Trying', 'SIP/2.0 404 Not Found']);
    expect(bench.ua.counts.transactions).toBe(1);
    bench.takeEvents();
    await new Promise((resolve) => setImmediate(resolve)); // a WeakRef holds its target until the end of the job
    collect();
    expect(kept.deref()).toBeUndefined();
  });

  it('nor do the identifiers that are kept keep the message that they were cut out of', () => {
    const bench = new Bench();
    const extra = `X: ${'y'.repeat(30_000)}`;
    const used = (): number => {
      collect();
      return process.memoryUsage().heapUsed;
    };
    const before = used();
    for (let i = 1; i <= 240; i++) {
      bench.feed(req({ branch: `branch-number-${i}`, callId: `call-number-${i}`, body: SDP_A, extra }));
      if (i % 2 === 0) bench.put({ type: 'reject', call: i, status: 404 });
      else bench.put({ type: 'accept', call: i, sdp: SDP_B });
      bench.take();
      bench.takeEvents();
    }
    expect(bench.ua.counts.transactions).toBe(240);
    expect(used() - before).toBeLessThan(240 * 10_000);
  });

  it('an identifier longer than anybody needs is refused and not kept', () => {
    const long = 'x'.repeat(SIP_MAX_IDENTIFIER_CHARS);
    for (const fields of [{ branch: long }, { callId: `${long}1` }, { from: `${long}1` }, { to: `${long}1` }]) {
      const bench = new Bench();
      bench.feed(req({ body: SDP_A, ...fields }));
      expect(bench.lines()).toEqual(['SIP/2.0 400 Identifier Too Long']);
      expect(bench.ua.counts).toEqual({ calls: 0, transactions: 0 });
    }
  });
});

describe('limits', () => {
  it('transactions of a connection: INVITEs beyond get 503, and BYE still works', () => {
    const bench = confirmed();
    for (let i = 0; i < SIP_MAX_TRANSACTIONS_PER_CONNECTION; i++) {
      bench.feed(req({ branch: `x${i}`, callId: `x${i}` }));
    }
    expect(bench.ua.counts.transactions).toBe(SIP_MAX_TRANSACTIONS_PER_CONNECTION);
    expect(new Set(bench.lines())).toEqual(new Set(['SIP/2.0 100 Trying']));
    bench.feed(req({ branch: 'over', callId: 'over' }));
    const [sent] = bench.take();
    expect(sent).toMatch(/^SIP\/2.0 503/);
    expect(headerOf(sent!, 'Retry-After')).toBe('2');
    bench.feed(req({ method: 'BYE', branch: 'b', to: 't1', cseq: '2' }));
    expect(bench.takeEvents().at(-1)).toMatchObject({ type: 'ended', call: 1, by: 'peer' });
    bench.put({ type: 'disconnected', connection: 1 });
    expect(bench.ua.counts).toEqual({ calls: 0, transactions: 0 });
  });

  it('calls: one beyond gets 503, and a lost connection leaves no timer', () => {
    const bench = new Bench();
    const address = { address: '192.0.2.7', port: 1 };
    const perConnection = 128;
    for (let i = 0; i <= SIP_MAX_CALLS; i++) {
      const connection = 2 + Math.floor(i / perConnection);
      bench.put({ type: 'connected', connection, remote: address, local: address, transport: 'tls' });
      const message = parse(req({ branch: `c${i}`, callId: `c${i}`, body: SDP_A }));
      bench.put({ type: 'message', connection, message });
    }
    expect(bench.ua.counts.calls).toBe(SIP_MAX_CALLS);
    expect(bench.lines().at(-1)).toBe('SIP/2.0 503 Service Unavailable');
    bench.put({ type: 'accept', call: 1, sdp: SDP_B });
    expect(bench.ua.deadline()).toBeDefined();
    for (let connection = 2; connection <= 2 + SIP_MAX_CALLS / perConnection; connection++) {
      bench.put({ type: 'disconnected', connection });
    }
    expect(bench.ua.counts).toEqual({ calls: 0, transactions: 0 });
    expect(bench.ua.deadline()).toBeUndefined();
  });

  it('connections: one beyond is to be closed', () => {
    const bench = new Bench();
    const address = { address: '192.0.2.7', port: 1 };
    for (let c = 2; c <= SIP_MAX_CONNECTIONS + 1; c++) {
      bench.put({ type: 'connected', connection: c, remote: address, local: address, transport: 'tls' });
    }
    expect(bench.takeEvents()).toEqual([
      { type: 'close', connection: SIP_MAX_CONNECTIONS + 1, why: 'connection limit' },
    ]);
  });
});
