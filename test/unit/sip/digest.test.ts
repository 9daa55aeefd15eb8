/** Digest: the RFC's own sums, both sides against each other, and what an attacker tries. */
import { describe, expect, it } from 'vitest';
import { SIP_MAX_DIGEST_NONCES } from '../../../src/base/limits.js';
import { Secret } from '../../../src/base/secret.js';
import type { RequestDraft } from '../../../src/sip/build.js';
import {
  type DigestAlgorithm,
  digestResponse,
  type HashedCredentials,
  hashCredentials,
} from '../../../src/sip/digest.js';
import { answerChallenge, type CredentialsOf } from '../../../src/sip/digest-client.js';
import { DigestServer, type DigestVerdict } from '../../../src/sip/digest-server.js';
import { parseDigest, writeDigest } from '../../../src/wire/sip-auth.js';
import { headerValue } from '../../../src/wire/sip-message.js';
import type { SipHeader, SipRequest, SipResponse } from '../../../src/wire/sip-types.js';
import { counter, parse, wire } from './support.js';

const secret = (text: string): Secret => new Secret(new TextEncoder().encode(text));

function hashed(user: string, realm: string, password: string): HashedCredentials {
  return {
    'SHA-256': secret(hashCredentials('SHA-256', user, realm, password)),
    MD5: secret(hashCredentials('MD5', user, realm, password)),
  };
}

const ANN = hashed('ann', 'switch', 'correct horse');
const ANN_SAYS: CredentialsOf = (realm) => (realm === 'switch' ? { user: 'ann', hashed: ANN } : undefined);

function server(options: { algorithms?: readonly DigestAlgorithm[]; scope?: string } = {}): DigestServer {
  return new DigestServer({
    realm: 'switch',
    scope: options.scope ?? 'trunk',
    algorithms: options.algorithms ?? ['SHA-256', 'MD5'],
    nonceValidityMs: 600_000,
    nonceKey: new Secret(new Uint8Array(32).fill(7)),
    random: counter('r'),
    credentials: (user) => (user === 'ann' ? ANN : undefined),
  });
}

const DRAFT: RequestDraft = {
  method: 'INVITE',
  uri: 'sip:8000@switch',
  headers: [
    { name: 'from', value: '<sip:ann@a.example>;tag=1' },
    { name: 'to', value: '<sip:8000@switch>' },
    { name: 'call-id', value: 'c' },
    { name: 'cseq', value: '1 INVITE' },
  ],
};

function request(draft: RequestDraft): SipRequest {
  const lines = draft.headers.map((h) => `${h.name}: ${h.value}`).join('\n');
  const message = parse(
    wire(`${draft.method} ${draft.uri} SIP/2.0\nVia: SIP/2.0/TLS a.example;branch=z9hG4bK1\n${lines}`),
  );
  if (message.kind !== 'request') throw new Error('not a request');
  return message;
}

function refusal(status: 401 | 407, headers: readonly SipHeader[]): SipResponse {
  const lines = headers.map((h) => `${h.name}: ${h.value}`).join('\n');
  const message = parse(
    wire(`SIP/2.0 ${status} x
Via: SIP/2.0/TLS a.example;branch=z9hG4bK1
From: <sip:ann@a.example>;tag=1
To: <sip:8000@switch>;tag=2
Call-ID: c
CSeq: 1 INVITE
${lines}`),
  );
  if (message.kind !== 'response') throw new Error('not a response');
  return message;
}

function challenged(verdict: DigestVerdict): readonly SipHeader[] {
  if (verdict.type !== 'challenge') throw new Error(`no challenge but ${JSON.stringify(verdict)}`);
  return verdict.headers;
}

/** The draft with Ann's right answer to the challenge, and fields of it changed afterwards. */
function answered(
  headers: readonly SipHeader[],
  change: Readonly<Record<string, string>> = {},
  draft = DRAFT,
): RequestDraft {
  const again = { attempt: 0, sequence: 2, cnonce: 'cn' };
  const out = answerChallenge(draft, refusal(401, headers), ANN_SAYS, again)!;
  const value = headerValue(out, 'authorization')!;
  const params = new Map(parseDigest(value));
  for (const [name, text] of Object.entries(change)) params.set(name, text);
  const others = out.headers.filter((h) => h.name !== 'authorization');
  return { ...out, headers: [...others, { name: 'authorization', value: writeDigest('answer', params) }] };
}

/** A right answer with this count: what an honest client sends that uses a nonce again. */
function counted(headers: readonly SipHeader[], nc: string): RequestDraft {
  const nonce = parseDigest(headers[0]!.value)!.get('nonce')!;
  const sum = { algorithm: 'SHA-256', method: 'INVITE', uri: DRAFT.uri, nonce, nc, cnonce: 'cn', qop: 'auth' } as const;
  return answered(headers, { nc, response: digestResponse(ANN['SHA-256']!, sum) });
}

describe('digest sums', () => {
  it.each([
    ['SHA-256', '753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1'],
    ['MD5', '8ca523f5e9506fed4657c9700eebdbec'],
  ] as const)('are those of RFC 7616 section 3.9.1 with %s', (algorithm, response) => {
    const ha1 = secret(hashCredentials(algorithm, 'Mufasa', 'http-auth@example.org', 'Circle of Life'));
    const sum = {
      algorithm,
      method: 'GET',
      uri: '/dir/index.html',
      nonce: '7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v',
      nc: '00000001',
      cnonce: 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ',
      qop: 'auth',
    } as const;
    expect(digestResponse(ha1, sum)).toBe(response);
  });

  it('cover the body with auth-int', () => {
    const ha1 = ANN['SHA-256']!;
    const sum = {
      algorithm: 'SHA-256',
      method: 'A',
      uri: 'u',
      nonce: 'n',
      nc: '00000001',
      cnonce: 'c',
      qop: 'auth-int',
    } as const;
    const bodies = ['', 'a', 'b'].map((t) => digestResponse(ha1, { ...sum, body: new TextEncoder().encode(t) }));
    expect(new Set(bodies).size).toBe(3);
  });
});

describe('a digest header', () => {
  it('is read with quotes, white space and unknown parameters, and written as it was read', () => {
    const text = 'Digest realm="a \\"b\\", c" ,nonce="n",  algorithm=SHA-256, qop="auth,auth-int", foo=bar';
    const params = parseDigest(text)!;
    expect(params.get('realm')).toBe('a "b", c');
    expect(parseDigest(writeDigest('challenge', params))).toEqual(params);
  });

  it.each([
    'Basic abc',
    'Digest',
    'Digest ',
    'Digest realm',
    'Digest realm="a',
    'Digest realm="a", realm="b"',
    'Digest realm="a",',
    'Digest realm="a" nonce="b"',
    'Digest =a',
    'Digest realm=',
  ])('is refused: %s', (text) => {
    expect(parseDigest(text)).toBeUndefined();
  });
});

describe('the digest server and the digest client', () => {
  it('agree: SHA-256 is offered first and chosen', () => {
    const digest = server();
    const headers = challenged(digest.check(request(DRAFT), 1_000));
    expect(headers.map((h) => parseDigest(h.value)!.get('algorithm'))).toEqual(['SHA-256', 'MD5']);
    const again = answered(headers);
    expect(parseDigest(headerValue(again, 'authorization')!)!.get('algorithm')).toBe('SHA-256');
    expect(headerValue(again, 'cseq')).toBe('2 INVITE');
    expect(digest.check(request(again), 2_000)).toEqual({ type: 'valid', user: 'ann' });
  });

  it('agree on MD5 where the client knows nothing better', () => {
    const digest = server();
    const headers = challenged(digest.check(request(DRAFT), 1_000)).slice(1);
    expect(digest.check(request(answered(headers)), 2_000)).toEqual({ type: 'valid', user: 'ann' });
  });

  it('MD5 is not taken where it was not offered', () => {
    const both = challenged(server().check(request(DRAFT), 1_000)).slice(1);
    expect(server({ algorithms: ['SHA-256'] }).check(request(answered(both)), 1_500)).toMatchObject({
      type: 'refused',
    });
  });

  it('a nonce expires after its validity, and only a right answer hears that it is stale', () => {
    const digest = server();
    const headers = challenged(digest.check(request(DRAFT), 1_000));
    expect(digest.check(request(answered(headers)), 600_999)).toMatchObject({ type: 'valid' });
    const late = challenged(server().check(request(DRAFT), 1_000));
    expect(digest.check(request(answered(late)), 601_000)).toMatchObject({ type: 'challenge', stale: true });
    expect(digest.check(request(answered(late, { response: '0'.repeat(64) })), 601_000)).toMatchObject({
      type: 'refused',
    });
  });

  it('the client answers 407 of a proxy too, each realm with its account, and a stale nonce once more', () => {
    const two: CredentialsOf = (realm) => ({ user: `user-${realm}`, hashed: ANN });
    const ask = (realm: string, stale = false): SipHeader => ({
      name: 'proxy-authenticate',
      value: `Digest realm="${realm}", nonce="n${stale}", qop="auth", algorithm=SHA-256${stale ? ', stale=TRUE' : ''}`,
    });
    const again = (attempt: number) => ({ attempt, sequence: attempt + 2, cnonce: 'cn' });
    const first = answerChallenge(DRAFT, refusal(407, [ask('a'), ask('b')]), two, again(0))!;
    const users = (d: RequestDraft): (string | undefined)[] =>
      d.headers.filter((h) => h.name === 'proxy-authorization').map((h) => parseDigest(h.value)?.get('username'));
    expect(users(first)).toEqual(['user-a', 'user-b']);
    expect(answerChallenge(first, refusal(407, [ask('a')]), two, again(1))).toBeUndefined();
    const second = answerChallenge(first, refusal(407, [ask('a', true)]), two, again(1))!;
    expect(users(second)).toEqual(['user-b', 'user-a']);
    expect(answerChallenge(second, refusal(407, [ask('a', true)]), two, again(4))).toBeUndefined();
  });

  it('the client has nothing to say to a realm where it has no account', () => {
    const ask = [{ name: 'www-authenticate', value: 'Digest realm="elsewhere", nonce="n", qop="auth"' }];
    expect(
      answerChallenge(DRAFT, refusal(401, ask), ANN_SAYS, { attempt: 0, sequence: 2, cnonce: 'c' }),
    ).toBeUndefined();
  });
});

describe('attacks on digest', () => {
  it('a replayed nonce count is refused, a higher one is not', () => {
    const digest = server();
    const headers = challenged(digest.check(request(DRAFT), 1_000));
    expect(digest.check(request(counted(headers, '00000002')), 2_000)).toMatchObject({ type: 'valid' });
    for (const nc of ['00000002', '00000001', '00000000']) {
      expect(digest.check(request(counted(headers, nc)), 2_000), nc).toMatchObject({ type: 'refused' });
    }
    expect(digest.check(request(counted(headers, '00000003')), 2_000)).toMatchObject({ type: 'valid' });
  });

  it('an answer replayed on another trunk is asked for again', () => {
    const headers = challenged(server().check(request(DRAFT), 1_000));
    expect(server({ scope: 'other' }).check(request(answered(headers)), 1_100)).toMatchObject({
      type: 'challenge',
      stale: false,
    });
  });

  it('an answer moved to another request is refused', () => {
    const digest = server();
    const headers = challenged(digest.check(request(DRAFT), 1_000));
    const moved = { ...answered(headers), uri: 'sip:9000@switch' };
    expect(digest.check(request(moved), 1_100)).toMatchObject({ type: 'refused' });
    const refer: RequestDraft = {
      ...answered(headers),
      method: 'REFER',
      headers: answered(headers).headers.map((h) => (h.name === 'cseq' ? { ...h, value: '2 REFER' } : h)),
    };
    expect(digest.check(request(refer), 1_100)).toMatchObject({ type: 'refused' });
  });

  it.each([
    ['a guessed password', { response: 'f'.repeat(64) }],
    ['an unknown user', { username: 'bob' }],
    ['no protection of the count', { qop: 'auth-int' }],
    ['a count that is no number', { nc: '0000000x' }],
    ['an algorithm of its own', { algorithm: 'SHA-512-256' }],
  ])('%s is refused', (_, change) => {
    const digest = server();
    const headers = challenged(digest.check(request(DRAFT), 1_000));
    expect(digest.check(request(answered(headers, change)), 1_100)).toMatchObject({ type: 'refused' });
  });

  it('a nonce of the attacker is not taken', () => {
    const digest = server();
    const headers = challenged(digest.check(request(DRAFT), 1_000));
    expect(digest.check(request(answered(headers, { nonce: 'mine' })), 1_100)).toMatchObject({ type: 'challenge' });
  });

  it('challenges cost no memory; of used nonces the oldest expires at the limit and its count stays used', () => {
    const digest = server();
    const first = challenged(digest.check(request(DRAFT), 0));
    expect(digest.check(request(answered(first)), 0)).toMatchObject({ type: 'valid' });
    for (let i = 0; i < 1_000; i++) digest.check(request(DRAFT), 1);
    expect(digest.size).toBe(1);
    for (let i = 0; i < SIP_MAX_DIGEST_NONCES; i++) {
      const headers = challenged(digest.check(request(DRAFT), 2));
      digest.check(request(answered(headers)), 2);
    }
    expect(digest.size).toBe(SIP_MAX_DIGEST_NONCES);
    expect(digest.check(request(answered(first)), 3)).toMatchObject({ type: 'challenge', stale: true });
  });

  it('what is stored shows no password and prints as a secret', () => {
    expect(JSON.stringify(ANN)).not.toContain('correct');
    expect(JSON.stringify(ANN)).toBe('{"SHA-256":"[secret]","MD5":"[secret]"}');
  });
});
