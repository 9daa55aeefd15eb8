/** How the level of each conference has changed, for the operators' page; bounded, the oldest goes. */
import { ADMIN_MAX_LEVEL_CHANGES, ADMIN_MAX_LEVEL_HISTORIES } from '../base/limits.js';
import type { Level } from '../security/levels.js';

export interface LevelChange {
  /** Unix ms. */
  readonly time: number;
  readonly level: Level;
}

export class LevelHistory {
  readonly #changes = new Map<string, LevelChange[]>();

  add(conference: string, level: Level, now: number): void {
    const changes = this.#changes.get(conference) ?? [];
    this.#changes.delete(conference); // so that the one that changed longest ago is the first
    this.#changes.set(conference, changes);
    changes.push({ time: now, level });
    if (changes.length > ADMIN_MAX_LEVEL_CHANGES) changes.shift();
    if (this.#changes.size > ADMIN_MAX_LEVEL_HISTORIES) this.#changes.delete(this.#changes.keys().next().value!);
  }

  /** Oldest first. */
  of(conference: string): readonly LevelChange[] {
    return this.#changes.get(conference) ?? [];
  }
}
