import { describe, expect, it } from 'vitest';
import type { ConferenceOptions, Effect } from '../../../src/conference/contract.js';
import type { FailureReason } from '../../../src/security/policy.js';
import { ofType } from './helpers.js';
import { BOTH, type Endpoint, Obliging } from './obliging.js';

type Joiner = Omit<Endpoint, 'member'> & {
  /** Instead of TIP, after DTLS where that has to be done first. */
  readonly fails?: FailureReason;
};

const JOINERS: Readonly<Record<string, Joiner>> = {
  'DTLS, TIP 8, EKT': { offer: BOTH('dtls'), tip: {} },
  'DTLS, TIP 7, EKT': { offer: BOTH('dtls'), tip: { version: 7 } },
  'DTLS, TIP 6': { offer: BOTH('dtls'), tip: { version: 6 } },
  'DTLS, TIP not secure': { offer: BOTH('dtls'), tip: { secure: false } },
  'DTLS, no EKT': { offer: BOTH('dtls'), tip: { ektTx: false, ektRx: false } },
  'DTLS, EKT one way': { offer: BOTH('dtls'), tip: { ektTx: false } },
  'DTLS, other suite': { offer: BOTH('dtls'), tip: { capable: false, reason: 'no-suite' } },
  'DTLS, audio only': { offer: [{ media: 'audio', security: 'dtls' }], tip: {} },
  'DTLS and RTP': {
    offer: [
      { media: 'audio', security: 'plain' },
      { media: 'video', security: 'dtls' },
    ],
    tip: {},
  },
  RTP: { offer: BOTH('plain'), tip: {} },
  'RTP, audio only': { offer: [{ media: 'audio', security: 'plain' }], tip: {} },
  'keys in SDP': { offer: [{ media: 'audio', security: 'unsupported' }], tip: {} },
  'no media': { offer: [], tip: {} },
  'DTLS fails': { offer: BOTH('dtls'), tip: {}, fails: 'dtls-failed' },
  'other certificate': { offer: BOTH('dtls'), tip: {}, fails: 'fingerprint-mismatch' },
  'no TIP answer': { offer: BOTH('dtls'), tip: {}, fails: 'media-timeout' },
  'set not ACKed': { offer: BOTH('dtls'), tip: {}, fails: 'spimap-timeout' },
  'forged packets': { offer: BOTH('dtls'), tip: {}, fails: 'auth-failures' },
};

const CAPABLE_MEMBER: Joiner = JOINERS['DTLS, TIP 8, EKT']!;
/** Who makes a best-effort conference what it is. */
const FOUNDERS: Readonly<Record<string, Joiner | undefined>> = {
  empty: undefined,
  'end-to-end': CAPABLE_MEMBER,
  'hop-by-hop': JOINERS['DTLS, no EKT'],
  none: JOINERS.RTP,
};

const SHIPPED = ['none', 'end-to-end'] as const;
const POLICIES: Readonly<Record<string, Omit<ConferenceOptions, 'id' | 'name'>>> = {
  'secure, end-to-end': { policy: 'secure' },
  'secure, hop-by-hop': { policy: 'secure', requiredLevel: 'hop-by-hop' },
  'best-effort': { policy: 'best-effort' },
  'best-effort, where hop-by-hop is not carried': { policy: 'best-effort', levels: SHIPPED },
  'best-effort, failed negotiations lower': { policy: 'best-effort', onNegotiationFailure: 'lower', levels: SHIPPED },
  'non-secure': { policy: 'non-secure' },
};

function start(options: Omit<ConferenceOptions, 'id' | 'name'>, founder: Joiner | undefined): Obliging {
  const d = new Obliging(options);
  if (founder !== undefined) for (const member of [1, 2]) d.dial({ ...founder, member });
  return d;
}

function join(d: Obliging, joiner: Joiner): readonly Effect[] {
  const { fails } = joiner;
  if (fails === undefined) return d.dial({ ...joiner, member: 3 });
  if (fails === 'auth-failures') {
    const effects = d.dial({ ...joiner, member: 3 });
    if (!d.state.members.has(3)) return effects;
    const channel = d.channelOf(3, 'audio');
    return [...effects, ...d.send({ type: 'channel-failed', channel, reason: fails, detail: 'seen by the test' })];
  }
  d.endpoints.set(3, { ...joiner, member: 3 });
  d.obliging = false;
  const effects = [...d.dial({ ...joiner, member: 3 })];
  if (!d.state.members.has(3)) return effects;
  const channel = d.channelOf(3, 'audio');
  const both = [channel, d.channelOf(3, 'video')];
  if (fails === 'spimap-timeout') {
    for (const each of both) d.keyed(each);
    for (const each of both) effects.push(...d.negotiated(each));
  }
  d.obliging = true;
  const failure = d.send({ type: 'channel-failed', channel, reason: fails, detail: 'seen by the test' });
  return [...effects, ...failure];
}

function line(d: Obliging, effects: readonly Effect[]): string {
  const refused = ofType(effects, 'refuse')[0];
  const ended = ofType(effects, 'end-call').find((effect) => effect.member === 3);
  const answer = refused !== undefined ? `${refused.status}` : ended !== undefined ? `200, BYE ${ended.status}` : '200';
  const events = ofType(effects, 'security-event').map(({ code, from, to }) =>
    to === undefined ? code : `${code} ${from}>${to}`,
  );
  const lost = ofType(effects, 'end-call').filter((effect) => effect.member !== 3).length;
  const told = new Set(
    ofType(effects, 'notify')
      .filter((e) => !e.secure)
      .map((e) => d.owners.get(e.channel)!.member),
  );
  const moved = ofType(effects, 'move').map(({ member, to }) => `${member}>${to === 'plain' ? 'RTP' : 'DTLS'}`);
  const columns = [
    answer.padEnd(12),
    (d.state.members.get(3)?.level ?? '-').padEnd(10),
    d.state.level.padEnd(10),
    (told.size === 0 ? '-' : [...told].sort().join(',')).padEnd(5),
    (moved.length === 0 ? '-' : moved.join(' ')).padEnd(17),
    `${events.join(', ') || '-'}${lost > 0 ? `; ${lost} LOST` : ''}`,
  ];
  return columns.join(' ').trimEnd();
}

describe('every policy, every level, every joiner (C1 to C10)', () => {
  it('the golden table', async () => {
    const head = [
      'Members 1 and 2 are in; member 3 joins. Everybody does at once what it is asked.',
      `${' '.repeat(24)} ${'answer'.padEnd(12)} ${'joiner'.padEnd(10)} ${'conference'.padEnd(10)} told  moved             events`,
    ];
    const lines = [...head];
    for (const [name, options] of Object.entries(POLICIES)) {
      const founders =
        options.policy === 'best-effort'
          ? Object.entries(FOUNDERS).filter(([level]) => level !== 'hop-by-hop' || options.levels === undefined)
          : [
              ['empty', undefined] as const,
              [
                options.requiredLevel ?? (options.policy === 'secure' ? 'end-to-end' : 'none'),
                options.policy === 'secure' ? CAPABLE_MEMBER : JOINERS.RTP,
              ] as const,
            ];
      for (const [level, founder] of founders) {
        lines.push(`== ${name}; the conference is ${level === 'empty' ? 'empty' : `at ${level}`}`);
        for (const [title, joiner] of Object.entries(JOINERS)) {
          const d = start(options, founder);
          expect(d.state.level).toBe(level === 'empty' ? 'unknown' : level);
          lines.push(`${title.padEnd(24)} ${line(d, join(d, joiner))}`);
        }
      }
    }
    await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot('golden/policies.txt');
  });
});
