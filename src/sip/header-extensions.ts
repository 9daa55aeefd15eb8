/** RTP header extensions in SDP (`a=extmap`, RFC 8285): which of them the switch takes up. */
import { MAX_MID_BYTES } from '../base/limits.js';
import { mediaAttribute } from '../wire/sdp-attributes.js';
import type { Sdp, SdpAttribute, SdpMedia } from '../wire/sdp-types.js';
import { parseDigits } from '../wire/sip-scan.js';

/** RFC 6464 §4. */
export const AUDIO_LEVEL_URI = 'urn:ietf:params:rtp-hdrext:ssrc-audio-level';
/** RFC 9143 §15.2. */
export const MID_URI = 'urn:ietf:params:rtp-hdrext:sdes:mid';

/** The ids by which the peer sends us what we read; the name of an m-line we send too. */
export interface HeaderExtensions {
  readonly audioLevelId?: number;
  readonly midId?: number;
}

interface Extension {
  readonly id: number;
  readonly uri: string;
  readonly sent: boolean;
  readonly received: boolean;
}

/** Of an m-line; ids of the one-byte form are 1 to 14, of the two-byte form 1 to 255 (§4.2, §4.3). */
function extensionsOf(media: SdpMedia): readonly Extension[] {
  return media.attributes.flatMap(({ name, value = '' }) => {
    const [entry = '', uri] = name === 'extmap' ? value.split(' ') : [];
    const [idText = '', way = 'sendrecv'] = entry.split('/');
    const id = parseDigits(idText, 3);
    if (uri === undefined || id === undefined || id < 1 || id > 255 || id === 15) return [];
    return [{ id, uri, sent: /^send/.test(way), received: /recv/.test(way) }];
  });
}

/**
 * @param index the m-line's place
 * @param bundle the m-lines that one id must mean the same in (RFC 9143 §9.1: they are one RTP session); an id with two
 * meanings is not taken
 */
export function headerExtensions(sdp: Sdp, index: number, bundle: readonly number[] = []): HeaderExtensions {
  const media = sdp.media[index]!;
  const others = bundle.filter((i) => i !== index).flatMap((i) => extensionsOf(sdp.media[i]!));
  const idOf = (uri: string, bothWays: boolean): number | undefined =>
    extensionsOf(media).find(
      (e) =>
        e.uri === uri &&
        e.sent &&
        (e.received || !bothWays) &&
        others.every((other) => other.id !== e.id || other.uri === uri),
    )?.id;
  const level = media.media === 'audio' ? idOf(AUDIO_LEVEL_URI, false) : undefined;
  const mid = mediaAttribute(media, 'mid');
  const named = bundle.length > 0 && mid !== undefined && Buffer.byteLength(mid) <= MAX_MID_BYTES;
  const midId = named ? idOf(MID_URI, true) : undefined;
  return {
    ...(level === undefined ? {} : { audioLevelId: level }),
    ...(midId === undefined ? {} : { midId }),
  };
}

/** `a=extmap` of our answer: of levels we write none; a browser that is told of names takes no packet without (RFC 9143 §15.2). */
export function extensionAttributes({ audioLevelId, midId }: HeaderExtensions): SdpAttribute[] {
  const line = (id: number | undefined, way: string, uri: string): SdpAttribute[] =>
    id === undefined ? [] : [{ name: 'extmap', value: `${id}${way} ${uri}` }];
  return [...line(audioLevelId, '/recvonly', AUDIO_LEVEL_URI), ...line(midId, '', MID_URI)];
}
