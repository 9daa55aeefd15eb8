/** Small parts of a channel of the endpoint. */
import type { GroupSet } from '../srtp/group-set.js';
import type { Suite } from '../wire/tip.js';

const SUITES: readonly Suite[] = [
  { suite: 1, cipher: 1 },
  { suite: 17, cipher: 3 },
];

export function wipeSet(set: GroupSet): void {
  set.kek.wipe();
  set.masterSalt.wipe();
}

/** What we can do; a KEK of 32 bytes is taken over a channel of AES-256-GCM only (WIRE.md 4.3). */
export function suitesOver(profile: number | undefined): readonly Suite[] {
  return profile === 0x0008 ? [...SUITES, { suite: 18, cipher: 4 }] : SUITES;
}

export function popCount(mask: number): number {
  let count = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) count++;
  return count;
}
