import { describe, expect, it } from 'vitest';
import { confirmed, req, SDP_A, wire } from './support.js';

describe('attack: a peer that makes us remember what it never answers', () => {
  it('a re-INVITE of ours that it takes up and never answers is forgotten with its call', () => {
    const bench = confirmed();
    bench.put({ type: 'reinvite', call: 1, sdp: SDP_A });
    const [invite] = bench.take();
    const copied = ['Via', 'From', 'To', 'Call-ID', 'CSeq'].map((n) =>
      new RegExp(`^${n}: .*$`, 'm').exec(invite!)![0].trim(),
    );
    bench.feed(wire(`SIP/2.0 100 Trying\n${copied.join('\n')}`));
    bench.feed(req({ method: 'BYE', branch: 'b', to: 't1', cseq: '2' }));
    expect(bench.takeEvents().at(-1)).toMatchObject({ type: 'ended' });
    expect(bench.ua.counts.transactions).toBe(1);
    bench.advance(32_000);
    expect(bench.ua.counts).toEqual({ calls: 0, transactions: 0 });
    expect(bench.ua.deadline()).toBeUndefined();
  });
});
