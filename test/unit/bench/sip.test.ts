import { describe, expect, it } from 'vitest';
import { sip, sipTable, typicalInvite } from '../../../bench/sip.js';
import { parseSipMessage } from '../../../src/wire/sip-message.js';

describe('the SIP bench', () => {
  it('measures an INVITE that is accepted', () => {
    const parsed = parseSipMessage(typicalInvite());
    expect(parsed.ok && parsed.value.via.length).toBe(2);
  });

  it('takes calls, keeps some, and says what they cost', async () => {
    const signal = new AbortController().signal;
    const figures = await sip({
      rounds: 1,
      calls: 20,
      idleCalls: 10,
      refreshes: 0,
      parses: 1_000,
      signal,
      progress: () => undefined,
    });
    expect(figures.idleCalls).toBe(10);
    for (const value of [figures.parseUs, figures.parseAnswerUs, figures.callsPerSecond, figures.mainThreadBusy]) {
      expect(value).toBeGreaterThan(0);
    }
    expect(sipTable(figures)).toContain('calls/s');
  });
});
