/** Trunk profiles: which peer a connection is, the order of checks (T4) as one table, and what start-up refuses. */
import { describe, expect, it } from 'vitest';
import { Secret } from '../../../src/base/secret.js';
import { hashCredentials } from '../../../src/sip/digest.js';
import { answerChallenge } from '../../../src/sip/digest-client.js';
import { type DigestUser, RequestGate } from '../../../src/sip/request-gate.js';
import { type Access, accessOf, securityStatus, type TrunkProfile, trunkProblems } from '../../../src/sip/trunk.js';
import { headerValue } from '../../../src/wire/sip-message.js';
import type { SipRequest } from '../../../src/wire/sip-types.js';
import { Bench, counter, headerOf, parse, req, SDP_A, SDP_B } from './support.js';

const TRUNK: TrunkProfile = {
  name: 'cucm',
  description: '',
  security: 'encrypted',
  incoming: ['tls'],
  outgoing: 'tls',
  x509Names: ['CUCM.example', 'cucm2.example'],
  peers: [{ host: 'cucm.example', port: 5061 }],
  digest: false,
  nonceValidityMs: 600_000,
  applicationAuthorization: false,
  accept: [],
  transmitSecurityStatus: false,
  srtp: true,
  keying: 'dtls',
  sdpKeySuites: ['AES_CM_128_HMAC_SHA1_80'],
};
const PLAIN: TrunkProfile = {
  ...TRUNK,
  name: 'plain',
  security: 'non-secure',
  srtp: false,
  incoming: ['tcp', 'udp'],
  outgoing: 'udp',
  x509Names: [],
  port: 5060,
  peers: [{ host: '192.0.2.9', port: 5060 }],
};

const remote = { address: '192.0.2.7', port: 40_000 };
const tls = { port: undefined, transport: 'tls', remote } as const;

describe('which trunk a connection is', () => {
  it('says the certificate: any of its names, in any case', () => {
    const trunk: Access = { type: 'trunk', trunk: 'cucm' };
    expect(accessOf([TRUNK], { ...tls, names: ['cucm.EXAMPLE'] })).toEqual(trunk);
    expect(accessOf([TRUNK], { ...tls, names: ['other', 'cucm2.example'] })).toEqual(trunk);
  });

  it('without TLS says the address', () => {
    const facts = { port: 5060, transport: 'udp', names: [] } as const;
    const own = { address: '192.0.2.9', port: 1 };
    expect(accessOf([TRUNK, PLAIN], { ...facts, remote: own })).toEqual({ type: 'trunk', trunk: 'plain' });
    expect(accessOf([TRUNK, PLAIN], { ...facts, remote })).toMatchObject({ type: 'denied', code: 'trunk-denied' });
  });

  it('a port without a trunk is open to everybody, one with a trunk to nobody else', () => {
    expect(accessOf([{ ...TRUNK, port: 5071 }], { ...tls, names: [] })).toEqual({ type: 'open' });
    for (const names of [[], ['stranger.example'], ['*.example'], ['xcucm.example']]) {
      expect(accessOf([TRUNK], { ...tls, names })).toMatchObject({ type: 'denied', code: 'tls-verify-failed' });
    }
  });

  it('a name belongs to one trunk a port: the same name on another port is another trunk', () => {
    const other = { ...TRUNK, name: 'other', port: 5071 };
    expect(accessOf([TRUNK, other], { ...tls, port: 5071, names: ['cucm.example'] })).toEqual({
      type: 'trunk',
      trunk: 'other',
    });
  });
});

describe('start-up refuses', () => {
  it.each<[string, Partial<TrunkProfile>, RegExp]>([
    ['encrypted mode without TLS', { incoming: ['tcp'] }, /encrypted needs TLS/],
    ['encrypted mode that calls without TLS', { outgoing: 'udp' }, /encrypted needs TLS/],
    ['authenticated mode without TLS', { security: 'authenticated', outgoing: 'tcp' }, /authenticated needs TLS/],
    ['non-secure mode with TLS', { security: 'non-secure', srtp: false }, /non-secure is TCP or UDP/],
    ['SRTP under signalling that anybody can change', { ...PLAIN, srtp: true }, /srtp = true needs TLS/],
    ['encrypted mode without SRTP', { srtp: false }, /encrypted needs srtp/],
    ['application authorization without digest', { applicationAuthorization: true }, /needs digest/],
    [
      'keys in SDP that anybody can read',
      { ...PLAIN, keying: 'sdp-keys' },
      /sdp-keys needs TLS for incoming and outgoing/,
    ],
    ['keys in SDP where calls go out in clear', { keying: 'sdp-keys', outgoing: 'tcp' }, /sdp-keys needs TLS/],
    ['keys in SDP without SRTP', { keying: 'sdp-keys', srtp: false }, /sdp-keys needs srtp/],
    ['a TLS trunk that nobody could use', { x509Names: [] }, /x509Names is empty/],
    ['a trunk without TLS on the main port', { ...PLAIN, port: undefined as never }, /port is missing/],
    ['a trunk without TLS that anybody could use', { ...PLAIN, peers: [] }, /peers is empty/],
    ['UDP out without UDP in', { ...PLAIN, incoming: ['tcp'], outgoing: 'udp' }, /outgoing udp needs udp in incoming/],
  ])('%s', (_, change, problem) => {
    expect(trunkProblems([{ ...TRUNK, ...change }], 5061).join('\n')).toMatch(problem);
  });

  it('TLS and no TLS on one port, the same name twice on one port, the same trunk twice', () => {
    expect(trunkProblems([TRUNK, { ...PLAIN, port: 5061 }], 5061).join('\n')).toMatch(/port 5061 is shared with cucm/);
    const twin = { ...TRUNK, name: 'twin', x509Names: ['cucm.EXAMPLE'] };
    expect(trunkProblems([TRUNK, twin], 5061).join('\n')).toMatch(/cucm.example on port 5061 belongs to cucm/);
    expect(trunkProblems([TRUNK, { ...TRUNK, port: 5071 }], 5061).join('\n')).toMatch(/two trunks have this name/);
    expect(trunkProblems([TRUNK, { ...twin, port: 5071, keying: 'sdp-keys' }, PLAIN], 5061)).toEqual([]);
  });
});

const secret = (text: string): Secret => new Secret(new TextEncoder().encode(text));
const USERS: readonly DigestUser[] = [
  { name: 'app', hashed: { 'SHA-256': secret(hashCredentials('SHA-256', 'app', 'switch', 'pw')) }, accept: ['refer'] },
];

function gate(change: Partial<TrunkProfile>): RequestGate {
  return new RequestGate({
    trunks: [{ ...TRUNK, ...change }],
    users: USERS,
    realm: 'switch',
    algorithms: ['SHA-256'],
    nonceKey: new Secret(new Uint8Array(32)),
    random: counter('r'),
  });
}

function message(method: string, extra = '', to?: string): SipRequest {
  const parsed = parse(req({ method, extra, ...(to === undefined ? {} : { to }) }));
  if (parsed.kind !== 'request') throw new Error('not a request');
  return parsed;
}

/** What the peer can do: `none` says nothing, `wrong` guesses, `app` is in the application list for REFER only. */
type Peer = 'none' | 'wrong' | 'app';

/** Status of the answer; 0: the request passes. A challenge is answered as the peer can. */
function outcome(
  change: Partial<TrunkProfile>,
  access: Access,
  method: string,
  peer: Peer,
  extra = '',
  to?: string,
): string {
  const checks = gate(change);
  const first = checks.check(message(method, extra, to), access, 1_000);
  const show = (v: typeof first): string =>
    v.type === 'pass' ? 'passes' : `${v.draft.status}${v.denial === undefined ? '' : ` ${v.denial.code}`}`;
  if (first.type === 'pass' || first.draft.status !== 401 || peer === 'none') return show(first);
  const request = message(method, extra, to);
  const draft = { method, uri: request.uriText, headers: request.headers.filter((h) => h.name !== 'via') };
  const password = peer === 'app' ? 'pw' : 'guess';
  const account = { user: 'app', hashed: { 'SHA-256': secret(hashCredentials('SHA-256', 'app', 'switch', password)) } };
  const response = { status: 401, headers: first.draft.headers! } as unknown as Parameters<typeof answerChallenge>[1];
  const again = answerChallenge(draft, response, () => account, { attempt: 0, sequence: 2, cnonce: 'c' })!;
  const authorization = headerValue(again, 'authorization')!;
  return show(checks.check(message(method, `${extra}Authorization: ${authorization}\n`, to), access, 2_000));
}

const KNOWN: Access = { type: 'trunk', trunk: 'cucm' };
const DENIED: Access = { type: 'denied', code: 'trunk-denied', cause: 'x' };
const FOREIGN: Access = { type: 'denied', code: 'tls-verify-failed', cause: 'x' };
const DIGEST = { digest: true } as const;
const APPLICATIONS = {
  digest: true,
  applicationAuthorization: true,
  accept: ['presence', 'refer', 'notify', 'replaces'],
} as const;
const REPLACES = 'Replaces: x;to-tag=1;from-tag=2\n';

describe('the order of checks (T4): trunk list, then digest, then application list', () => {
  it.each<[Partial<TrunkProfile>, Access, string, Peer, string, string?, string?]>([
    // 1. the trunk list comes first: who is not on it is not even asked for a password
    [{}, DENIED, 'INVITE', 'none', '403 trunk-denied'],
    [DIGEST, DENIED, 'INVITE', 'none', '403 trunk-denied'],
    [DIGEST, FOREIGN, 'OPTIONS', 'app', '403 tls-verify-failed'],
    [{}, KNOWN, 'INVITE', 'none', 'passes'],
    [{}, { type: 'open' }, 'REFER', 'none', 'passes'],
    // ... and with it what the trunk accepts
    [DIGEST, KNOWN, 'SUBSCRIBE', 'none', '403 trunk-denied'],
    [DIGEST, KNOWN, 'REFER', 'app', '403 trunk-denied'],
    [DIGEST, KNOWN, 'NOTIFY', 'app', '403 trunk-denied'],
    [DIGEST, KNOWN, 'INVITE', 'app', '403 trunk-denied', REPLACES],
    [{ accept: ['refer'] }, KNOWN, 'REFER', 'none', 'passes'],
    [{ accept: ['refer'] }, KNOWN, 'NOTIFY', 'none', '403 trunk-denied'],
    // 2. digest
    [DIGEST, KNOWN, 'INVITE', 'none', '401'],
    [DIGEST, KNOWN, 'INVITE', 'wrong', '403 digest-failed'],
    [DIGEST, KNOWN, 'INVITE', 'app', 'passes'],
    [DIGEST, KNOWN, 'BYE', 'none', '401', '', 'in-dialog'],
    [DIGEST, KNOWN, 'ACK', 'none', 'passes', '', 'in-dialog'],
    [DIGEST, KNOWN, 'CANCEL', 'none', 'passes'],
    // 3. the application list, after a right answer only
    [APPLICATIONS, KNOWN, 'REFER', 'none', '401'],
    [APPLICATIONS, KNOWN, 'REFER', 'wrong', '403 digest-failed'],
    [APPLICATIONS, KNOWN, 'REFER', 'app', 'passes'],
    [APPLICATIONS, KNOWN, 'SUBSCRIBE', 'app', '403 trunk-denied'],
    [APPLICATIONS, KNOWN, 'NOTIFY', 'app', '403 trunk-denied'],
    // ... from which INVITE and everything in a dialog are exempt
    [APPLICATIONS, KNOWN, 'INVITE', 'app', 'passes', REPLACES],
    [APPLICATIONS, KNOWN, 'NOTIFY', 'app', 'passes', '', 'in-dialog'],
    [{ ...APPLICATIONS, accept: [] }, KNOWN, 'SUBSCRIBE', 'app', 'passes', '', 'in-dialog'],
  ])('%o %o %s by %s: %s %s%s', (change, access, method, peer, expected, extra = '', to) => {
    expect(outcome(change, access, method, peer, extra, to)).toBe(expected);
  });
});

describe('a user agent with a gate', () => {
  function bench(change: Partial<TrunkProfile>, access: Access): Bench {
    const out = new Bench({ gate: gate(change) });
    out.put({ type: 'disconnected', connection: 1 });
    out.put({
      type: 'connected',
      connection: 1,
      remote,
      local: { address: '192.0.2.1', port: 5061 },
      transport: 'tls',
      access,
    });
    return out;
  }

  it('answers a stranger 403 with the reason and reports it once a connection, however often it tries', () => {
    const b = bench({}, FOREIGN);
    for (const n of ['1', '2', '3']) b.feed(req({ body: SDP_A, callId: n, branch: n }));
    expect(b.lines()).toEqual(Array(3).fill('SIP/2.0 403 Forbidden'));
    expect(b.takeEvents()).toEqual([{ type: 'denied', connection: 1, code: 'tls-verify-failed', cause: 'x' }]);
  });

  it('asks for digest with 401, realm and nonce, before it looks at the body', () => {
    const b = bench(DIGEST, KNOWN);
    b.feed(req({ body: 'no SDP at all' }));
    const [answer] = b.take();
    expect(answer).toMatch(/^SIP\/2.0 401 Unauthorized/);
    expect(headerOf(answer!, 'WWW-Authenticate')).toMatch(
      /^Digest realm="switch", nonce="[^"]+", algorithm=SHA-256, qop="auth"$/,
    );
  });
});

describe('a user agent with accounts', () => {
  it('sends an INVITE that was answered 401 again with an answer, in the same call, and the dialog goes on from there', () => {
    const hashed = { 'SHA-256': secret(hashCredentials('SHA-256', 'me', 'peer', 'pw')) };
    const b = new Bench({ credentials: (realm) => (realm === 'peer' ? { user: 'me', hashed } : undefined) });
    const call = b.ua.newCall();
    b.put({ type: 'invite', call, connection: 1, target: 'sip:bob@peer', from: 'sip:me@switch', sdp: SDP_A });
    const first = b.take()[0]!;
    const reply = (to: string, line: string, extra: string, body = ''): void => {
      const copied = ['Via', 'From', 'Call-ID', 'CSeq'].map((n) => `${n}: ${headerOf(to, n)}`).join('\r\n');
      const text = `${line}\r\n${copied}\r\nTo: <sip:bob@peer>;tag=b\r\n${extra}Content-Length: ${body.length}\r\n\r\n${body}`;
      b.feed(new TextEncoder().encode(text));
    };
    reply(
      first,
      'SIP/2.0 401 Unauthorized',
      'WWW-Authenticate: Digest realm="peer", nonce="n", qop="auth", algorithm=SHA-256\r\n',
    );
    const [ack, second] = b.take();
    expect(ack).toMatch(/^ACK /);
    expect(headerOf(second!, 'CSeq')).toBe('2 INVITE');
    expect(headerOf(second!, 'Call-ID')).toBe(headerOf(first, 'Call-ID'));
    expect(headerOf(second!, 'Authorization')).toMatch(/^Digest username="me", realm="peer"/);
    expect(second).toContain(SDP_A);
    reply(second!, 'SIP/2.0 200 OK', 'Contact: <sip:bob@peer>\r\nContent-Type: application/sdp\r\n', SDP_B);
    expect(b.takeEvents()).toEqual([{ type: 'answered', call, sdp: SDP_B, tip: false }]);
    b.take();
    b.put({ type: 'hangup', call });
    const bye = b.take()[0]!;
    expect(headerOf(bye, 'CSeq')).toBe('3 BYE');
    reply(
      bye,
      'SIP/2.0 401 Unauthorized',
      'WWW-Authenticate: Digest realm="peer", nonce="m", qop="auth", algorithm=SHA-256\r\n',
    );
    const again = b.take()[0]!;
    expect(headerOf(again, 'CSeq')).toBe('4 BYE');
    expect(headerOf(again, 'Authorization')).toContain('nonce="m"');
    reply(again, 'SIP/2.0 200 OK', '');
    expect(b.takeEvents()).toEqual([{ type: 'ended', call, by: 'local' }]);
  });

  it('takes a second 401 as final', () => {
    const hashed = { 'SHA-256': secret(hashCredentials('SHA-256', 'me', 'peer', 'wrong')) };
    const b = new Bench({ credentials: () => ({ user: 'me', hashed }) });
    b.put({ type: 'invite', call: 1, connection: 1, target: 'sip:bob@peer', from: 'sip:me@switch', sdp: SDP_A });
    for (let i = 0; i < 2; i++) {
      const sent = b.take().at(-1)!;
      const copied = ['Via', 'From', 'Call-ID', 'CSeq'].map((n) => `${n}: ${headerOf(sent, n)}`).join('\n');
      b.feed(
        new TextEncoder().encode(
          `SIP/2.0 401 No\n${copied}\nTo: <sip:bob@peer>;tag=b\nWWW-Authenticate: Digest realm="peer", nonce="n", qop="auth", algorithm=SHA-256\nContent-Length: 0\n\n`.replaceAll(
            '\n',
            '\r\n',
          ),
        ),
      );
    }
    expect(b.takeEvents()).toMatchObject([{ type: 'failed', call: 1, status: 401 }]);
  });
});

describe('transmit security status (T7)', () => {
  it('never calls media encrypted that is not proven', () => {
    expect(securityStatus(false, true)).toBe('NotAuthenticated');
    expect(securityStatus(true, false)).toBe('Authenticated');
    expect(securityStatus(true, true)).toBe('Encrypted');
  });
});
