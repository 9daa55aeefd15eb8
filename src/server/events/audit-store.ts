/**
 * The audit store: security events in SQLite with a write-ahead log. One process writes it. An event is in the log's file
 * when {@link AuditStore.append} returns: it survives the process, and a power cut from the next checkpoint on.
 */
import { existsSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import sqlite, { type Database } from 'node-sqlite3-wasm';
import { AUDIT_CHECK_EVERY_EVENTS } from '../../base/limits.js';
import { type EventFilter, type EventRecord, rankOf } from './record.js';

export interface AuditLimits {
  readonly maxAgeMs: number;
  readonly maxBytes: number;
}

const PAGE_BYTES = 4_096;
/** Prepared anew each time: in this library a statement that has failed once cannot be used again. */
const INSERT = 'insert into events values (?, ?, ?, ?, ?, ?)';
const CRITICAL = rankOf('critical');

export class AuditStore {
  readonly #limits: AuditLimits;
  readonly #db: Database;
  #sinceCheck = 0;

  /** Throws when `file` cannot be opened, or belongs to another process that runs. */
  constructor(file: string, limits: AuditLimits) {
    this.#limits = limits;
    takeOver(file);
    this.#db = new sqlite.Database(file);
    try {
      // Exclusive: the write-ahead log needs no shared memory then, which this build of SQLite has not.
      for (const pragma of ['locking_mode = exclusive', 'journal_mode = wal', 'synchronous = normal'])
        this.#db.exec(`pragma ${pragma}`);
      this.#db.exec(`pragma max_page_count = ${Math.ceil(limits.maxBytes / PAGE_BYTES)}`);
      this.#db.exec(
        `create table if not exists events (id integer primary key, time integer not null, rank integer not null,
           code text not null, conference text, body text not null);
         create index if not exists by_conference on events (conference, id);
         create index if not exists by_code on events (code, id);
         create index if not exists by_rank on events (rank, id)`,
      );
    } catch (error) {
      this.#db.close();
      throw error;
    }
  }

  /** Written when it returns; throws when it cannot be, also after older events have given way. */
  append(event: EventRecord, now: number): void {
    if (this.#sinceCheck++ % AUDIT_CHECK_EVERY_EVENTS === 0) this.#retain(now);
    const { id, time, code, severity, conference } = event;
    const row = [Number(id), Date.parse(time), rankOf(severity), code, conference ?? null, JSON.stringify(event)];
    try {
      this.#db.run(INSERT, row);
    } catch (error) {
      if (!isFull(error) || !this.#giveWay()) throw error;
      this.#db.run(INSERT, row);
    }
  }

  /** The newest first. */
  query(filter: EventFilter, limit: number): readonly EventRecord[] {
    const { code, severity, conference, sinceMs, untilMs, before } = filter;
    const conditions: [sql: string, value: string | number | undefined][] = [
      ['code = ?', code],
      ['rank >= ?', severity === undefined ? undefined : rankOf(severity)],
      ['conference = ?', conference],
      ['time >= ?', sinceMs],
      ['time < ?', untilMs],
      ['id < ?', before],
    ];
    const asked = conditions.filter(([, value]) => value !== undefined);
    const where = asked.length === 0 ? '' : `where ${asked.map(([sql]) => sql).join(' and ')}`;
    const values = asked.map(([, value]) => value!);
    return this.#read(`select body from events ${where} order by id desc limit ?`, [...values, limit]);
  }

  /** Those after the event `id`, the oldest first. */
  after(id: number, limit: number): readonly EventRecord[] {
    return this.#read('select body from events where id > ? order by id limit ?', [id, limit]);
  }

  /** The number of the newest event; 0 when there is none. */
  lastId(): number {
    return Number(this.#db.get('select coalesce(max(id), 0) as last from events')?.last ?? 0);
  }

  /** In the file and its write-ahead log, free pages not counted. */
  usedBytes(): number {
    const pragma = (name: string): number => Number(this.#db.get(`pragma ${name}`)?.[name] ?? 0);
    return (pragma('page_count') - pragma('freelist_count')) * PAGE_BYTES;
  }

  close(): void {
    this.#db.close();
  }

  #read(sql: string, values: readonly (string | number)[]): EventRecord[] {
    return this.#db.all(sql, [...values]).map((row) => JSON.parse(String(row.body)) as EventRecord);
  }

  #retain(now: number): void {
    this.#db.run('delete from events where time < ?', [now - this.#limits.maxAgeMs]);
    if (this.usedBytes() > this.#limits.maxBytes * 0.9) this.#giveWay();
  }

  /** A tenth goes, the oldest first; critical events only when there is nothing else, so that no flood pushes them out. */
  #giveWay(): boolean {
    const count = (condition: string): number =>
      Number(this.#db.get(`select count(*) as n from events where ${condition}`)?.n ?? 0);
    const others = count(`rank < ${CRITICAL}`);
    const condition = others > 0 ? `rank < ${CRITICAL}` : 'true';
    const going = Math.ceil((others > 0 ? others : count('true')) / 10);
    if (going === 0) return false;
    this.#db.run(
      `delete from events where id in (select id from events where ${condition} order by id limit ${going})`,
    );
    return true;
  }
}

function isFull(error: unknown): boolean {
  return error instanceof Error && /full/.test(error.message);
}

/**
 * SQLite's lock is a folder beside the file; a process that was killed leaves it there. Its number and start time stand in a
 * file of ours, so that the lock of one that runs is left alone.
 */
function takeOver(file: string): void {
  const owner = `${file}.owner`;
  const lock = `${file}.lock`;
  if (existsSync(lock)) {
    const [pid, started] = existsSync(owner) ? readFileSync(owner, 'utf8').trim().split(' ') : [];
    if (pid !== undefined && pid !== String(process.pid) && startOf(pid) === started)
      throw new Error(`${file} is in use by process ${pid}`);
    rmdirSync(lock);
  }
  writeFileSync(owner, `${process.pid} ${startOf(String(process.pid)) ?? ''}\n`, { mode: 0o600 });
}

/** Start time of a process in clock ticks since boot (proc(5), field 22 of stat); undefined: there is none. */
function startOf(pid: string): string | undefined {
  const stat = `/proc/${pid}/stat`;
  if (!/^\d+$/.test(pid) || !existsSync(stat)) return undefined;
  return readFileSync(stat, 'utf8').split(') ').at(-1)?.split(' ')[19];
}
