import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { LOG_THROTTLE_INTERVAL_MS, LOG_THROTTLE_MAX_NAMES } from '../../../src/base/limits.js';
import { serverCertificate } from '../../../src/server/certificates.js';
import { LogThrottle } from '../../../src/server/log.js';

const NOW = Date.UTC(2026, 0, 1);
const DAY_MS = 86_400_000;

describe('certificates of a first run', () => {
  const folder = mkdtempSync(join(tmpdir(), 'claviger-test-'));
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('are issued by a CA of their own, kept, and issued anew when they expire or the name changes; keys are private', async () => {
    const first = await serverCertificate(folder, 'switch, "one"', NOW);
    const ca = new X509Certificate(readFileSync(join(folder, 'ca.pem')));
    const leaf = (pem: string): X509Certificate => new X509Certificate(pem);
    expect(first.created).toBe(true);
    expect(leaf(first.certificatePem).verify(ca.publicKey)).toBe(true);
    expect(leaf(first.certificatePem).checkHost('localhost')).toBe('localhost');
    expect(leaf(first.certificatePem).checkIP('127.0.0.1')).toBe('127.0.0.1');
    expect([ca.ca, leaf(first.certificatePem).ca]).toEqual([true, false]);
    for (const name of ['ca-key.pem', 'server-key.pem']) expect(statSync(join(folder, name)).mode & 0o777).toBe(0o600);

    expect(await serverCertificate(folder, 'switch, "one"', NOW + DAY_MS)).toMatchObject({
      created: false,
      certificatePem: first.certificatePem,
    });
    const renamed = await serverCertificate(folder, 'two', NOW);
    expect([renamed.created, leaf(renamed.certificatePem).checkHost('two')]).toEqual([true, 'two']);
    const later = await serverCertificate(folder, 'two', NOW + 400 * DAY_MS);
    expect(later.created).toBe(true);
    expect(leaf(later.certificatePem).verify(ca.publicKey)).toBe(true);
  });
});

describe('the log throttle', () => {
  it('lets one of a kind through an interval, with the count of those before; names are bounded and share a place beyond', () => {
    const throttle = new LogThrottle(1_000, 2);
    const admit = (name: string, t: number): number | undefined => throttle.admit('g', name, t);
    expect([0, 10, 999].map((t) => admit('a', t))).toEqual([0, undefined, undefined]);
    expect(admit('b', 500)).toBe(0);
    expect([admit('c', 600), admit('d', 610), admit('e', 620)]).toEqual([0, undefined, undefined]);
    expect(admit('a', 1_000)).toBe(2);
    expect(admit('f', 1_600)).toBe(0); // b is old enough to give way
    expect(admit('h', 1_600)).toBe(2); // with the count of d and e
  });

  it('attack: blinding the log - whoever invents names by the thousand fills a few lines and silences nobody else', () => {
    const throttle = new LogThrottle(LOG_THROTTLE_INTERVAL_MS, LOG_THROTTLE_MAX_NAMES);
    let lines = 0;
    for (let i = 0; i < 100_000; i++) {
      if (throttle.admit('event security-mismatch', `c${i} sip:${i}@x`, i / 20) !== undefined) lines++;
    }
    expect(lines).toBeLessThanOrEqual(LOG_THROTTLE_MAX_NAMES + 1);
    expect(throttle.admit('event fingerprint-mismatch', 'board sip:ann@a.example', 5_000)).toBe(0);
  });
});
