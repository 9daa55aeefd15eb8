import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  AUDIT_RETRY_INTERVAL_MS,
  EVENT_BURST_PER_CAUSE,
  EVENT_MAX_CAUSES_PER_CODE,
  EVENT_MEMORY_RECORDS,
  EVENT_SUMMARY_INTERVAL_MS,
} from '../../../../src/base/limits.js';
import { makeEvent, type SecurityEventCode } from '../../../../src/security/events.js';
import { AuditStore } from '../../../../src/server/events/audit-store.js';
import { EventJournal, type EventStore } from '../../../../src/server/events/journal.js';

const NOW = Date.UTC(2030, 0, 1);
const DAY_MS = 86_400_000;
const LIMITS = { maxAgeMs: 90 * DAY_MS, maxBytes: 64 * 1_048_576 };

let folder = '';
let file = '';
const open: { close(): void }[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'claviger-test-'));
  file = join(folder, 'audit.db');
});
afterEach(() => {
  for (const store of open.splice(0)) store.close();
  rmSync(folder, { recursive: true, force: true });
});

function store(limits = LIMITS): AuditStore {
  const opened = new AuditStore(file, limits);
  open.push(opened);
  return opened;
}

const event = (code: SecurityEventCode, source = '192.0.2.1', cause = 'seen') =>
  makeEvent(code, { conference: 'board', endpoint: 'ann', source, cause });

/** With ids of their own, as a store sees them. */
const record = (n: number, code: SecurityEventCode = 'dtls-failed', time = NOW) => ({
  id: String(n),
  time: new Date(time).toISOString(),
  ...event(code),
});

describe('the audit store', () => {
  it('keeps events over a restart, in SQLite with a write-ahead log, and finds them by what is asked', () => {
    const first = store();
    first.append(record(1, 'conference-started-low'), NOW);
    first.append(record(2, 'fingerprint-mismatch', NOW + 60_000), NOW);
    first.append(record(3), NOW);
    expect(existsSync(`${file}-wal`)).toBe(true);
    open.splice(0);
    first.close();
    const again = store();
    const ids = (filter: Parameters<AuditStore['query']>[0], limit = 10) => again.query(filter, limit).map((e) => e.id);
    expect(ids({})).toEqual(['3', '2', '1']);
    expect(again.query({}, 1)[0]).toEqual(record(3));
    expect(ids({ severity: 'critical' })).toEqual(['2']);
    expect(ids({ code: 'dtls-failed', conference: 'board' })).toEqual(['3']);
    expect(ids({ conference: "board' or '1'='1" })).toEqual([]);
    expect(ids({ sinceMs: NOW + 1, untilMs: NOW + 60_001 })).toEqual(['2']);
    expect(ids({ before: 3 }, 1)).toEqual(['2']);
    expect(again.after(1, 10).map((e) => e.id)).toEqual(['2', '3']);
    expect(again.lastId()).toBe(3);
  });

  it('takes over the lock of a process that was killed, and leaves that of one that runs alone', () => {
    const first = store();
    first.append(record(1), NOW);
    open.splice(0);
    first.close();
    mkdirSync(`${file}.lock`);
    writeFileSync(`${file}.owner`, '1 \n'); // process 1 runs, but it is another one than that which started then
    expect(store().lastId()).toBe(1);
    open.splice(0)[0]!.close();
    mkdirSync(`${file}.lock`);
    const started = readFileSync('/proc/1/stat', 'utf8').split(') ').at(-1)!.split(' ')[19];
    writeFileSync(`${file}.owner`, `1 ${started}\n`);
    expect(() => store()).toThrow(/in use by process 1/);
  });

  it('forgets what is too old', () => {
    const kept = store({ ...LIMITS, maxAgeMs: 10 * DAY_MS });
    for (let n = 1; n <= 400; n++) kept.append(record(n, 'dtls-failed', NOW), NOW);
    for (let n = 401; n <= 1_000; n++) kept.append(record(n, 'dtls-failed', NOW + 11 * DAY_MS), NOW + 11 * DAY_MS);
    expect(Number(kept.query({}, 2_000).at(-1)!.id)).toBe(401);
  });

  it('attack: a flood to fill the disk - the file stays within its size, and the oldest critical event outlives it', () => {
    const maxBytes = 1_048_576;
    const kept = store({ ...LIMITS, maxBytes });
    kept.append(record(1, 'fingerprint-mismatch'), NOW);
    for (let n = 2; n <= 10_000; n++) kept.append(record(n), NOW);
    expect(kept.usedBytes()).toBeLessThanOrEqual(maxBytes);
    const left = kept.query({}, 20_000);
    expect(left[0]!.id).toBe('10000');
    expect(left.length).toBeGreaterThan(500);
    expect(left.length).toBeLessThan(5_000);
    expect(left.at(-1)!.id).toBe('1');
  });
});

describe('the journal', () => {
  it('attack: 10,000 events a second from one abuser - another’s critical event is kept, and what is not is counted', () => {
    const journal = new EventJournal();
    const told: string[] = [];
    journal.listen((e) => told.push(e.source ?? ''));
    let kept = 0;
    for (let i = 0; i < 10_000; i++) {
      const now = NOW + i / 10;
      if (journal.record(event('fingerprint-mismatch', '203.0.113.66', `call ${i}`), now) !== undefined) kept++;
      if (i === 9_000) expect(journal.record(event('fingerprint-mismatch', '192.0.2.7'), now)).toBeDefined();
    }
    expect(kept).toBeGreaterThanOrEqual(EVENT_BURST_PER_CAUSE);
    expect(kept).toBeLessThanOrEqual(EVENT_BURST_PER_CAUSE + 1);
    expect(told.filter((source) => source === '192.0.2.7')).toHaveLength(1);
    journal.tick(NOW + 1_000 + EVENT_SUMMARY_INTERVAL_MS);
    const all = journal.query({}, 1_000);
    const ofAbuser = all.filter((e) => e.source === '203.0.113.66');
    expect(ofAbuser.reduce((sum, e) => sum + 1 + (e.suppressed ?? 0), 0)).toBe(10_000);
    expect(ofAbuser[0]!.cause).toContain('call 9999');
  });

  it('attack: a flood under ten thousand addresses - bounded in memory, and another code is not touched', () => {
    const journal = new EventJournal();
    let kept = 0;
    for (let i = 0; i < 100_000; i++) {
      const source = `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`;
      if (journal.record(event('security-mismatch', source), NOW) !== undefined) kept++;
    }
    expect(kept).toBeLessThanOrEqual(EVENT_MAX_CAUSES_PER_CODE + EVENT_BURST_PER_CAUSE);
    expect(journal.record(event('fingerprint-mismatch'), NOW)).toBeDefined();
  });

  it('gives ids that rise, also after a restart with a clock that went back', () => {
    const made: EventStore[] = [];
    const start = (now: number): EventJournal => {
      const journal = new EventJournal({
        open: () => {
          const opened = new AuditStore(file, LIMITS);
          made.push(opened);
          return opened;
        },
      });
      journal.start(now);
      return journal;
    };
    const first = start(NOW);
    const a = first.record(event('dtls-failed'), NOW)!;
    const b = first.record(event('dtls-failed'), NOW)!;
    first.close(NOW);
    const second = start(NOW - DAY_MS);
    const c = second.record(event('dtls-failed'), NOW - DAY_MS)!;
    expect([a, b, c].map((e) => Number(e.id))).toEqual([...new Set([a, b, c].map((e) => Number(e.id)))].sort());
    expect(second.after(Number(a.id), 10).map((e) => e.id)).toEqual([b.id, c.id]);
    second.close(NOW);
  });

  it('an event is in the store before anybody hears of it', () => {
    const kept = store();
    const journal = new EventJournal({ open: () => kept });
    const seen: number[] = [];
    journal.listen((e) => seen.push(kept.query({}, 10).filter((stored) => stored.id === e.id).length));
    journal.record(event('dtls-failed'), NOW);
    expect(seen).toEqual([1]);
  });

  it('with a disk that is full goes on in memory, raises the alarm, and writes all of it when there is room again', () => {
    const kept = store();
    let full = false;
    const alarms: (string | undefined)[] = [];
    const failing: EventStore = {
      append: (e, now) => {
        if (full) throw new Error('database or disk is full');
        kept.append(e, now);
      },
      query: (filter, limit) => kept.query(filter, limit),
      after: (id, limit) => kept.after(id, limit),
      lastId: () => kept.lastId(),
      close: () => undefined,
    };
    const journal = new EventJournal({ open: () => failing, onAlarm: (problem) => void alarms.push(problem) });
    const heard: string[] = [];
    journal.listen((e) => heard.push(e.code));
    const one = journal.record(event('dtls-failed'), NOW)!;
    full = true;
    const two = journal.record(event('fingerprint-mismatch'), NOW + 1)!;
    const three = journal.record(event('dtls-failed'), NOW + 2)!;
    expect(alarms).toEqual(['database or disk is full']);
    expect(journal.problem).toBe('database or disk is full');
    expect(heard.sort()).toEqual(['audit-failed', 'dtls-failed', 'dtls-failed', 'fingerprint-mismatch']);
    expect(journal.query({ severity: 'critical' }, 10).map((e) => e.id)).toEqual([two.id]);
    expect(journal.query({}, 10)).toHaveLength(4);
    expect(journal.after(Number(one.id), 10).at(-1)!.id).toBe(three.id);
    full = false;
    journal.tick(NOW + 3);
    expect(journal.waiting).toBe(3); // not tried again at once
    journal.tick(NOW + 1 + AUDIT_RETRY_INTERVAL_MS);
    expect([journal.waiting, journal.problem, alarms.at(-1)]).toEqual([0, undefined, undefined]);
    expect(kept.query({}, 10)).toHaveLength(4);
    expect(journal.lost).toBe(0);
  });

  it('with a store that never opens keeps the newest in memory and counts what it loses', () => {
    const journal = new EventJournal({
      open: () => {
        throw new Error('no such folder');
      },
    });
    for (let i = 0; i < EVENT_MEMORY_RECORDS + 100; i++) journal.record(event('dtls-failed'), NOW + i * 1_000);
    expect(journal.waiting).toBe(EVENT_MEMORY_RECORDS);
    expect(journal.lost).toBe(101); // and the alarm itself
  });
});
