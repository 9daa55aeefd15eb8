/**
 * Which relay thread a conference and its members are put on. A conference lives on one thread, its home, where all its
 * packets are judged; members beyond the first {@link PlacementOptions.membersBeforeSpreading} have their sockets wherever
 * the load is least at that moment, which may be the home. All channels of a member are on one thread. Nobody is moved later.
 */
import type { ConferenceId, MemberId } from '../base/ids.js';
import { RELAY_LOAD_PER_CHANNEL_PERMILLE } from '../base/limits.js';

export interface PlacementOptions {
  readonly threads: number;
  readonly membersBeforeSpreading: number;
  /** Share of a core that a thread took of late, in thousandths. */
  readonly measuredPermille: (thread: number) => number;
}

/** What is known of a thread when something is placed. */
export interface ThreadLoad {
  readonly measuredPermille: number;
  readonly channels: number;
  /** Conferences that live there: one that was named a moment ago has no channel yet. */
  readonly conferences: number;
}

function weight(load: ThreadLoad): number {
  return load.measuredPermille + (load.channels + load.conferences) * RELAY_LOAD_PER_CHANNEL_PERMILLE;
}

/** The first of those with the least load, measured and expected. */
export function leastLoaded(loads: readonly ThreadLoad[]): number {
  const weights = loads.map(weight);
  return weights.indexOf(Math.min(...weights));
}

interface Member {
  readonly thread: number;
  channels: number;
}

interface Placed {
  readonly home: number;
  readonly members: Map<MemberId, Member>;
}

export class Placement {
  readonly #options: PlacementOptions;
  readonly #conferences = new Map<ConferenceId, Placed>();
  readonly #channels: number[];
  readonly #homes: number[];

  constructor(options: PlacementOptions) {
    this.#options = options;
    this.#channels = new Array<number>(options.threads).fill(0);
    this.#homes = new Array<number>(options.threads).fill(0);
  }

  /** Of a conference that is known. */
  home(conference: ConferenceId): number | undefined {
    return this.#conferences.get(conference)?.home;
  }

  /** The thread of a conference; one that is named for the first time gets one. */
  settle(conference: ConferenceId): number {
    return this.#settled(conference).home;
  }

  /** The thread of a member's next socket. */
  add(conference: ConferenceId, member: MemberId): number {
    const { home, members } = this.#settled(conference);
    let known = members.get(member);
    if (known === undefined) {
      const alone = members.size < this.#options.membersBeforeSpreading;
      known = { thread: alone ? home : leastLoaded(this.loads()), channels: 0 };
      members.set(member, known);
    }
    known.channels++;
    this.#channels[known.thread]!++;
    return known.thread;
  }

  /** One socket of a member is closed, or was not opened after all. */
  remove(conference: ConferenceId, member: MemberId): void {
    const members = this.#conferences.get(conference)?.members;
    const known = members?.get(member);
    if (members === undefined || known === undefined) return;
    this.#channels[known.thread]!--;
    if (--known.channels === 0) members.delete(member);
  }

  close(conference: ConferenceId): void {
    const placed = this.#conferences.get(conference);
    if (placed === undefined) return;
    for (const member of placed.members.values()) this.#channels[member.thread]! -= member.channels;
    this.#homes[placed.home]!--;
    this.#conferences.delete(conference);
  }

  loads(): readonly ThreadLoad[] {
    return this.#channels.map((channels, thread) => ({
      measuredPermille: this.#options.measuredPermille(thread),
      channels,
      conferences: this.#homes[thread]!,
    }));
  }

  #settled(conference: ConferenceId): Placed {
    const known = this.#conferences.get(conference);
    if (known !== undefined) return known;
    const placed = { home: leastLoaded(this.loads()), members: new Map<MemberId, Member>() };
    this.#homes[placed.home]!++;
    this.#conferences.set(conference, placed);
    return placed;
  }
}
