/** What a conference's suite asks of its channels (WIRE.md 4.3). */

import type { GroupParameterSet } from '../relay/contract.js';
import type { Suite } from '../wire/tip.js';
import type { ChannelProfile, ConferenceSettings } from './contract.js';

const AES256_GCM: ChannelProfile = 0x0008;

/** The EKT cipher that goes with a suite in our conferences. */
const CIPHERS: Readonly<Record<NonNullable<ConferenceSettings['suite']>, number>> = { 1: 1, 17: 3, 18: 4 };

export function suiteOf(settings: ConferenceSettings): Suite {
  const { suite = 1 } = settings;
  return { suite, cipher: CIPHERS[suite] };
}

/**
 * SRTP profiles for the DTLS of a channel, in order of preference. Suite 18 hands out a KEK of 32 bytes and wants a channel that
 * is as strong. Profile 1 stays on the list: a peer without the better one then learns from TIP, by its name, why it is below
 * `end-to-end`, and not from a failed handshake.
 */
export function profilesFor(suite: Suite): readonly ChannelProfile[] {
  return suite.suite === 18 ? [AES256_GCM, 0x0001] : [0x0001];
}

/** The suites to list in MUXCTRL on a channel; undefined: none, and only the default is used, as deployed peers know it. */
export function listedOn(suite: Suite, profile: number | undefined): readonly Suite[] | undefined {
  if (suite.suite === 1) return undefined;
  return suite.suite === 18 && profile !== AES256_GCM ? [] : [suite];
}

export function wipeSet(set: GroupParameterSet): void {
  set.kek.wipe();
  set.masterSalt.wipe();
}
