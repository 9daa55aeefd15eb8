/** The registrar (RFC 3261 §10.3, RFC 5626): who may register what, for how long, and where a user can be called. */
import { describe, expect, it } from 'vitest';
import { REGISTRAR_MAX_BINDINGS_PER_USER } from '../../../src/base/limits.js';
import { Secret } from '../../../src/base/secret.js';
import { hashCredentials } from '../../../src/sip/digest.js';
import { answerChallenge } from '../../../src/sip/digest-client.js';
import { Registrar } from '../../../src/sip/registrar.js';
import { Registration } from '../../../src/sip/registration.js';
import { headerValue } from '../../../src/wire/sip-message.js';
import type { SipRequest } from '../../../src/wire/sip-types.js';
import { Bench, counter, headerOf, parse, wire } from './support.js';

interface Fields {
  readonly to?: string;
  readonly contact?: string;
  readonly callId?: string;
  readonly cseq?: number;
  readonly extra?: string;
}

const bytes = ({
  to = 'ann',
  contact = '<sip:ann@192.0.2.7:5061;transport=tls>',
  callId = 'c',
  cseq = 1,
  extra = '',
}: Fields) =>
  wire(`REGISTER sip:switch.example SIP/2.0
Via: SIP/2.0/TLS a.example;branch=z9hG4bK${callId}${cseq}${extra.length}
From: <sip:${to}@switch.example>;tag=1
To: <sip:${to}@switch.example>
Call-ID: ${callId}
CSeq: ${cseq} REGISTER
${contact === '' ? '' : `Contact: ${contact}\n`}${extra}`);

function request(fields: Fields = {}): SipRequest {
  const message = parse(bytes(fields));
  if (message.kind !== 'request') throw new Error('not a request');
  return message;
}

const NOW = 1_000_000;
const FLOW = (id: number, instance = '<urn:uuid:1>'): string =>
  `<sip:ann@192.0.2.7:${5000 + id};transport=tls>;+sip.instance="${instance}";reg-id=${id}`;
const contacts = (r: Registrar, now = NOW): string[] => r.bindings(now).map((b) => b.contact);

describe('a registration', () => {
  it('is listed with what is left of it, and is over when it expires', () => {
    const r = new Registrar();
    const draft = r.register(request({ extra: 'Expires: 120' }), 'ann', 1, NOW);
    expect(draft).toMatchObject({
      status: 200,
      headers: [{ name: 'contact', value: '<sip:ann@192.0.2.7:5061;transport=tls>;expires=120' }],
    });
    expect(r.flowsOf('ann', NOW + 119_999)).toHaveLength(1);
    expect(r.flowsOf('ann', NOW + 120_000)).toEqual([]);
    expect(r.takeChanged()).toBe(true);
  });

  it.each<[string, Fields, number]>([
    ['too short', { extra: 'Expires: 59' }, 423],
    ['too short in the Contact', { contact: '<sip:ann@a.example>;expires=1' }, 423],
    ['not a number', { extra: 'Expires: soon' }, 400],
    ['of all without being an end', { contact: '*', extra: 'Expires: 60' }, 400],
    ['with a flow number that is none', { contact: '<sip:ann@a.example>;+sip.instance="<i>";reg-id=0' }, 400],
    ['of something that cannot be called', { contact: '<mailto:ann@a.example>' }, 400],
  ])('that is %s is refused', (_, fields, status) => {
    const r = new Registrar();
    expect(r.register(request(fields), 'ann', 1, NOW).status).toBe(status);
    expect(contacts(r)).toEqual([]);
  });

  it('is taken back one by one or all at once', () => {
    const r = new Registrar();
    r.register(request({ contact: '<sip:a@a.example>, <sip:b@a.example>, <sip:c@a.example>' }), 'ann', 1, NOW);
    r.register(request({ contact: '<sip:b@a.example>;expires=0', cseq: 2 }), 'ann', 1, NOW);
    expect(contacts(r)).toEqual(['sip:a@a.example', 'sip:c@a.example']);
    r.register(request({ contact: '*', extra: 'Expires: 0', cseq: 3 }), 'ann', 1, NOW);
    expect(contacts(r)).toEqual([]);
  });

  it('without a Contact asks what there is', () => {
    const r = new Registrar();
    r.register(request(), 'ann', 1, NOW);
    expect(r.register(request({ contact: '', cseq: 2 }), 'ann', 1, NOW).headers).toHaveLength(1);
  });

  it('that comes late changes nothing', () => {
    const r = new Registrar();
    r.register(request({ cseq: 5 }), 'ann', 1, NOW);
    expect(r.register(request({ cseq: 4, extra: 'Expires: 0' }), 'ann', 1, NOW).status).toBe(500);
    expect(contacts(r)).toHaveLength(1);
  });
});

describe('flows (RFC 5626)', () => {
  it('each is its own binding; a new address replaces the old one of the same flow', () => {
    const r = new Registrar();
    r.register(request({ contact: FLOW(1) }), 'ann', 1, NOW);
    r.register(request({ contact: FLOW(2), cseq: 2 }), 'ann', 2, NOW);
    const moved = FLOW(1).replace('5001', '6001');
    const draft = r.register(request({ contact: moved, callId: 'd' }), 'ann', 3, NOW + 1);
    expect(r.flowsOf('ann', NOW).map((b) => [b.flow?.id, b.connection])).toEqual([
      [1, 3],
      [2, 2],
    ]);
    expect(draft.headers).toContainEqual({ name: 'require', value: 'outbound' });
    expect(draft.headers).toContainEqual({ name: 'flow-timer', value: '120' }); // §5.4
    expect(r.flows()).toEqual(new Set([2, 3]));
    const plain = r.register(request({ callId: 'e' }), 'ann', 4, NOW);
    expect(r.flows()).toEqual(new Set([2, 3]));
    expect(plain.status).toBe(200);
  });

  it('one ends with its connection, the other goes on', () => {
    const r = new Registrar();
    r.register(request({ contact: FLOW(1) }), 'ann', 1, NOW);
    r.register(request({ contact: FLOW(2), cseq: 2 }), 'ann', 2, NOW);
    r.disconnected(1);
    expect(r.flowsOf('ann', NOW).map((b) => b.connection)).toEqual([2]);
  });

  it('what was kept over a restart waits until its endpoint registers again', () => {
    const first = new Registrar();
    first.register(request({ contact: FLOW(1) }), 'ann', 1, NOW);
    const second = new Registrar();
    second.restore(first.bindings(NOW), NOW + 1);
    expect(contacts(second)).toHaveLength(1);
    expect(second.flowsOf('ann', NOW + 1)).toEqual([]);
    second.register(request({ contact: FLOW(1), callId: 'e' }), 'ann', 9, NOW + 2);
    expect(second.flowsOf('ann', NOW + 2).map((b) => b.connection)).toEqual([9]);
  });
});

const secret = (text: string): Secret => new Secret(new TextEncoder().encode(text));

function bench(transport: 'tls' | 'tcp' = 'tls'): { b: Bench; registrar: Registrar } {
  const registrar = new Registrar();
  const hashed = (user: string) => ({ 'SHA-256': secret(hashCredentials('SHA-256', user, 'switch', 'pw')) });
  const registration = new Registration(registrar, {
    realm: 'switch',
    algorithms: ['SHA-256'],
    nonceValidityMs: 600_000,
    nonceKey: new Secret(new Uint8Array(32)),
    random: counter('r'),
    credentials: (user) => (user === 'ann' || user === 'bob' ? hashed(user) : undefined),
  });
  return { b: new Bench({ registration }, transport), registrar };
}

/** Registers and answers the challenge as this user. */
function attempt(b: Bench, fields: Fields, user: string, password: string): string[] {
  b.feed(bytes(fields));
  const challenge = b.take()[0]!;
  const value = headerOf(challenge, 'WWW-Authenticate');
  if (value === undefined) return [challenge.split('\r\n')[0]!];
  const { uriText: uri, headers } = request(fields);
  const response = { status: 401, headers: [{ name: 'www-authenticate', value }] } as unknown as Parameters<
    typeof answerChallenge
  >[1];
  const account = { user, hashed: { 'SHA-256': secret(hashCredentials('SHA-256', user, 'switch', password)) } };
  const again = answerChallenge({ method: 'REGISTER', uri, headers }, response, () => account, {
    attempt: 0,
    sequence: 2,
    cnonce: 'c',
  })!;
  b.feed(
    bytes({
      ...fields,
      cseq: 2,
      extra: `${fields.extra ?? ''}Authorization: ${headerValue(again, 'authorization')}\n`,
    }),
  );
  return [challenge.split('\r\n')[0]!, b.lines()[0]!];
}

describe('attacks on registration', () => {
  it('nobody registers without a password, or with a wrong one', () => {
    const { b, registrar } = bench();
    expect(attempt(b, {}, 'ann', 'guess')).toEqual(['SIP/2.0 401 Unauthorized', 'SIP/2.0 403 Forbidden']);
    expect(contacts(registrar)).toEqual([]);
    expect(b.takeEvents()).toMatchObject([{ type: 'denied', code: 'digest-failed' }]);
    expect(attempt(b, { callId: 'two' }, 'ann', 'pw')[1]).toBe('SIP/2.0 200 OK');
    expect(contacts(registrar)).toHaveLength(1);
  });

  it('nobody says where somebody else is: hijacking', () => {
    const { b, registrar } = bench();
    expect(attempt(b, { to: 'ann' }, 'bob', 'pw')[1]).toBe('SIP/2.0 403 Forbidden');
    expect(contacts(registrar)).toEqual([]);
  });

  it('nobody registers where others can listen', () => {
    const { b, registrar } = bench('tcp');
    expect(attempt(b, {}, 'ann', 'pw')).toEqual(['SIP/2.0 403 Forbidden']);
    expect(contacts(registrar)).toEqual([]);
  });

  it('one user fills no table: beyond its limit 503, and what it had stays', () => {
    const r = new Registrar();
    for (let i = 0; i < REGISTRAR_MAX_BINDINGS_PER_USER; i++)
      r.register(request({ contact: `<sip:${i}@a.example>`, callId: `c${i}` }), 'ann', 1, NOW);
    expect(r.register(request({ contact: '<sip:more@a.example>', callId: 'x' }), 'ann', 1, NOW).status).toBe(503);
    expect(contacts(r)).toHaveLength(REGISTRAR_MAX_BINDINGS_PER_USER);
  });

  it('without a registrar REGISTER is not allowed', () => {
    const b = new Bench();
    b.feed(bytes({}));
    expect(b.lines()).toEqual(['SIP/2.0 405 Method Not Allowed']);
  });
});
