/** The TLS sets in use, read again when their files change or on demand (REQUIREMENTS X4). What is wrong leaves the old in place. */
import { type FSWatcher, watch } from 'node:fs';
import { dirname } from 'node:path';
import { TLS_RELOAD_QUIET_MS, TLS_RELOAD_RETRY_MS } from '../base/limits.js';
import { chooseLevel, readTlsSet, type TlsLevel, type TlsProblem, type TlsSet } from './tls-set.js';

/** A user of TLS with its levels, port before application before host. The last one is whole. */
export interface TlsUser {
  /** `sip 5061`, `admin`. */
  readonly name: string;
  readonly levels: readonly TlsLevel[];
  /** File with the authorities of those who connect, where they are others than the level's. */
  readonly ca?: string | undefined;
}

export interface TlsStoreHandlers {
  /** A set that came new into force. */
  readonly onChange: (user: string, set: TlsSet) => void;
  /** Files that changed and cannot be used: the old set goes on. */
  readonly onProblem: (user: string, problem: TlsProblem, detail: string) => void;
}

function sameSet(a: TlsSet, b: TlsSet): boolean {
  const text = (set: TlsSet): string =>
    [
      set.chainPem,
      ...set.caPem,
      '|',
      ...set.crlPem,
      '|',
      set.ciphers,
      set.key.use((k) => Buffer.from(k).toString('latin1')),
    ].join('\n');
  return text(a) === text(b);
}

function readUser({ name, levels, ca }: TlsUser): TlsSet | { readonly problem: TlsProblem; readonly detail: string } {
  const level = chooseLevel(levels);
  if (!level.ok) return { problem: level.reason, detail: level.detail ?? level.reason };
  if (level.value === undefined) return { problem: 'mixture', detail: `nothing supplies certificates for ${name}` };
  const { where, settings } = level.value;
  const set = readTlsSet(ca === undefined ? level.value : { where, settings: { ...settings, ca, crl: undefined } });
  return set.ok ? set.value : { problem: set.reason, detail: set.detail ?? set.reason };
}

export class TlsStore {
  readonly #users: readonly TlsUser[];
  #handlers: TlsStoreHandlers | undefined;
  readonly #sets = new Map<string, TlsSet>();
  readonly #watchers: FSWatcher[] = [];
  #timer: NodeJS.Timeout | undefined;

  /** Throws with the place and the file when a set cannot be used: there is no old one to go on with. */
  constructor(users: readonly TlsUser[]) {
    this.#users = users;
    for (const user of users) {
      const set = readUser(user);
      if ('problem' in set) throw new Error(set.detail);
      this.#sets.set(user.name, set);
    }
  }

  /** In force now. */
  set(user: string): TlsSet {
    const set = this.#sets.get(user);
    if (set === undefined) throw new Error(`no TLS set for ${user}`);
    return set;
  }

  get sets(): ReadonlyMap<string, TlsSet> {
    return this.#sets;
  }

  /** From now on files that change come into force by themselves. Folders are watched: files are replaced by renaming. */
  watch(handlers: TlsStoreHandlers): void {
    this.#handlers = handlers;
    const folders = new Set([...this.#sets.values()].flatMap((set) => set.files.map((file) => dirname(file))));
    for (const folder of folders) {
      const watcher = watch(folder, { persistent: false }, () => this.#later(TLS_RELOAD_QUIET_MS, true));
      watcher.on('error', () => watcher.close()); // the folder is gone: SIGHUP still works
      this.#watchers.push(watcher);
    }
  }

  /** Reads all files now. @returns whether all of them can be used. */
  reload(): boolean {
    return this.#reload((...problem) => this.#handlers?.onProblem(...problem));
  }

  close(): void {
    clearTimeout(this.#timer);
    for (const watcher of this.#watchers) watcher.close();
    for (const set of this.#sets.values()) set.key.wipe();
  }

  /** Several files are seldom written at one moment: a set that does not fit is looked at once more before it is reported. */
  #later(delayMs: number, again: boolean): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const failed = !this.#reload((...problem) => (again ? undefined : this.#handlers?.onProblem(...problem)));
      if (failed && again) this.#later(TLS_RELOAD_RETRY_MS, false);
    }, delayMs);
  }

  #reload(onProblem: TlsStoreHandlers['onProblem']): boolean {
    const told = new Set<string>();
    for (const user of this.#users) {
      const set = readUser(user);
      if ('problem' in set) {
        // One file may be several users'.
        if (!told.has(set.detail)) onProblem(user.name, set.problem, set.detail);
        told.add(set.detail);
        continue;
      }
      const old = this.set(user.name);
      if (sameSet(old, set)) {
        set.key.wipe();
        continue;
      }
      this.#sets.set(user.name, set);
      this.#handlers?.onChange(user.name, set);
      old.key.wipe();
    }
    return told.size === 0;
  }
}
