import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ADMIN_MAX_RATE_ADDRESSES, ADMIN_REQUEST_BURST } from '../../../../src/base/limits.js';
import { Credentials, makeToken, ownToken } from '../../../../src/server/admin/credentials.js';
import { RateLimit } from '../../../../src/server/admin/rate-limit.js';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'claviger-test-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('the token of a first run', () => {
  it('is in a file for its owner only, stays, and is an administrator’s', () => {
    const dir = join(folder, 'data');
    const first = ownToken(dir);
    expect(statSync(first.file).mode & 0o777).toBe(0o600);
    const token = readFileSync(first.file, 'utf8').trim();
    expect(token).toMatch(/^clv_[\w-]{43}$/);
    expect(first.entry.sha256).not.toContain(token);
    expect(ownToken(dir).entry).toEqual(first.entry);
    const credentials = new Credentials([first.entry], []);
    expect(credentials.identify(`Bearer ${token}`, undefined)?.role).toBe('admin');
    expect(credentials.identify(`bearer  ${token}`, undefined)?.role).toBe('admin');
    expect(credentials.identify(`Bearer ${token}x`, undefined)).toBeUndefined();
    rmSync(first.file);
    expect(ownToken(dir).entry.sha256).not.toBe(first.entry.sha256);
  });

  it('is not taken from an empty file', () => {
    writeFileSync(join(folder, 'admin-token'), '\n');
    expect(() => ownToken(folder)).toThrow(/admin-token is empty/);
  });

  it('is another each time', () => {
    expect(new Set(Array.from({ length: 100 }, () => makeToken().token)).size).toBe(100);
  });
});

describe('the rate of requests', () => {
  const drain = (limit: RateLimit, address: string, now: number): number => {
    let taken = 0;
    while (limit.take(address, 1, now) === 0) taken++;
    return taken;
  };

  it('is each address’s own; an IPv6 customer is one address', () => {
    const limit = new RateLimit();
    expect(drain(limit, '192.0.2.1', 0)).toBe(ADMIN_REQUEST_BURST);
    expect(drain(limit, '192.0.2.2', 0)).toBe(ADMIN_REQUEST_BURST);
    expect(drain(limit, '2001:db8::1', 0)).toBe(ADMIN_REQUEST_BURST);
    expect(drain(limit, '2001:db8:0:0:7::2', 0)).toBe(0);
    expect(drain(limit, '2001:db8:0:1::1', 0)).toBe(ADMIN_REQUEST_BURST);
    expect(drain(limit, '::ffff:192.0.2.3', 0)).toBe(ADMIN_REQUEST_BURST);
  });

  it('attack: filling the table - addresses beyond it share one bucket, those in it keep theirs', () => {
    const limit = new RateLimit();
    for (let i = 0; i < ADMIN_MAX_RATE_ADDRESSES; i++) limit.take(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`, 1, 0);
    expect(drain(limit, '192.0.2.1', 0) + drain(limit, '192.0.2.2', 0)).toBe(ADMIN_REQUEST_BURST);
    expect(drain(limit, '10.0.0.1', 0)).toBe(ADMIN_REQUEST_BURST - 1);
    expect(drain(limit, '192.0.2.9', 3_600_000)).toBe(ADMIN_REQUEST_BURST);
  });
});
