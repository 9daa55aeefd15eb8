import { describe, expect, it } from 'vitest';
import {
  checkPolicy,
  type FailureReason,
  judgeFailure,
  judgeOffer,
  judgeProven,
  type OfferedMedia,
  type PolicySettings,
  type TipSecurity,
} from '../../../src/security/policy.js';

const CONFERENCES: readonly PolicySettings[] = [
  { policy: 'secure', requiredLevel: 'end-to-end' },
  { policy: 'secure', requiredLevel: 'hop-by-hop' },
  { policy: 'non-secure', requiredLevel: 'none' },
];
const dtls = (media: 'audio' | 'video'): OfferedMedia => ({ media, security: 'dtls' });
const plain = (media: 'audio' | 'video'): OfferedMedia => ({ media, security: 'plain' });
const OFFERS: Readonly<Record<string, readonly OfferedMedia[]>> = {
  'nothing usable': [],
  'audio dtls, video dtls': [dtls('audio'), dtls('video')],
  'video dtls': [dtls('video')],
  'audio dtls': [dtls('audio')],
  'audio plain, video plain': [plain('audio'), plain('video')],
  'audio plain': [plain('audio')],
  'audio dtls, video plain': [dtls('audio'), plain('video')],
  'audio plain, video dtls': [plain('audio'), dtls('video')],
  'video sha-1': [dtls('audio'), { media: 'video', security: 'unsupported', problem: 'fingerprint sha-1 is refused' }],
  'audio unsupported': [{ media: 'audio', security: 'unsupported' }, dtls('video')],
};
const CAPABLE: TipSecurity = { version: 8, secure: true, ektTx: true, ektRx: true, capable: true };
const TIPS: Readonly<Record<string, TipSecurity | undefined>> = {
  'version 8, EKT both ways': CAPABLE,
  'version 7, EKT both ways': { ...CAPABLE, version: 7 },
  'version 6 (claims EKT)': { ...CAPABLE, version: 6 },
  'no secure bit': { ...CAPABLE, secure: false },
  'EKT only towards it': { ...CAPABLE, ektRx: false },
  'EKT only from it': { ...CAPABLE, ektTx: false },
  'no EKT': { ...CAPABLE, ektTx: false, ektRx: false },
  'suite not listed': { ...CAPABLE, capable: false, reason: 'SRTP suite 17 is not listed' },
  'no TIP': undefined,
};

describe('policy', () => {
  it('the golden table of verdicts', async () => {
    const lines: string[] = [];
    for (const settings of CONFERENCES) {
      lines.push(`== ${settings.policy}, requires ${settings.requiredLevel}`, '-- offer');
      for (const [name, offer] of Object.entries(OFFERS)) {
        const verdict = judgeOffer(settings, offer);
        if (verdict.verdict === 'refuse') expect(verdict.warning.text).toBe(verdict.reasonText);
        lines.push(
          verdict.verdict === 'admit'
            ? `${name}: admit`
            : `${name}: refuse ${verdict.status} ${verdict.reason} [event ${verdict.event ?? 'none'}; m-line ${verdict.line ?? 'all'}]\n    Warning and Reason: ${verdict.warning.code} "${verdict.reasonText}"`,
        );
      }
      lines.push('-- proven');
      for (const transport of ['dtls', 'plain'] as const) {
        for (const [name, tip] of Object.entries(TIPS)) {
          if (transport === 'plain' && tip !== undefined && tip !== CAPABLE) continue;
          const verdict = judgeProven(settings, { transport, ...(tip === undefined ? {} : { tip }) });
          lines.push(
            verdict.verdict === 'meets'
              ? `${transport}, ${name}: ${verdict.level}`
              : `${transport}, ${name}: end ${verdict.status} ${verdict.reason} [event ${verdict.event}]\n    Reason: "${verdict.reasonText}"`,
          );
        }
      }
    }
    await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot('golden/policy.txt');
  });

  it('a secure conference lets no plain m-line in, whatever stands beside it (C3, C6)', () => {
    for (const settings of CONFERENCES.slice(0, 2)) {
      for (const offer of Object.values(OFFERS)) {
        if (offer.some((line) => line.security === 'plain')) {
          expect(judgeOffer(settings, offer)).toMatchObject({ verdict: 'refuse', status: 488 });
        }
      }
    }
  });

  it('what is proven is never above what the endpoint showed, nor above what the conference runs at', () => {
    for (const settings of CONFERENCES) {
      for (const tip of Object.values(TIPS)) {
        const verdict = judgeProven(settings, { transport: 'dtls', ...(tip === undefined ? {} : { tip }) });
        if (verdict.verdict === 'meets') expect(verdict.level).toBe(settings.requiredLevel);
      }
      const verdict = judgeProven(settings, { transport: 'plain', tip: CAPABLE });
      expect(verdict.verdict).toBe(settings.policy === 'secure' ? 'end' : 'meets');
      if (verdict.verdict === 'meets') expect(verdict.level).toBe('none');
    }
  });

  it('attack: a peer puts header text into what SDP made us say', () => {
    const problem = 'x"\r\nContact: <sips:mallory@example.org>';
    const verdict = judgeOffer(CONFERENCES[0]!, [{ media: 'video', security: 'unsupported', problem }]);
    expect(JSON.stringify(verdict)).toContain("x'??Contact");
  });

  it('a failed negotiation ends the call with an event of its own (C10); packets that fail authentication end nothing', () => {
    const ends: readonly FailureReason[] = ['dtls-failed', 'fingerprint-mismatch', 'media-timeout', 'spimap-timeout'];
    for (const reason of ends)
      expect(judgeFailure(reason)).toMatchObject({ verdict: 'end', status: 488, event: reason });
    expect(judgeFailure('auth-failures')).toEqual({ verdict: 'keep', event: 'auth-failures' });
  });
});

describe('checkPolicy', () => {
  it('fills in the default level of each policy (C2)', () => {
    expect(checkPolicy('secure')).toEqual({ ok: true, value: { policy: 'secure', requiredLevel: 'end-to-end' } });
    expect(checkPolicy('non-secure')).toEqual({ ok: true, value: { policy: 'non-secure', requiredLevel: 'none' } });
    expect(checkPolicy('best-effort')).toEqual({ ok: true, value: { policy: 'best-effort', requiredLevel: 'none' } });
    expect(checkPolicy('secure', 'hop-by-hop')).toMatchObject({ ok: true, value: { requiredLevel: 'hop-by-hop' } });
  });

  it('refuses what it does not know and what does not fit together', () => {
    expect(checkPolicy('Secure')).toMatchObject({ ok: false, reason: 'unknown-policy' });
    expect(checkPolicy('secure', 'high')).toMatchObject({ ok: false, reason: 'unknown-level' });
    expect(checkPolicy('secure', 'none')).toMatchObject({ ok: false, reason: 'level-does-not-fit' });
    expect(checkPolicy('non-secure', 'end-to-end')).toMatchObject({ ok: false, reason: 'level-does-not-fit' });
    expect(checkPolicy('best-effort', 'end-to-end')).toMatchObject({ ok: false, reason: 'level-does-not-fit' });
    expect(checkPolicy('secure', undefined, 'lower')).toMatchObject({ ok: false, reason: 'lower-does-not-fit' });
  });
});
