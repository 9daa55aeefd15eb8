/**
 * The codecs that the switch can carry: what an `a=fmtp` must say, what makes two descriptions the same codec, and what an
 * answer repeats. The switch never decodes, so a description that another member could not decode is another codec.
 */
import { fmtpParameter } from '../wire/sdp-attributes.js';
import type { SdpCodec } from '../wire/sdp-types.js';

/** `AAC-LD` is `mpeg4-generic` (RFC 3640) with an AudioSpecificConfig of object type 23. */
export const AUDIO_CODECS = ['opus', 'AAC-LD', 'G722', 'PCMU', 'PCMA'] as const;
export const VIDEO_CODECS = ['H264', 'H265', 'VP8', 'VP9', 'AV1'] as const;
export type AudioCodecName = (typeof AUDIO_CODECS)[number];
export type VideoCodecName = (typeof VIDEO_CODECS)[number];
export type CodecName = AudioCodecName | VideoCodecName;

/** Which codecs a conference may be held in, the best first. */
export interface CodecPreference {
  readonly audio: readonly AudioCodecName[];
  readonly video: readonly VideoCodecName[];
}
export const ALL_CODECS: CodecPreference = { audio: AUDIO_CODECS, video: VIDEO_CODECS };

interface CodecRules {
  readonly encoding: string;
  readonly clockRateHz: number;
  readonly channels: readonly number[];
  /** What tells this description from another of the same codec; undefined: the switch cannot carry it. */
  readonly variant: (fmtp: string) => string | undefined;
  /** Parameters that an answer repeats, in this order; the others are the offerer's own business. */
  readonly repeated: readonly string[];
  /** `a=fmtp` of our own offer. */
  readonly offered: string;
}

const ANY = (): string => '';
const FREE = { variant: ANY, repeated: [], offered: '' } as const;
const TELEPHONY = { clockRateHz: 8_000, channels: [1], ...FREE } as const;

const RULES: Readonly<Record<CodecName, CodecRules>> = {
  opus: { encoding: 'opus', clockRateHz: 48_000, channels: [2], ...FREE }, // RFC 7587 §4.1; its parameters are declarations
  'AAC-LD': {
    encoding: 'mpeg4-generic',
    clockRateHz: 48_000,
    channels: [1, 2],
    variant: aacLdVariant,
    // RFC 3640 §3.3: the receiver must know all of them, and both directions have the same.
    repeated: [
      'profile-level-id',
      'streamtype',
      'mode',
      'config',
      'sizelength',
      'indexlength',
      'indexdeltalength',
      'constantduration',
    ],
    offered:
      'profile-level-id=16;streamtype=5;mode=AAC-hbr;config=B98C00;sizeLength=13;indexLength=3;indexDeltaLength=3;constantDuration=480',
  },
  G722: { encoding: 'G722', ...TELEPHONY }, // RFC 3551 §4.5.2: 8000 on the wire, though it samples 16000
  PCMU: { encoding: 'PCMU', ...TELEPHONY },
  PCMA: { encoding: 'PCMA', ...TELEPHONY },
  H264: {
    encoding: 'H264',
    clockRateHz: 90_000,
    channels: [1],
    variant: h264Variant,
    repeated: ['packetization-mode', 'profile-level-id', 'level-asymmetry-allowed'],
    offered: 'packetization-mode=1;profile-level-id=42e01f;level-asymmetry-allowed=1',
  },
  H265: {
    encoding: 'H265',
    clockRateHz: 90_000,
    channels: [1],
    // RFC 7798 §7.2.2: profile and tier are symmetric, the level may differ; one RTP stream each (SRST) is all we carry.
    variant: (fmtp) => {
      if ((fmtpParameter(fmtp, 'tx-mode') ?? 'SRST') !== 'SRST') return undefined;
      return `profile ${fmtpParameter(fmtp, 'profile-id') ?? '1'} tier ${fmtpParameter(fmtp, 'tier-flag') ?? '0'}`;
    },
    repeated: ['profile-space', 'profile-id', 'tier-flag', 'level-id', 'interop-constraints', 'tx-mode'],
    offered: 'profile-id=1;tier-flag=0;level-id=93;tx-mode=SRST',
  },
  VP8: { encoding: 'VP8', clockRateHz: 90_000, channels: [1], ...FREE }, // RFC 7741 §6.2.2: declarations only
  VP9: {
    encoding: 'VP9',
    clockRateHz: 90_000,
    channels: [1],
    variant: (fmtp) => `profile ${fmtpParameter(fmtp, 'profile-id') ?? '0'}`, // RFC 9628 §7.2: symmetric
    repeated: ['profile-id'],
    offered: 'profile-id=0',
  },
  AV1: {
    encoding: 'AV1',
    clockRateHz: 90_000,
    channels: [1],
    variant: (fmtp) => `profile ${fmtpParameter(fmtp, 'profile') ?? '0'}`, // AV1 RTP payload format §7.2.3: symmetric
    repeated: ['profile', 'level-idx', 'tier'],
    offered: 'profile=0;level-idx=5;tier=0',
  },
};

/** RFC 3640 §3.3.6 (AAC-hbr) of MPEG-4 object type 23: the first five bits of `config` (ISO/IEC 14496-3 §1.6.2.1). */
function aacLdVariant(fmtp: string): string | undefined {
  const config = fmtpParameter(fmtp, 'config') ?? '';
  if (fmtpParameter(fmtp, 'mode')?.toLowerCase() !== 'aac-hbr' || !/^[0-9a-fA-F]{4,64}$/.test(config)) return undefined;
  if (Number.parseInt(config.slice(0, 2), 16) >> 3 !== 23) return undefined;
  return `config ${config.toLowerCase()} duration ${fmtpParameter(fmtp, 'constantduration') ?? ''}`;
}

/** The three profiles that are in use; what else there is stands for itself. */
const H264_PROFILES: Readonly<Record<string, string>> = { '42': 'baseline', '4d': 'main', '64': 'high' };

/**
 * RFC 6184 §8.2.2: profile and packetization-mode are symmetric. The constraint flags are not compared: endpoints write the
 * same stream as 42e0, 4280 and 4200. Without profile-level-id it is baseline (§8.1).
 */
function h264Variant(fmtp: string): string | undefined {
  const profile = fmtpParameter(fmtp, 'profile-level-id')?.toLowerCase() ?? '42000a';
  if (fmtpParameter(fmtp, 'packetization-mode') !== '1' || !/^[0-9a-f]{6}$/.test(profile)) return undefined;
  const idc = profile.slice(0, 2);
  return H264_PROFILES[idc] ?? idc;
}

/** What a payload type is to the switch. `key`: equal for two descriptions of the same codec. */
export interface CarriedCodec {
  readonly name: CodecName;
  readonly key: string;
}

/** @returns undefined when the switch cannot carry it on an m-line of this kind. */
export function carriedCodec(media: string, codec: SdpCodec): CarriedCodec | undefined {
  const names: readonly CodecName[] = media === 'audio' ? AUDIO_CODECS : media === 'video' ? VIDEO_CODECS : [];
  const encoding = codec.name.toLowerCase();
  for (const name of names) {
    const rules = RULES[name];
    if (rules.encoding.toLowerCase() !== encoding || rules.clockRateHz !== codec.clockRateHz) continue;
    const variant = rules.channels.includes(codec.channels) ? rules.variant(codec.fmtp) : undefined;
    return variant === undefined ? undefined : { name, key: `${name}/${codec.channels} ${variant}`.trim() };
  }
  return undefined;
}

/**
 * The codec that an offer is answered with: the conference's, where it has one, else the most preferred of those offered,
 * in the offer's order where it offers one in several variants. @returns undefined when there is none in common.
 */
export function chooseCodec(
  media: 'audio' | 'video',
  offered: readonly SdpCodec[],
  preference: CodecPreference,
  fixed?: string,
): (CarriedCodec & { readonly codec: SdpCodec }) | undefined {
  const known = offered.flatMap((codec) => {
    const carried = carriedCodec(media, codec);
    return carried === undefined ? [] : [{ ...carried, codec }];
  });
  if (fixed !== undefined) return known.find((k) => k.key === fixed);
  for (const name of preference[media]) {
    const found = known.find((k) => k.name === name);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** `a=fmtp` of an answer to this description. */
export function answeredFmtp(media: string, codec: SdpCodec): string {
  const carried = carriedCodec(media, codec);
  if (carried === undefined) return '';
  const { repeated } = RULES[carried.name];
  const parameters = codec.fmtp.split(';').map((piece) => piece.trim());
  return repeated
    .flatMap((name) => parameters.find((p) => p.toLowerCase().startsWith(`${name}=`)) ?? [])
    .filter((p) => p !== 'level-asymmetry-allowed=0')
    .join(';');
}

/** One codec of our own offer. */
export function offeredCodec(name: CodecName, payloadType: number, feedback: readonly string[]): SdpCodec {
  const { encoding, clockRateHz, channels, offered } = RULES[name];
  return { payloadType, name: encoding, clockRateHz, channels: channels[0]!, fmtp: offered, feedback };
}

/** Payload type of a codec in our offers: static where RFC 3551 §6 gives one, else dynamic and always the same. */
export function ownPayloadType(name: CodecName): number {
  const dynamic: readonly CodecName[] = ['opus', 'AAC-LD', 'H264', 'H265', 'VP8', 'VP9', 'AV1'];
  const fixed: Partial<Record<CodecName, number>> = { PCMU: 0, PCMA: 8, G722: 9 };
  return fixed[name] ?? 96 + dynamic.indexOf(name);
}
