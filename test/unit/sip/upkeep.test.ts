/** Calls over time: session timers (RFC 4028), UPDATE (RFC 3311), peers that fall silent. Every time is virtual. */
import { describe, expect, it } from 'vitest';
import { Bench, confirmed, type Fields, headerOf, reply, req, SDP_A, SDP_B } from './support.js';

const OK_TIMER = '\nContact: <sip:ann@client.example>\nSession-Expires: 1800;refresher=';
/** Requests only: what we answered is of no interest. */
const requests = (bench: Bench) => bench.take().filter((m) => !m.startsWith('SIP/2.0'));

function answeredWith(extra: string, own?: number): { readonly bench: Bench; readonly ok: string } {
  const bench = new Bench(own === undefined ? {} : { sessionExpiresS: own });
  bench.feed(req({ body: SDP_A, extra }));
  bench.put({ type: 'accept', call: 1, sdp: SDP_B });
  const ok = bench.take().find((m) => m.startsWith('SIP/2.0 200'))!;
  bench.feed(req({ method: 'ACK', branch: 'k', to: 't1' }));
  bench.takeEvents();
  return { bench, ok };
}

describe('what our answer to an INVITE says of its session timer (RFC 4028 §9)', () => {
  it.each([
    ['asks for nothing and knows of nothing', '', undefined, undefined],
    ['asks for nothing, and we would have one: we refresh', '', 1_800, '1800;refresher=uas'],
    ['knows of it, and we would have one: it refreshes', 'Supported: timer', 1_800, '1800;refresher=uac'],
    ['wants more than we do', 'Supported: timer\nMin-SE: 3600', 1_800, '3600;refresher=uac'],
    ['asks for one', 'Supported: timer\nSession-Expires: 600', 1_800, '600;refresher=uac'],
    ['wants us to refresh', 'k: timer\nx: 600;refresher=uas', undefined, '600;refresher=uas'],
    ['does not know of what its proxy asked', 'Session-Expires: 60;refresher=uac', undefined, '60;refresher=uas'],
  ])('the peer %s', (_, extra, own, expected) => {
    const { ok } = answeredWith(extra, own);
    expect(headerOf(ok, 'Session-Expires')).toBe(expected);
    expect(headerOf(ok, 'Require')).toBe(expected?.endsWith('uac') ? 'timer' : undefined);
  });

  it('an interval that is too short gets 422 with the least, one that cannot be read 400', () => {
    const bench = new Bench();
    bench.feed(req({ body: SDP_A, extra: 'Supported: timer\nSession-Expires: 89' }));
    const [refused] = bench.take();
    expect(refused).toMatch(/^SIP\/2.0 422 Session Interval Too Small/);
    expect(headerOf(refused!, 'Min-SE')).toBe('90');
    bench.feed(req({ body: SDP_A, branch: 'd', cseq: '2', extra: 'Session-Expires: soon' }));
    expect(bench.lines()).toEqual(['SIP/2.0 400 Bad Request']);
    expect(bench.takeEvents()).toEqual([]);
    expect(bench.ua.counts.calls).toBe(0);
  });
});

describe('a session timer that the peer refreshes', () => {
  const refresher = (): Bench => answeredWith('Supported: timer\nSession-Expires: 600;refresher=uac').bench;

  it('ends the call with BYE a little before its time, and not sooner', () => {
    const bench = refresher();
    bench.advance(600_000 - 32_000 - 1); // §10: 32 s or a third of the interval before, whichever is less
    expect(requests(bench)).toEqual([]);
    bench.advance(1);
    expect(requests(bench)).toEqual([expect.stringMatching(/^BYE [\s\S]*Reason: SIP;cause=408;text="session timer/)]);
    expect(bench.takeEvents()).toEqual([{ type: 'ended', call: 1, by: 'timeout', cause: 'session timer expired' }]);
  });

  it.each([
    ['UPDATE', { method: 'UPDATE' }],
    ['re-INVITE', { method: 'INVITE', body: SDP_A }],
  ] as [string, Fields][])('runs anew with every %s', (_, fields) => {
    const bench = refresher();
    for (let i = 0; i < 5; i++) {
      bench.advance(300_000);
      const extra = 'Supported: timer\nSession-Expires: 600;refresher=uac';
      bench.feed(req({ branch: `r${i}`, to: 't1', cseq: String(2 + i), extra, ...fields }));
      if (fields.method === 'INVITE') {
        bench.put({ type: 'accept', call: 1, sdp: SDP_B });
        bench.feed(req({ method: 'ACK', branch: `k${i}`, to: 't1', cseq: String(2 + i) }));
      }
      const ok = bench.take().find((m) => m.startsWith('SIP/2.0 200'))!;
      expect(headerOf(ok, 'Session-Expires')).toBe('600;refresher=uac');
    }
    expect(bench.takeEvents().some((e) => e.type === 'ended')).toBe(false);
    bench.advance(568_000);
    expect(bench.takeEvents().at(-1)).toMatchObject({ type: 'ended', by: 'timeout' });
  });
});

describe('a session timer that we refresh', () => {
  it('by UPDATE half way through where the peer takes it, again and again', () => {
    const { bench } = answeredWith('Allow: INVITE, UPDATE\nSession-Expires: 600;refresher=uas\nSupported: timer');
    for (let i = 0; i < 3; i++) {
      bench.advance(299_999);
      expect(requests(bench)).toEqual([]);
      bench.advance(1);
      const [update] = requests(bench);
      expect(update).toMatch(/^UPDATE sip:ann@client.example:5061 /);
      expect(headerOf(update!, 'Session-Expires')).toBe('600;refresher=uac');
      bench.feed(reply(update!, '200 OK', '', `${OK_TIMER}uac`.replace('1800', '600')));
    }
    expect(bench.takeEvents()).toEqual([]);
    expect(bench.ua.counts.calls).toBe(1);
  });

  it('by re-INVITE with the very same SDP where it does not, and our user hears nothing of it', () => {
    const { bench } = answeredWith('Session-Expires: 600;refresher=uas\nSupported: timer');
    bench.advance(300_000);
    const [invite] = requests(bench);
    expect(invite).toMatch(/^INVITE /);
    expect(invite).toContain(SDP_B);
    bench.feed(reply(invite!, '200 OK', '', `${OK_TIMER}uac`, SDP_A));
    expect(bench.lines()).toEqual([expect.stringMatching(/^ACK /)]);
    expect(bench.takeEvents()).toEqual([]);
  });

  it.each([
    ['481', '481 No', 'peer'],
    ['408', '408 Late', 'peer'],
    ['nothing', undefined, 'timeout'],
  ])('ends the call where the refresh is answered with %s', (_, status, by) => {
    const { bench } = answeredWith('Allow: UPDATE\nSession-Expires: 600;refresher=uas\nSupported: timer');
    bench.advance(300_000);
    const [update] = requests(bench);
    if (status === undefined) bench.advance(32_000);
    else bench.feed(reply(update!, status, ''));
    expect(bench.takeEvents().find((e) => e.type === 'ended')).toMatchObject({ by });
    expect(bench.lines().some((l) => l.startsWith('BYE'))).toBe(true);
  });

  it('tries again where it is refused for another reason, and ends when the time is over', () => {
    const { bench } = answeredWith('Allow: UPDATE\nSession-Expires: 600;refresher=uas\nSupported: timer');
    bench.advance(300_000);
    let tries = 0;
    while (bench.ua.counts.calls > 0 && tries < 100) {
      for (const update of requests(bench).filter((m) => m.startsWith('UPDATE'))) {
        tries++;
        bench.feed(reply(update, '500 Not Now', ''));
      }
      bench.advance(1_000);
    }
    expect(tries).toBe(60); // every 5 s
    expect(bench.takeEvents()).toMatchObject([{ type: 'ended', by: 'timeout', cause: 'session timer expired' }]);
  });

  it('waits while an exchange of the peer is under way, which refreshes as well', () => {
    const { bench } = answeredWith('Session-Expires: 600;refresher=uas\nSupported: timer');
    bench.advance(299_000);
    bench.feed(req({ branch: 'x', to: 't1', cseq: '2', body: SDP_A, extra: 'Supported: timer' }));
    bench.advance(10_000);
    expect(requests(bench)).toEqual([]);
    bench.put({ type: 'accept', call: 1, sdp: SDP_B });
    bench.feed(req({ method: 'ACK', branch: 'xk', to: 't1', cseq: '2' }));
    bench.advance(200_000);
    expect(requests(bench)).toEqual([]);
  });
});

describe('a call out with a session timer', () => {
  const dialled = (): { readonly bench: Bench; readonly invite: string } => {
    const bench = new Bench({ sessionExpiresS: 1_800 });
    const target = 'sip:8000@switch.example';
    bench.put({ type: 'invite', call: 1, connection: 1, target, from: 'sip:ann@client.example', sdp: SDP_A });
    return { bench, invite: bench.take()[0]! };
  };

  it('asks for it, and does what the answer says', () => {
    const { bench, invite } = dialled();
    expect(headerOf(invite, 'Session-Expires')).toBe('1800');
    expect(headerOf(invite, 'Min-SE')).toBe('90');
    expect(headerOf(invite, 'Supported')).toContain('timer');
    bench.feed(reply(invite, '200 OK', 'b', `${OK_TIMER}uac\nAllow: UPDATE`, SDP_B));
    bench.take();
    bench.advance(900_000);
    expect(requests(bench)).toEqual([expect.stringMatching(/^UPDATE /)]);
  });

  it('whose answer leaves the refresh to the peer ends when none comes', () => {
    const { bench, invite } = dialled();
    bench.feed(reply(invite, '200 OK', 'b', `${OK_TIMER}uas`, SDP_B));
    bench.take();
    bench.advance(1_768_000);
    expect(requests(bench)).toEqual([expect.stringMatching(/^BYE /)]);
  });

  it('that gets 422 is tried once more with what the peer takes', () => {
    const { bench, invite } = dialled();
    bench.feed(reply(invite, '422 Session Interval Too Small', 'b', '\nMin-SE: 7200'));
    const [ack, again] = bench.take();
    expect(ack).toMatch(/^ACK /);
    expect(headerOf(again!, 'CSeq')).toBe('2 INVITE');
    expect(headerOf(again!, 'Session-Expires')).toBe('7200');
    expect(headerOf(again!, 'Min-SE')).toBe('7200');
    bench.feed(reply(again!, '422 Session Interval Too Small', 'b', '\nMin-SE: 9000'));
    expect(bench.takeEvents()).toMatchObject([{ type: 'failed', status: 422 }]);
  });
});

describe('UPDATE', () => {
  it('with an offer is answered in its 200, without an ACK, and refused in glare', () => {
    const bench = confirmed();
    bench.feed(req({ method: 'UPDATE', branch: 'u', to: 't1', cseq: '2', body: SDP_A }));
    expect(bench.takeEvents()).toEqual([{ type: 'offer-again', call: 1, offer: SDP_A }]);
    expect(bench.take()).toEqual([]); // no 100 to a non-INVITE
    bench.put({ type: 'accept', call: 1, sdp: SDP_B });
    const [ok] = bench.take();
    expect(ok).toMatch(/^SIP\/2.0 200 [\s\S]*CSeq: 2 UPDATE/);
    expect(ok).toContain(SDP_B);
    bench.advance(40_000);
    expect(bench.take()).toEqual([]); // nothing is sent again, nothing waits
    bench.put({ type: 'reinvite', call: 1, sdp: SDP_B });
    bench.take();
    bench.feed(req({ method: 'UPDATE', branch: 'u2', to: 't1', cseq: '3', body: SDP_A }));
    expect(bench.lines()).toEqual(['SIP/2.0 491 Request Pending']);
  });

  it('refused leaves the call as it was; without a dialog it is 481', () => {
    const bench = confirmed();
    bench.feed(req({ method: 'UPDATE', branch: 'u', to: 't1', cseq: '2', body: SDP_A }));
    bench.put({ type: 'reject', call: 1, status: 488 });
    expect(bench.lines()).toEqual(['SIP/2.0 488 Not Acceptable Here']);
    bench.feed(req({ method: 'UPDATE', branch: 'u2', cseq: '3' }));
    expect(bench.lines()).toEqual(['SIP/2.0 481 Call/Transaction Does Not Exist']);
    expect(bench.ua.counts.calls).toBe(1);
  });
});

describe('a peer that falls silent', () => {
  const silent = () => confirmed({ probeAfterMs: 90_000 });

  it('is asked with OPTIONS, and as long as it says anything the call lives', () => {
    const bench = silent();
    bench.advance(60_000);
    bench.feed(req({ method: 'OPTIONS', branch: 'o', to: 't1', cseq: '2' }));
    bench.take();
    bench.advance(89_999);
    expect(requests(bench)).toEqual([]);
    bench.advance(1);
    const [options] = requests(bench);
    expect(options).toMatch(/^OPTIONS sip:ann@client.example:5061 /);
    bench.feed(reply(options!, '405 Method Not Allowed', '')); // any word of it will do
    bench.advance(90_000);
    expect(requests(bench)).toHaveLength(1);
    expect(bench.takeEvents()).toEqual([]);
  });

  it('for good loses its call, and the connection is closed', () => {
    const bench = silent();
    bench.advance(90_000 + 32_000 - 1);
    expect(bench.takeEvents()).toEqual([]);
    bench.advance(1);
    expect(bench.takeEvents()).toMatchObject([
      { type: 'ended', call: 1, by: 'timeout' },
      { type: 'close', connection: 1, why: 'the peer is silent' },
    ]);
    expect(bench.ua.counts.calls).toBe(0);
  });

  it('and does not know the call any more loses it, too', () => {
    const bench = silent();
    bench.advance(90_000);
    bench.feed(reply(requests(bench)[0]!, '481 No Such Call', ''));
    expect(bench.takeEvents()).toMatchObject([{ type: 'ended', call: 1, by: 'peer' }]);
  });
});
