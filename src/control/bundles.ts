/** Which lines of a call share a transport (RFC 9143), as offers come and change. Pure functions. */
import type { ChannelParameters } from '../relay/contract.js';
import { type Bundle, chooseBundles, tagOf } from '../sip/bundle.js';
import type { Offer, RemoteMedia } from '../sip/offer-answer-types.js';
import type { Line } from './call-media-contract.js';
import type { UsedLine } from './call-setup.js';
import type { SwitchChannel } from './channel.js';
import type { ConferenceCodecs } from './conference-codecs.js';

export interface Bundled {
  readonly bundles: readonly Bundle[];
  /** Lines that are open already and would have to change their transport. */
  readonly misfit?: number;
}

/**
 * The bundles that an offer is answered with. A line that has its transport keeps it: one that the offer puts into a bundle
 * stays alone while it has a port of its own.
 * @param lines those that are open; @param used those that are to be opened besides
 */
export function bundle(
  offer: Offer,
  lines: readonly (Line | undefined)[],
  used: readonly (UsedLine | undefined)[],
  codecs: ConferenceCodecs,
): Bundled {
  const chosen = chooseBundles(offer, (i) => {
    const media = lines[i]?.channel.setup.media ?? used[i]?.offered.media;
    const codec = media === undefined ? undefined : codecs.choose(media, offer.media[i]!.codecs);
    return codec === undefined ? undefined : [codec.payloadType];
  });
  const carrierOf = (i: number): SwitchChannel | undefined => lines[i]?.channel.transport.leader;
  const bundles = chosen.map((group) => {
    const carrier = group.map(carrierOf).find((c) => c !== undefined);
    return group.filter((i) => carrierOf(i) === undefined || carrierOf(i) === carrier);
  });
  const misfit = lines.findIndex((line, i) => {
    if (line === undefined) return false;
    const { channel } = line;
    const mates = lines.filter((other) => other?.channel.transport.leader === channel.transport.leader);
    const group = bundles.find((b) => b.includes(i)) ?? [i];
    // Out of its bundle, or into one for want of a port.
    const left = mates.some((mate) => !group.includes(lines.indexOf(mate)));
    return left || (offer.media[i]!.bundleOnly === true && !bundles.some((b) => b.includes(i)));
  });
  return misfit < 0 ? { bundles } : { bundles, misfit };
}

/** Without those that are of use in a bundle only and are in none. */
export function withoutStrays(
  offer: Offer,
  used: readonly (UsedLine | undefined)[],
  bundles: readonly Bundle[],
): readonly (UsedLine | undefined)[] {
  return used.map((line, i) => {
    const stray = offer.media[i]?.bundleOnly === true && !bundles.some((b) => b.includes(i));
    return stray ? undefined : line;
  });
}

/** The same bundles of those lines that are in use. */
export function bundlesInUse(bundles: readonly Bundle[], lines: readonly (Line | undefined)[]): readonly Bundle[] {
  return bundles.map((b) => b.filter((i) => lines[i] !== undefined)).filter((b) => b.length > 0);
}

/** The line has a transport of its own, or its bundle's. */
export function isTagged(bundles: readonly Bundle[], index: number): boolean {
  return tagOf(bundles, index) === index;
}

/** By what a packet says that it is for this line. */
export function midOf(
  { index, mid, midId }: RemoteMedia,
  bundles: readonly Bundle[],
): { readonly mid?: NonNullable<ChannelParameters['mid']> } {
  const bundled = bundles.some((b) => b.includes(index));
  return !bundled || mid === undefined || midId === undefined ? {} : { mid: { id: midId, name: mid } };
}
