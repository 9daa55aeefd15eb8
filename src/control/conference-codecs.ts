/**
 * The codecs of one conference. The switch does not transcode, so each media kind has one: the best of the preference that the
 * first member with such a line offers. It stays as long as somebody has a line of that kind.
 */
import type { ChannelId, Media } from '../base/ids.js';
import { MIN_LIMIT_BITS_PER_SECOND } from '../base/limits.js';
import type { ChannelParameters, VideoCodecName } from '../relay/contract.js';
import {
  answeredFmtp,
  type CodecPreference,
  carriedCodec,
  chooseCodec,
  offeredCodec,
  ownPayloadType,
} from '../sip/codecs.js';
import type { SdpCodec } from '../wire/sdp-types.js';

/** A limit that is lower by less than this share is not worth a re-INVITE. */
const WORTH_TELLING = 0.9;

const VIDEO_NAMES: ReadonlyMap<string, VideoCodecName> = new Map([
  ['h264', 'h264'],
  ['h265', 'h265'],
  ['vp8', 'vp8'],
  ['vp9', 'vp9'],
  ['av1', 'av1'],
]);

export class ConferenceCodecs {
  readonly #preference: CodecPreference;
  readonly #fixed = new Map<Media, { readonly key: string; readonly codec: SdpCodec }>();
  readonly #limits = new Map<ChannelId, { readonly media: Media; readonly bitsPerSecond: number }>();
  /** What our last SDP said of each channel; infinity: nothing. */
  readonly #told = new Map<ChannelId, { readonly media: Media; readonly bitsPerSecond: number }>();
  readonly #onStale: (channels: ReadonlySet<ChannelId>) => void;
  /** The relay knows codecs by number (u8). */
  readonly #numbers = new Map<string, number>();

  /** @param onStale members of these channels were told to send at most what is not right any more */
  constructor(preference: CodecPreference, onStale: (channels: ReadonlySet<ChannelId>) => void = () => undefined) {
    this.#preference = preference;
    this.#onStale = onStale;
  }

  /** What an offered line is answered with; undefined: it has no codec in common with the conference. */
  choose(media: Media, offered: readonly SdpCodec[]): SdpCodec | undefined {
    return chooseCodec(media, offered, this.#preference, this.#fixed.get(media)?.key)?.codec;
  }

  /** Whether it could have one if nobody had a line of this kind. */
  mayBe(media: Media, offered: readonly SdpCodec[]): boolean {
    return chooseCodec(media, offered, this.#preference, undefined) !== undefined;
  }

  /** A line with this codec is in use; the first one decides. */
  use(media: Media, codec: SdpCodec): void {
    const carried = carriedCodec(media, codec);
    if (carried !== undefined && !this.#fixed.has(media)) this.#fixed.set(media, { key: carried.key, codec });
  }

  isChosen(media: Media, codec: SdpCodec): boolean {
    return carriedCodec(media, codec)?.key === this.#fixed.get(media)?.key;
  }

  /** What a member wants to receive at most on a channel, bit/s; undefined: it does not say. */
  limit(media: Media, channel: ChannelId, bitsPerSecond: number | undefined): void {
    if (bitsPerSecond === undefined) this.#limits.delete(channel);
    // Nobody makes a conference useless for the others by asking for next to nothing.
    else this.#limits.set(channel, { media, bitsPerSecond: Math.max(bitsPerSecond, MIN_LIMIT_BITS_PER_SECOND[media]) });
    this.#findStale(media, false);
  }

  /** The channel is closed. */
  forget(media: Media, channel: ChannelId): void {
    const limited = this.#limits.delete(channel);
    this.#told.delete(channel);
    if (limited) this.#findStale(media, true);
  }

  /** What we are about to tell a member to send at most: every other one is sent it as it is. Undefined: nobody has a limit. */
  sayLimit(media: Media, channel: ChannelId): number | undefined {
    const limit = this.#limitFor(media, channel);
    this.#told.set(channel, { media, bitsPerSecond: limit });
    return Number.isFinite(limit) ? limit : undefined;
  }

  #limitFor(media: Media, channel: ChannelId): number {
    const others = [...this.#limits].filter(([id, limit]) => id !== channel && limit.media === media);
    return Math.min(...others.map(([, limit]) => limit.bitsPerSecond));
  }

  /**
   * Who is in already hears of it where a receiver can take a tenth less than it was told, or, when one has gone, where those
   * who are left can take more: a member that asks for less and less cannot keep all others answering.
   */
  #findStale(media: Media, raise: boolean): void {
    const stale = [...this.#told].filter(([channel, told]) => {
      const now = this.#limitFor(media, channel);
      const lower = now <= told.bitsPerSecond * WORTH_TELLING && now < told.bitsPerSecond;
      return told.media === media && (lower || (raise && now > told.bitsPerSecond));
    });
    if (stale.length > 0) this.#onStale(new Set(stale.map(([channel]) => channel)));
  }

  /** Nobody has a line of this kind any more. */
  release(media: Media): void {
    this.#fixed.delete(media);
  }

  /** What we offer on a line: the conference's codec, or all that it may become. */
  offered(media: Media, feedback: readonly string[]): readonly SdpCodec[] {
    const fixed = this.#fixed.get(media);
    if (fixed === undefined) {
      return this.#preference[media].map((name) => offeredCodec(name, ownPayloadType(name), feedback));
    }
    const { name } = carriedCodec(media, fixed.codec)!;
    const fmtp = answeredFmtp(media, fixed.codec);
    return [{ ...fixed.codec, payloadType: ownPayloadType(name), fmtp, feedback }];
  }

  /**
   * @param readable the relay may look for key frames
   * @param lists payload types that mean the conference's codec on a channel; the first one is what the peer is sent
   */
  payloadTypes(
    media: Media,
    readable: boolean,
    ...lists: readonly (readonly SdpCodec[])[]
  ): ChannelParameters['payloadTypes'] {
    const out = new Map<number, ChannelParameters['payloadTypes'][number]>();
    for (const codec of lists.flat()) {
      const { payloadType, clockRateHz } = codec;
      const number = this.#number(carriedCodec(media, codec)?.key);
      if (number === undefined || out.has(payloadType)) continue;
      const video = VIDEO_NAMES.get(codec.name.toLowerCase());
      out.set(payloadType, {
        ...{ payloadType, codec: number, clockRateHz },
        ...(video === undefined || !readable ? {} : { video }),
      });
    }
    return [...out.values()];
  }

  #number(key: string | undefined): number | undefined {
    if (key === undefined) return undefined;
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    if (this.#numbers.size > 255) return undefined;
    this.#numbers.set(key, this.#numbers.size);
    return this.#numbers.size - 1;
  }
}
