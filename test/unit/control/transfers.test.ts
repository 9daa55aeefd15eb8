/** REFER and Replaces above the user agent: who is called into which conference, who takes whose place, and who may not. */
import { describe, expect, it } from 'vitest';
import { trunkProfile, trunkSchema } from '../../../src/server/config-trunks.js';
import type { Access } from '../../../src/sip/trunk.js';
import { headerOf, SDP_A } from '../sip/support.js';
import { Bench } from './harness.js';

const TRUNK = trunkProfile(
  trunkSchema.parse({
    ...{ name: 'cucm', security: 'authenticated', x509Names: ['cucm.example'], peers: ['cucm.example'] },
    accept: ['refer', 'replaces'],
  }),
);

const PLAIN = `${SDP_A.replaceAll('\r', '')}m=audio 40000 RTP/AVP 96\na=rtpmap:96 opus/48000/2\n`;
const on = (trunk: string): Access => ({ type: 'trunk', trunk });

interface Said {
  readonly method: string;
  readonly user?: string;
  readonly callId: string;
  readonly cseq?: number;
  readonly to?: string;
  readonly extra?: string;
  readonly body?: string;
}

function say(bench: Bench, { method, user = '8000', callId, cseq = 1, to, extra = '', body = '' }: Said): string {
  const before = bench.texts.length;
  const type = body === '' ? '' : 'Content-Type: application/sdp\n';
  bench.raw(`${method} sip:${user}@192.0.2.1 SIP/2.0
Via: SIP/2.0/TLS 192.0.2.7:5061;branch=z9hG4bK${callId}${cseq}${method}
From: <sip:x@192.0.2.7>;tag=x
To: <sip:8000@192.0.2.1>${to === undefined ? '' : `;tag=${to}`}
Call-ID: ${callId}
CSeq: ${cseq} ${method}
Contact: <sip:x@192.0.2.7:5061;transport=tls>
Max-Forwards: 70
${extra}${type}Content-Length: ${body.length + body.split('\n').length - 1}

${body}`);
  return bench.texts.slice(before).find((text) => /^SIP\/2.0 [2-6]/.test(text)) ?? '';
}

const tagOf = (answer: string): string => /;tag=(\S+)/.exec(headerOf(answer, 'To')!)![1]!;
const status = (answer: string): string => answer.split(' ')[1]!;
const sent = (bench: Bench, method: string): string[] => bench.texts.filter((text) => text.startsWith(`${method} `));
const members = (bench: Bench): number => bench.control.view('8000')?.state?.members.size ?? 0;

/** A member over a trunk, in a conference of this policy. @returns its To tag */
function member(policy: 'non-secure' | 'secure' = 'non-secure', access = on('cucm')): { bench: Bench; tag: string } {
  const settings = { policy, requiredLevel: policy === 'secure' ? 'end-to-end' : 'none' } as const;
  const bench = new Bench({ trunks: [TRUNK], fixed: new Map([['8000', settings]]) }, true, access);
  const answer = say(bench, { method: 'INVITE', callId: 'one', body: PLAIN });
  if (status(answer) !== '200') throw new Error(answer);
  const tag = tagOf(answer);
  say(bench, { method: 'ACK', callId: 'one', to: tag });
  return { bench, tag };
}

const refer = (bench: Bench, to: string, cseq = 2, target = 'sip:carol@c.example'): string =>
  say(bench, { method: 'REFER', callId: 'one', cseq, to, extra: `Refer-To: <${target}>\n` });
const fragments = (bench: Bench): string[] =>
  sent(bench, 'NOTIFY').map((m) => m.slice(m.indexOf('\r\n\r\n') + 4).trim());

describe('a member asks the conference to call somebody (RFC 4579 §5.5)', () => {
  it('the one it names is called on its trunk, and its end is told: refused', () => {
    const { bench, tag } = member();
    expect(status(refer(bench, tag))).toBe('202');
    const [invite] = sent(bench, 'INVITE');
    expect(invite).toMatch(/^INVITE sip:carol@c.example SIP\/2.0/);
    expect(headerOf(invite!, 'From')).toContain('8000@');
    expect(fragments(bench)).toEqual(['SIP/2.0 100 Trying']);
    expect(bench.heard.filter((e) => e.type === 'incoming')).toHaveLength(1);
    const call = bench.heard.find((e) => e.type === 'incoming')!;
    bench.callerDoes({ type: 'reject', call: 'call' in call ? call.call : 0, status: 486 });
    expect(fragments(bench)).toEqual(['SIP/2.0 100 Trying', 'SIP/2.0 486 Busy Here']);
    expect(headerOf(sent(bench, 'NOTIFY')[1]!, 'Subscription-State')).toBe('terminated;reason=noresource');
    expect(members(bench)).toBe(1);
  });

  it('answered: it is a member of the same conference, and the one who asked hears 200', () => {
    const { bench, tag } = member();
    refer(bench, tag);
    const call = bench.heard.find((e) => e.type === 'incoming')!;
    const offered = 'offer' in call ? call.offer! : '';
    bench.callerDoes({ type: 'accept', call: 'call' in call ? call.call : 0, sdp: offered });
    expect(fragments(bench)).toEqual(['SIP/2.0 100 Trying', 'SIP/2.0 200 OK']);
    expect(members(bench)).toBe(2);
  });

  it('is no business of somebody who came by no trunk: 405, and nobody is called', () => {
    const { bench, tag } = member('non-secure', { type: 'open' });
    expect(status(refer(bench, tag))).toBe('405');
    expect(sent(bench, 'INVITE')).toEqual([]);
  });

  it('injection: a target with header fields of its own is not called', () => {
    const { bench, tag } = member();
    refer(bench, tag, 2, 'sip:carol@c.example?Replaces=x&Subject=y');
    expect(sent(bench, 'INVITE')).toEqual([]);
    expect(fragments(bench).at(-1)).toBe('SIP/2.0 400 Bad Request');
  });
});

describe('a call that takes the place of a member’s (RFC 3891)', () => {
  let calls = 0;
  const replacing = (bench: Bench, value: string): string => {
    const extra = `Require: replaces\nReplaces: ${value}\n`;
    return say(bench, { method: 'INVITE', user: 'elsewhere', callId: `new${++calls}`, extra, body: PLAIN });
  };

  it('comes into the same conference, whatever it dialled, and the other call gets BYE', () => {
    const { bench, tag } = member();
    const answer = replacing(bench, `one;to-tag=${tag};from-tag=x`);
    expect(status(answer)).toBe('200');
    expect(sent(bench, 'BYE').map((m) => headerOf(m, 'Call-ID'))).toEqual(['one']);
    expect(bench.control.views().map((v) => [v.name, v.state?.members.size ?? 0])).toEqual([['8000', 1]]);
  });

  it('threat: a guessed dialog is not found, and nobody is put out', () => {
    const { bench, tag } = member();
    for (const value of [`one;to-tag=${tag}x;from-tag=x`, `one;to-tag=${tag};from-tag=y`, `o;to-tag=${tag};from-tag=x`])
      expect(status(replacing(bench, value))).toBe('481');
    expect(sent(bench, 'BYE')).toEqual([]);
    expect(members(bench)).toBe(1);
  });

  it('downgrade: of less security than the conference requires it is refused, and the call that it names goes on', () => {
    const secure = new Bench(
      { trunks: [TRUNK], fixed: new Map([['8000', { policy: 'secure', requiredLevel: 'end-to-end' }]]) },
      true,
      on('cucm'),
    );
    secure.dial('8000');
    const ok = secure.texts.find((text) => text.startsWith('SIP/2.0 200'))!;
    const callId = headerOf(ok, 'Call-ID')!;
    const from = /;tag=(\S+)/.exec(headerOf(ok, 'From')!)![1]!;
    expect(status(replacing(secure, `${callId};to-tag=${tagOf(ok)};from-tag=${from}`))).toBe('488');
    expect(sent(secure, 'BYE')).toEqual([]);
    expect(secure.events()).toEqual(['security-mismatch']);
    expect(members(secure)).toBe(1);
  });
});
