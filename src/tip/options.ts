/** Names of the MEDIAOPTS bits (WIRE.md 4), what is in force between two sides, and whether that carries `end-to-end`. */
import type { Media } from '../base/ids.js';
import type { MediaOptionsBlock, Suite, TipVersion } from '../wire/tip.js';

/** The same bit has another name on the other media: `activityMetric` exists on audio, `refreshFlag` on video, and so on. */
const BITS = {
  audio: { ekt: 0x02000000, activityMetric: 1, dynamicOutput: 2 },
  video: {
    ekt: 0x02000000,
    refreshFlag: 1,
    inbandParameterSets: 2,
    cabac: 4,
    ltrp: 8,
    gdr: 0x100,
    hp8x8: 0x400,
    p720: 0x1000,
    p1080: 0x2000,
  },
} as const;

export type TipOption = keyof (typeof BITS)['audio'] | keyof (typeof BITS)['video'];

/** What one side offers; or, of two sides, what is in force: `transmit` from this side to the peer, `receive` from it. */
export interface Directions<T> {
  readonly transmit: T;
  readonly receive: T;
}
export type OptionNames = Directions<readonly TipOption[]>;
export type OptionBits = Directions<number>;
/** An option that does not exist on the media is false. */
export type InForce = Directions<Readonly<Record<TipOption, boolean>>>;

function bitOf(media: Media, option: TipOption): number | undefined {
  return (BITS[media] as Partial<Record<TipOption, number>>)[option];
}

/** The bits of MEDIAOPTS for `names`. An option of the other media is our own bug and throws. */
export function bitsOf(media: Media, names: readonly TipOption[]): number {
  let bits = 0;
  for (const name of names) {
    const bit = bitOf(media, name);
    if (bit === undefined) throw new Error(`no option ${name} on ${media}`);
    bits |= bit;
  }
  return bits >>> 0;
}

/**
 * What a peer's MEDIAOPTS offers for the whole channel: only what every block of it offers, because a channel has one
 * setting here and an option that holds for some of its streams cannot be relied on. No block offers nothing.
 */
export function offerOf(blocks: readonly MediaOptionsBlock[]): OptionBits {
  if (blocks.length === 0) return { transmit: 0, receive: 0 };
  return blocks.reduce<OptionBits>(
    (all, block) => ({ transmit: (all.transmit & block.transmit) >>> 0, receive: (all.receive & block.receive) >>> 0 }),
    { transmit: 0xffffffff, receive: 0xffffffff },
  );
}

/** An option is in force in a direction where one side set TX and the other RX (WIRE.md 4). */
export function inForceOf(media: Media, own: OptionBits, peer: OptionBits): InForce {
  return {
    transmit: flags(media, own.transmit & peer.receive),
    receive: flags(media, own.receive & peer.transmit),
  };
}

function flags(media: Media, bits: number): Readonly<Record<TipOption, boolean>> {
  const has = (option: TipOption) => (bits & (bitOf(media, option) ?? 0)) !== 0;
  return {
    ekt: has('ekt'),
    activityMetric: has('activityMetric'),
    dynamicOutput: has('dynamicOutput'),
    refreshFlag: has('refreshFlag'),
    inbandParameterSets: has('inbandParameterSets'),
    cabac: has('cabac'),
    ltrp: has('ltrp'),
    gdr: has('gdr'),
    hp8x8: has('hp8x8'),
    p720: has('p720'),
    p1080: has('p1080'),
  };
}

/** What the switch offers (WIRE.md 4.1): EKT both ways where the channel is secure, and the trailing byte towards it. */
export function switchOptions(media: Media, secure: boolean): OptionNames {
  const ekt: readonly TipOption[] = secure ? ['ekt'] : [];
  return { transmit: ekt, receive: [...ekt, media === 'audio' ? 'activityMetric' : 'refreshFlag'] };
}

/** The counterpart of {@link switchOptions}: an endpoint that sends the trailing byte. */
export function endpointOptions(media: Media, secure: boolean): OptionNames {
  const { transmit, receive } = switchOptions(media, secure);
  return { transmit: receive, receive: transmit };
}

/** The only suite that every EKT peer has: AES128_CM_HMAC_SHA1_80 with AES-128 ECB (WIRE.md 4.2). */
export const DEFAULT_SUITE: Suite = { suite: 1, cipher: 1 };

export function listsSuite(list: readonly Suite[], wanted: Suite): boolean {
  return list.some((s) => s.suite === wanted.suite && s.cipher === wanted.cipher);
}

export type IncapableReason = 'version' | 'secure-bit' | 'no-ekt' | 'ekt-one-direction' | 'no-suite';

export type Capability = { readonly capable: true } | { readonly capable: false; readonly reason: IncapableReason };

type PeerBits = { readonly version: TipVersion; readonly secure: boolean };

/** Whether group parameter sets may cross a negotiated channel at all: {@link endToEndCapable} without the suite. */
export function ektCapable(peer: PeerBits, inForce: InForce): Capability {
  if (peer.version < 7) return { capable: false, reason: 'version' };
  if (!peer.secure) return { capable: false, reason: 'secure-bit' };
  const directions = Number(inForce.transmit.ekt) + Number(inForce.receive.ekt);
  if (directions < 2) return { capable: false, reason: directions === 0 ? 'no-ekt' : 'ekt-one-direction' };
  return { capable: true };
}

/**
 * Whether a negotiated channel can carry `end-to-end` under `suite` (WIRE.md 4.1 and 4.3). It says what can be, not the
 * channel's level: that also needs an ACKed SPIMAP.
 */
export function endToEndCapable(
  peer: PeerBits & { readonly suites: readonly Suite[] },
  inForce: InForce,
  suite: Suite = DEFAULT_SUITE,
): Capability {
  const verdict = ektCapable(peer, inForce);
  if (verdict.capable && !listsSuite(peer.suites, suite)) return { capable: false, reason: 'no-suite' };
  return verdict;
}
