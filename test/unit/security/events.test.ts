import { describe, expect, it } from 'vitest';
import { makeEvent, SECURITY_EVENTS, type SecurityEventCode } from '../../../src/security/events.js';
import { MAX_FOREIGN_TEXT_CHARS, safeText } from '../../../src/security/text.js';
import { catalogueAsMarkdown } from '../../../src/server/events/catalogue.js';

/** REQUIREMENTS section E, code by code, and one of our own for the store. */
const CATALOGUE = {
  'security-mismatch': 'warn',
  'endpoint-not-capable': 'warn',
  'conference-downgraded': 'warn',
  'conference-started-low': 'info',
  'conference-restored': 'info',
  'peer-unreachable': 'error',
  'trunk-forbidden': 'error',
  'trunk-srtp-refused': 'error',
  'trunk-keys-refused': 'error',
  'tls-key-invalid': 'error',
  'tls-verify-failed': 'error',
  'media-timeout': 'error',
  'spimap-timeout': 'error',
  'consent-lost': 'warn',
  'member-lost': 'warn',
  'dtls-failed': 'error',
  'fingerprint-mismatch': 'critical',
  'ssrc-conflict': 'critical',
  'auth-failures': 'warn',
  'digest-failed': 'warn',
  'trunk-denied': 'warn',
  'enrolment-failed': 'warn',
  'enrolment-done': 'info',
  'certificate-expiring': 'warn',
  'audit-failed': 'error',
  'origin-refused': 'warn',
};

describe('the catalogue of security events', () => {
  it('has every code with its severity, and tells what to do next', () => {
    const severities = Object.entries(SECURITY_EVENTS).map(([code, entry]) => [code, entry.severity]);
    expect(Object.fromEntries(severities)).toEqual(CATALOGUE);
    for (const entry of Object.values(SECURITY_EVENTS)) expect(entry.remedy.length).toBeGreaterThan(5);
  });

  it('is a page with one row a code: severity, cause, remedy, and nothing else', () => {
    const rows = catalogueAsMarkdown()
      .split('\n')
      .filter((line) => line.startsWith('| `'))
      .map((line) => line.split(/(?<!\\)\|/).map((cell) => cell.trim()));
    expect(rows.map((cells) => [cells[1]!.replaceAll('`', ''), cells[2]])).toEqual(Object.entries(CATALOGUE));
    for (const cells of rows) {
      expect(cells).toHaveLength(6);
      const { remedy } = SECURITY_EVENTS[cells[1]!.replaceAll('`', '') as SecurityEventCode];
      expect(cells[4]).toBe(remedy);
      expect(cells[3]).not.toContain('{');
    }
  });

  it('names conference, endpoint, channel, cause and remedy in the event', () => {
    expect(
      makeEvent('fingerprint-mismatch', {
        conference: '8000',
        endpoint: 'room 4',
        channel: 7,
        cause: 'got aa, not bb',
      }),
    ).toEqual({
      code: 'fingerprint-mismatch',
      severity: 'critical',
      conference: '8000',
      endpoint: 'room 4',
      channel: 7,
      cause: 'the DTLS certificate of room 4 on channel 7 is not the one announced in its SDP: got aa, not bb',
      remedy: 'somebody may be in the middle: check the path of signalling and media before the endpoint dials again',
    });
  });

  it('leaves out what is not known, and never leaves a placeholder open', () => {
    for (const code of Object.keys(SECURITY_EVENTS) as SecurityEventCode[]) {
      const event = makeEvent(code, { cause: 'why' });
      expect(Object.keys(event).sort()).toEqual(['cause', 'code', 'remedy', 'severity']);
      expect(event.cause).toContain('why');
      expect(event.cause).not.toMatch(/[{}]/);
    }
  });

  it('lists the members concerned', () => {
    expect(makeEvent('conference-downgraded', { cause: 'x', members: ['a', 'b\n'] }).members).toEqual(['a', 'b?']);
  });

  it('attack: a name cannot forge a second log line, a second header, or another field', () => {
    const event = makeEvent('dtls-failed', {
      endpoint: 'mallory {channel}\r\nReason: "SIP\u2028',
      conference: 'x\u0000',
      cause: 'a\nb',
    });
    expect(event.endpoint).toBe("mallory {channel}??Reason: 'SIP?");
    expect(event.conference).toBe('x?');
    expect(event.cause).toBe("the DTLS handshake with mallory {channel}??Reason: 'SIP? on channel (none) failed: a?b");
  });

  it('attack: foreign text is cut to its limit', () => {
    expect(safeText('x'.repeat(MAX_FOREIGN_TEXT_CHARS))).toHaveLength(MAX_FOREIGN_TEXT_CHARS);
    const cut = safeText('x'.repeat(100_000));
    expect(cut).toHaveLength(MAX_FOREIGN_TEXT_CHARS);
    expect(cut.endsWith('x...')).toBe(true);
  });
});
