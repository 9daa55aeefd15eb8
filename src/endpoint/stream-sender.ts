import { concat, readU16, readU32 } from '../base/bytes.js';
import type { Secret } from '../base/secret.js';
import { EktSender } from '../srtp/ekt-sender.js';
import { FullTagCadence } from '../srtp/full-tag-cadence.js';
import type { GroupSet } from '../srtp/group-set.js';
import { composeMultiplexWord } from '../wire/csrc.js';
import { writeSdesCname, writeSr } from '../wire/rtcp-write.js';
import { writeRtpHeader } from '../wire/rtp.js';
import type { ChannelOptions, OutgoingMedia, OutgoingStream } from './channel-types.js';

/** Seconds from 1900 (NTP, RFC 3550 §4) to 1970. */
const NTP_UNIX_OFFSET_S = 2_208_988_800;

function ntpOf(now: number): bigint {
  const seconds = Math.floor(now / 1000);
  const fraction = Math.floor(((now - seconds * 1000) / 1000) * 0x1_0000_0000);
  return (BigInt(seconds + NTP_UNIX_OFFSET_S) << 32n) | BigInt(fraction);
}

/** One SSRC that the endpoint sends: header fields, Full-tag cadence, sender reports. */
export class OutgoingStreamSender {
  /** TXFLOWCTRL stopped it (S4): media is not sent until it is started again. */
  stopped = false;
  readonly #stream: OutgoingStream;
  readonly #options: ChannelOptions;
  readonly #cadence: FullTagCadence;
  readonly #timestampOffset: number;
  readonly #csrcs: readonly number[];
  #sequence: number;
  #ekt: EktSender | undefined;
  #packets = 0;
  #octets = 0;
  #last: { readonly timestamp: number; readonly at: number } | undefined;

  constructor(stream: OutgoingStream, options: ChannelOptions) {
    this.#stream = stream;
    this.#options = options;
    this.#cadence = new FullTagCadence(options.media);
    const random = options.random(6);
    // RFC 3711 §3.3.1: a first sequence number in the lower half keeps receivers from guessing a wrap that was none.
    this.#sequence = readU16(random, 0) & 0x7fff;
    this.#timestampOffset = readU32(random, 2);
    const { position, ssrc } = stream;
    const word = composeMultiplexWord({ clock: ssrc >>> 12, output: 0, source: position, sink: position });
    this.#csrcs = options.standard === true ? [] : [word];
  }

  get ssrc(): number {
    return this.#stream.ssrc;
  }

  get position(): number {
    return this.#stream.position;
  }

  /** The first key, or a new one under the same or a newer set. The sender takes `key` over. */
  useKey(set: GroupSet, key: Secret): void {
    if (this.#ekt === undefined) this.#ekt = new EktSender({ ssrc: this.ssrc, sequence: this.#sequence, set, key });
    else this.#ekt.rekey(set, key);
  }

  /** Sender keys are no longer in use: what follows goes out as it is, with sequence numbers that go on. */
  dropKey(): void {
    if (this.#ekt === undefined) return;
    this.#sequence = this.#ekt.sequence;
    this.wipe();
  }

  /** @returns the datagram, or undefined while the stream is stopped. */
  protect(
    media: OutgoingMedia,
    trailingByte: boolean,
    now: number,
  ): { readonly bytes: Uint8Array; readonly sequence: number } | undefined {
    if (this.stopped) return undefined;
    if (media.skip !== undefined && media.skip > 0) {
      this.#ekt?.skip(media.skip);
      this.#sequence = (this.#sequence + media.skip) & 0xffff;
    }
    const timestamp = (media.timestamp + this.#timestampOffset) >>> 0;
    const sequence = this.#ekt?.sequence ?? this.#sequence;
    const header = writeRtpHeader({
      marker: media.marker,
      payloadType: media.payloadType,
      sequence,
      timestamp,
      ssrc: this.ssrc,
      csrcs: this.#csrcs,
      ...(this.#options.extension === undefined ? {} : { extension: this.#options.extension }),
    });
    this.#packets++;
    this.#octets += media.payload.length;
    this.#last = { timestamp, at: now };
    if (this.#ekt === undefined) {
      this.#sequence = (this.#sequence + 1) & 0xffff;
      return { bytes: concat(header, media.payload), sequence };
    }
    const full = this.#cadence.next(this.#ekt.keyGeneration, media.firstOfFrame);
    const protection = trailingByte ? { full, trailingByte: media.trailingByte } : { full };
    return { bytes: this.#ekt.protectRtp(header, media.payload, protection), sequence };
  }

  /** SR without report blocks and SDES (WIRE.md 3), protected; undefined before the first packet. */
  report(now: number): Uint8Array | undefined {
    if (this.#last === undefined) return undefined;
    const elapsed = Math.round(((now - this.#last.at) / 1000) * this.#options.clockRateHz);
    const compound = concat(
      writeSr({
        ssrc: this.ssrc,
        ntp: ntpOf(now),
        rtpTimestamp: (this.#last.timestamp + elapsed) >>> 0,
        packets: this.#packets >>> 0,
        octets: this.#octets >>> 0,
        reports: [],
      }),
      writeSdesCname(this.ssrc, this.#options.cname),
    );
    return this.#ekt === undefined ? compound : this.#ekt.protectRtcp(compound);
  }

  wipe(): void {
    this.#ekt?.wipe();
    this.#ekt = undefined;
  }
}
