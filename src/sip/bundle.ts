/** Several m-lines over one transport: `a=group:BUNDLE` (RFC 9143) in offers and answers. Pure functions. */
import { MAX_BUNDLED_CHANNELS } from '../base/limits.js';
import { mediaAttribute } from '../wire/sdp-attributes.js';
import type { Sdp, SdpAttribute, SdpMedia } from '../wire/sdp-types.js';
import { isToken } from '../wire/sip-scan.js';
import type { Offer } from './offer-answer-types.js';

/** m-lines of one BUNDLE group by their places; the first has the transport ("tagged"). */
export type Bundle = readonly number[];

/** Attributes of the transport (RFC 8859 §5.37, categories TRANSPORT and IDENTICAL): the tagged m-line's count for all. */
const TRANSPORT: ReadonlySet<string> = new Set([
  ...['fingerprint', 'setup', 'tls-id', 'rtcp-mux', 'rtcp', 'ice-ufrag', 'ice-pwd', 'ice-options', 'ice-lite'],
  ...['candidate', 'end-of-candidates'],
]);

/** The BUNDLE groups of a description in their own order; names of no m-line or of two, and those already in a group, are left out. */
export function bundlesOf(sdp: Sdp): readonly Bundle[] {
  const places = new Map<string, number>();
  for (const [i, media] of sdp.media.entries()) {
    const mid = mediaAttribute(media, 'mid');
    if (mid !== undefined && isToken(mid)) places.set(mid, places.has(mid) ? -1 : i);
  }
  const taken = new Set<number>();
  return sdp.attributes.flatMap(({ name, value = '' }) => {
    const [semantics, ...mids] = value.split(' ');
    if (name !== 'group' || semantics !== 'BUNDLE') return [];
    const lines = mids.map((mid) => places.get(mid) ?? -1).filter((i) => i >= 0 && !taken.has(i) && taken.add(i));
    return lines.length === 0 ? [] : [lines.slice(0, MAX_BUNDLED_CHANNELS)];
  });
}

/** The m-line whose transport this one uses: itself, unless it is in a bundle. */
export function tagOf(bundles: readonly Bundle[], index: number): number {
  return bundles.find((bundle) => bundle.includes(index))?.[0] ?? index;
}

/** The m-line is of use in a bundle only, and has no port of its own (RFC 9143 §6). */
export function isBundleOnly(media: SdpMedia): boolean {
  return media.port === 0 && mediaAttribute(media, 'bundle-only') !== undefined;
}

/**
 * The description with what its bundled m-lines do not say themselves: a `bundle-only` one, or one with the address of the
 * tagged m-line, has that one's transport (RFC 9143 §7.1.3). A group without any port stays without.
 */
export function spelledOut(sdp: Sdp): Sdp {
  const tagOf = new Map<number, SdpMedia>();
  for (const bundle of bundlesOf(sdp)) {
    const tag = bundle.map((i) => sdp.media[i]!).find((media) => media.port !== 0);
    for (const i of bundle) if (tag !== undefined && sdp.media[i] !== tag) tagOf.set(i, tag);
  }
  if (tagOf.size === 0) return sdp;
  return { ...sdp, media: sdp.media.map((media, i) => (tagOf.has(i) ? withTransport(media, tagOf.get(i)!) : media)) };
}

function withTransport(media: SdpMedia, tag: SdpMedia): SdpMedia {
  if (!isBundleOnly(media) && media.port !== tag.port) return media;
  const { connection, ...rest } = media;
  const same = tag.connection ?? connection;
  const said = new Set(media.attributes.map(({ name }) => name));
  const missing = tag.attributes.filter(({ name }: SdpAttribute) => TRANSPORT.has(name) && !said.has(name));
  return {
    ...rest,
    port: tag.port,
    ...(same === undefined ? {} : { connection: same }),
    attributes: [...media.attributes, ...missing],
  };
}

/**
 * Which accepted m-lines of an offer share a transport (RFC 9143 §7.3): DTLS only, and while the payload types that they are
 * answered with tell them apart (§9.1); what does not fit stays on its own, and a `bundle-only` line is then to be refused.
 * @param answered payload types by m-line; undefined: the line is not accepted
 */
export function chooseBundles(
  offer: Offer,
  answered: (index: number) => readonly number[] | undefined,
): readonly Bundle[] {
  return offer.bundles.flatMap((group) => {
    const usable = group.filter((i) => offer.media[i]!.security === 'dtls' && answered(i) !== undefined);
    // §7.3.1: the first that has a port of its own.
    const tag = usable.find((i) => !offer.media[i]!.bundleOnly);
    if (tag === undefined) return [];
    const payloadTypes = new Set(answered(tag));
    const others = usable.filter((i) => {
      const mine = i === tag ? [] : answered(i)!;
      if (i === tag || mine.some((payloadType) => payloadTypes.has(payloadType))) return false;
      for (const payloadType of mine) payloadTypes.add(payloadType);
      return true;
    });
    return [[tag, ...others]];
  });
}

/** `a=group:BUNDLE` of a description whose lines have these names. */
export function groupAttributes(
  bundles: readonly Bundle[],
  mid: (index: number) => string | undefined,
): SdpAttribute[] {
  return bundles.flatMap((bundle) => {
    const mids = bundle.map(mid).filter((name) => name !== undefined);
    return mids.length === 0 ? [] : [{ name: 'group', value: `BUNDLE ${mids.join(' ')}` }];
  });
}

/** The first line that the answer takes without its bundle though it has no transport of its own in our offer. */
export function partedLine(
  offered: Sdp,
  answered: readonly Bundle[],
  accepted: (index: number) => boolean,
): number | undefined {
  for (const group of bundlesOf(offered)) {
    const shared = group.filter((i) => accepted(i) && !hasOwnPort(offered, group, i));
    const tag = group.find(accepted);
    const bundle = answered.find((b) => tag !== undefined && b.includes(tag));
    const apart = shared.find((i) => i !== tag && bundle?.includes(i) !== true);
    if (apart !== undefined) return apart;
  }
  return undefined;
}

function hasOwnPort({ media }: Sdp, group: Bundle, index: number): boolean {
  const { port } = media[index]!;
  return !isBundleOnly(media[index]!) && group.every((i) => i === index || media[i]!.port !== port);
}
