/**
 * What operators ask of the switch, and what they see of its conferences. What they ask of one that runs (lock, mute, drop,
 * rekey, switching) is an OperatorEvent of the conference.
 */
import { RETRY_AFTER_SECONDS } from '../base/limits.js';
import type { State } from '../conference/contract.js';
import type { Level } from '../security/levels.js';
import type { ConferenceRuntime } from './conference.js';
import type { ConferenceSettings } from './contract.js';

export type AdministrationCommand =
  /** It can be dialled from now on, like one of the configuration; one that runs already keeps its settings. */
  | { readonly type: 'create-conference'; readonly name: string; readonly settings: ConferenceSettings }
  /** BYE to its members; one that was created is forgotten. */
  | { readonly type: 'end-conference'; readonly name: string }
  /** While on, no conference is begun (503); those that run go on and take joiners. */
  | { readonly type: 'drain'; readonly on: boolean };

export type ConferenceOrigin = 'configured' | 'created' | 'dialled';

export interface ConferenceView {
  readonly name: string;
  readonly origin: ConferenceOrigin;
  readonly settings: ConferenceSettings;
  /** undefined: nobody is in it. */
  readonly state: State | undefined;
}

export type Refusal = readonly [status: number, text: string, retryAfterSeconds?: number];

const CONFERENCE_NAME = /^[A-Za-z0-9._-]{1,64}$/;

/** Which conferences can be dialled, with which settings. */
export class Directory {
  readonly #fixed: ReadonlyMap<string, ConferenceSettings>;
  readonly #adHoc: ConferenceSettings | undefined;
  readonly #created = new Map<string, ConferenceSettings>();
  draining = false;

  constructor(fixed: ReadonlyMap<string, ConferenceSettings>, adHoc: ConferenceSettings | undefined) {
    this.#fixed = fixed;
    this.#adHoc = adHoc;
  }

  settingsOf(name: string): ConferenceSettings | undefined {
    return this.#fixed.get(name) ?? this.#created.get(name) ?? this.#adHoc;
  }

  /** Why no conference of this name can be begun now: status, text and Retry-After of the refusal. */
  whyNot(name: string): Refusal | undefined {
    if (!CONFERENCE_NAME.test(name)) return [404, 'a conference name is 1 to 64 of A-Z a-z 0-9 . _ -'];
    if (this.settingsOf(name) === undefined) return [404, `no conference ${name}`];
    return this.draining ? [503, 'no new conferences now', RETRY_AFTER_SECONDS] : undefined;
  }

  create(name: string, settings: ConferenceSettings): void {
    if (!this.#fixed.has(name)) this.#created.set(name, settings);
  }

  forget(name: string): void {
    this.#created.delete(name);
  }

  /** Those that were configured or created, and those that run, in the order of their names. */
  views(running: ReadonlyMap<string, ConferenceRuntime>): ConferenceView[] {
    const names = new Set([...this.#fixed.keys(), ...this.#created.keys(), ...running.keys()]);
    return [...names].sort().map((name) => this.view(name, running)!);
  }

  view(name: string, running: ReadonlyMap<string, ConferenceRuntime>): ConferenceView | undefined {
    const state = running.get(name)?.state;
    const configured = this.#fixed.get(name);
    const known = configured ?? this.#created.get(name);
    const settings = state === undefined ? known : settingsIn(state);
    if (settings === undefined) return undefined;
    const origin = configured !== undefined ? 'configured' : known !== undefined ? 'created' : 'dialled';
    return { name, origin, settings, state };
  }
}

/** Carries a command out; one about a conference that is gone has no effect. */
export function administer(
  command: AdministrationCommand,
  running: ReadonlyMap<string, ConferenceRuntime>,
  directory: Directory,
  now: number,
): void {
  switch (command.type) {
    case 'create-conference':
      directory.create(command.name, command.settings);
      break;
    case 'end-conference':
      directory.forget(command.name);
      running.get(command.name)?.apply({ type: 'close', reason: 'operator' }, now);
      break;
    case 'drain':
      directory.draining = command.on;
      break;
  }
}

/** How many conferences and members are at each level now. */
export function countLevels(views: readonly ConferenceView[]): {
  readonly conferences: Readonly<Record<Level, number>>;
  readonly members: Readonly<Record<Level, number>>;
} {
  const zero = (): Record<Level, number> => ({ unknown: 0, none: 0, 'hop-by-hop': 0, 'end-to-end': 0 });
  const conferences = zero();
  const members = zero();
  for (const { state } of views) {
    if (state === undefined) continue;
    conferences[state.level]++;
    for (const member of state.members.values()) members[member.level]++;
  }
  return { conferences, members };
}

function settingsIn({
  policy,
  requiredLevel,
  restore,
  onNegotiationFailure,
  suite,
  switching,
}: State): ConferenceSettings {
  return {
    policy,
    requiredLevel,
    restore,
    onNegotiationFailure,
    switching,
    suite: suite as NonNullable<ConferenceSettings['suite']>,
  };
}
