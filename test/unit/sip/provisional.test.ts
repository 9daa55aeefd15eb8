/** Our own provisional responses, reliable where the caller takes them (RFC 3262), and requests in early dialogs (RFC 3311). */
import { describe, expect, it } from 'vitest';
import { Bench, type Fields, headerOf, reply, req, SDP_A, SDP_B } from './support.js';

/** Ann's INVITE has been told that it waits. */
function waiting(fields: Fields = { extra: 'Require: 100rel' }): { bench: Bench; progress: string; rseq: number } {
  const bench = new Bench();
  bench.feed(req({ body: SDP_A, ...fields }));
  bench.put({ type: 'provisional', call: 1, status: 183 });
  const [, progress] = bench.take();
  bench.takeEvents();
  return { bench, progress: progress!, rseq: Number(headerOf(progress!, 'RSeq')) };
}

let branch = 0;
function prack(bench: Bench, rack: string, cseq = 2, to = 't1'): string | undefined {
  bench.feed(req({ method: 'PRACK', branch: `p${++branch}`, to, cseq: String(cseq), extra: `RAck: ${rack}` }));
  return bench.lines().at(-1)?.split(' ')[1];
}

const starts = (bench: Bench): string[] => bench.lines().map((line) => line.split(' ').slice(0, 2).join(' '));

describe('a provisional response of ours', () => {
  it.each(['Require: 100rel', 'Supported: timer, 100rel'])('is reliable for an INVITE with %s', (extra) => {
    const { progress, rseq } = waiting({ extra });
    expect(progress).toMatch(/^SIP\/2.0 183 Session Progress/);
    expect(headerOf(progress, 'Require')).toBe('100rel');
    expect(headerOf(progress, 'To')).toContain(';tag=t1');
    expect(headerOf(progress, 'Contact')).toBe('<sip:192.0.2.100:5061;transport=tls>');
    expect(rseq).toBeGreaterThan(0);
    expect(rseq).toBeLessThan(2 ** 31);
  });

  it('is a plain one for everybody else, and is not sent again', () => {
    const { bench, progress } = waiting({});
    expect(progress).toMatch(/^SIP\/2.0 183 /);
    expect(headerOf(progress, 'RSeq')).toBeUndefined();
    expect(headerOf(progress, 'Require')).toBeUndefined();
    bench.advance(60_000);
    expect(bench.lines()).toEqual([]);
    expect(prack(bench, '1 1 INVITE')).toBe('481');
  });

  it('is sent once a call, and not when the call is answered', () => {
    const { bench } = waiting();
    bench.put({ type: 'provisional', call: 1, status: 180 });
    expect(bench.lines()).toEqual([]);
    const answered = new Bench();
    answered.feed(req({ body: SDP_A }));
    answered.put({ type: 'accept', call: 1, sdp: SDP_B });
    answered.take();
    answered.put({ type: 'provisional', call: 1, status: 183 });
    expect(answered.lines()).toEqual([]);
  });

  it('comes again after T1, 2*T1, 4*T1 ... and after 64*T1 without PRACK the INVITE is refused', () => {
    const { bench, progress } = waiting();
    const at: number[] = [];
    const begin = bench.now;
    for (let ms = 0; ms < 31_900; ms += 100) {
      bench.advance(100);
      for (const message of bench.take()) {
        expect(message).toBe(progress);
        at.push(bench.now - begin);
      }
    }
    expect(at).toEqual([500, 1_500, 3_500, 7_500, 15_500, 31_500]);
    bench.advance(100);
    expect(starts(bench)).toEqual(['SIP/2.0 504']);
    expect(bench.takeEvents()).toEqual([{ type: 'ended', call: 1, by: 'timeout', cause: 'no PRACK' }]);
    expect(bench.ua.counts.calls).toBe(0);
  });

  it('is acknowledged by the PRACK that names it, and by no other', () => {
    const { bench, rseq } = waiting();
    expect(prack(bench, `${rseq + 1} 1 INVITE`)).toBe('481');
    expect(prack(bench, `${rseq} 2 INVITE`, 3)).toBe('481');
    expect(prack(bench, `${rseq} 1 UPDATE`, 4)).toBe('481');
    expect(prack(bench, `${rseq}`, 5)).toBe('400');
    expect(prack(bench, `${rseq} 1 INVITE`, 6, 'other')).toBe('481');
    bench.advance(500);
    expect(starts(bench)).toEqual(['SIP/2.0 183']); // still waits
    expect(prack(bench, `${rseq} 1 INVITE`, 7)).toBe('200');
    bench.advance(100_000);
    expect(bench.lines()).toEqual([]);
    expect(prack(bench, `${rseq} 1 INVITE`, 8)).toBe('481');
    bench.put({ type: 'accept', call: 1, sdp: SDP_B });
    expect(starts(bench)).toEqual(['SIP/2.0 200']);
    bench.feed(req({ method: 'ACK', branch: 'k', to: 't1' }));
    expect(bench.takeEvents()).toEqual([{ type: 'confirmed', call: 1 }]);
  });

  it('does not hold up the answer; its PRACK is taken afterwards too', () => {
    const { bench, rseq } = waiting();
    bench.put({ type: 'accept', call: 1, sdp: SDP_B });
    expect(starts(bench)).toEqual(['SIP/2.0 200']);
    bench.feed(req({ method: 'ACK', branch: 'k', to: 't1' }));
    bench.advance(20_000);
    expect(bench.lines()).toEqual([]);
    expect(prack(bench, `${rseq} 1 INVITE`)).toBe('200');
  });

  it('is over with CANCEL', () => {
    const { bench } = waiting();
    bench.feed(req({ method: 'CANCEL', branch: 'c' }));
    expect(starts(bench)).toEqual(['SIP/2.0 200', 'SIP/2.0 487']);
    bench.advance(100_000);
    expect(bench.lines()).toEqual([]);
    expect(bench.ua.counts.calls).toBe(0);
  });

  it('is over with BYE in the early dialog (RFC 3261 §15)', () => {
    const { bench } = waiting();
    bench.feed(req({ method: 'BYE', branch: 'b', to: 't1', cseq: '2' }));
    expect(starts(bench)).toEqual(['SIP/2.0 200', 'SIP/2.0 487']);
    expect(bench.takeEvents()).toEqual([{ type: 'ended', call: 1, by: 'peer' }]);
  });

  it('hijack: a PRACK or UPDATE from somebody else does not reach the early dialog', () => {
    const { bench, rseq } = waiting();
    const remote = { address: '203.0.113.9', port: 5061 };
    const local = { address: '192.0.2.100', port: 5061 };
    bench.put({ type: 'connected', connection: 2, remote, local, transport: 'tls' });
    const more = { to: 't1', cseq: '2', extra: `RAck: ${rseq} 1 INVITE` };
    bench.feed(req({ method: 'PRACK', branch: 'x', ...more }), 2);
    bench.feed(req({ method: 'UPDATE', branch: 'y', ...more }), 2);
    expect(starts(bench)).toEqual(['SIP/2.0 481', 'SIP/2.0 481']);
    expect(prack(bench, `${rseq} 1 INVITE`)).toBe('200');
  });
});

describe('UPDATE in the early dialog of an INVITE to us (RFC 3311 §5.2)', () => {
  it('without an offer moves the target', () => {
    const { bench } = waiting({});
    const contact = '<sip:moved@client.example:5099>';
    bench.feed(req({ method: 'UPDATE', branch: 'u', to: 't1', cseq: '2', contact }));
    const [answer] = bench.take();
    expect(answer).toMatch(/^SIP\/2.0 200 /);
    expect(headerOf(answer!, 'Contact')).toContain('192.0.2.100');
    bench.put({ type: 'accept', call: 1, sdp: SDP_B });
    bench.feed(req({ method: 'ACK', branch: 'k', to: 't1' }));
    bench.take();
    bench.put({ type: 'hangup', call: 1 });
    expect(bench.lines()).toEqual(['BYE sip:moved@client.example:5099 SIP/2.0']);
  });

  it('with an offer is to come again later: the one of the INVITE has no answer yet', () => {
    const { bench } = waiting({});
    bench.feed(req({ method: 'UPDATE', branch: 'u', to: 't1', cseq: '2', body: SDP_B }));
    const [answer] = bench.take();
    expect(answer).toMatch(/^SIP\/2.0 500 /);
    expect(headerOf(answer!, 'Retry-After')).toBe('5');
  });
});

describe('UPDATE in an early dialog of our INVITE', () => {
  function ringing(sdp = '') {
    const bench = new Bench();
    const target = 'sip:8000@switch.example';
    bench.put({ type: 'invite', call: 1, connection: 1, target, from: 'sip:ann@client.example', sdp: SDP_A });
    const [invite] = bench.take();
    bench.feed(reply(invite!, '183 Progress', 'b', '\nContact: <sip:b@192.0.2.7>\nRequire: 100rel\nRSeq: 9', sdp));
    bench.take();
    const callId = headerOf(invite!, 'Call-ID')!;
    const to = headerOf(invite!, 'From')!.split('tag=')[1]!;
    let cseq = 0;
    const ask = (method: string, fields: Fields = {}): string | undefined => {
      cseq++;
      bench.feed(req({ method, branch: `u${cseq}`, callId, to, from: 'b', cseq: String(cseq), ...fields }));
      return bench.lines().at(-1)?.split(' ')[1];
    };
    return { bench, invite: invite!, ask };
  }

  it('is answered; with an offer 491 before, 488 after ours was answered', () => {
    const { ask } = ringing();
    expect(ask('UPDATE')).toBe('200');
    expect(ask('UPDATE', { body: SDP_B })).toBe('491');
    expect(ask('BYE')).toBe('481'); // §15: the callee has none there
    expect(ask('UPDATE', { from: 'other' })).toBe('481');
    expect(ringing(SDP_B).ask('UPDATE', { body: SDP_B })).toBe('488');
  });

  it('goes on with its numbers when the call is answered, and is over when it is not', () => {
    const { bench, invite, ask } = ringing();
    ask('UPDATE', { contact: '<sip:moved@192.0.2.8>' });
    bench.feed(reply(invite, '180 Ringing', 'b', '\nContact: <sip:b@192.0.2.7>\nRequire: 100rel\nRSeq: 10'));
    expect(bench.lines()).toEqual(['PRACK sip:moved@192.0.2.8 SIP/2.0']);
    bench.feed(reply(invite, '200 OK', 'b', '\nContact: <sip:b@192.0.2.7>', SDP_B));
    bench.take();
    expect(ask('UPDATE', { cseq: '1' })).toBe('500'); // out of order
    expect(ask('UPDATE')).toBe('200');
    const refused = ringing();
    refused.bench.feed(reply(refused.invite, '486 Busy', 'b'));
    expect(refused.ask('UPDATE')).toBe('481');
  });
});
