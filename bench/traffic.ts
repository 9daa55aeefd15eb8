/** Packets as a source sends them, all of one length, and as the switch sends them on. */
import { randomBytes } from 'node:crypto';
import type { Media } from '../src/base/ids.js';
import { Secret } from '../src/base/secret.js';
import type { GroupParameterSet } from '../src/relay/contract.js';
import { RelayCore } from '../src/relay/harness.js';
import { EktSender } from '../src/srtp/ekt-sender.js';
import { FullTagCadence } from '../src/srtp/full-tag-cadence.js';
import { MIN_FULL_TAG_BYTES, SHORT_TAG_BYTES } from '../src/wire/ekt-tag.js';
import { writeRtpHeader } from '../src/wire/rtp.js';
import { FIRST_RECEIVER, furnish, routeAtOnce, SOURCE, SOURCE_PAYLOAD_TYPE, SOURCE_POSITION } from './room.js';

const SSRC = 0xa1b2c3d4;
const FIRST_SEQUENCE = 1_000;
const CLOCK_RATE = { audio: 48_000, video: 90_000 } as const;
const UNITS_PER_SECOND = { audio: 50, video: 30 } as const;
const TRAILING_BYTES = 1;
const ENERGY = 50;
const NO_REFRESH = 0;
const SOMEWHERE = { address: '192.0.2.1', port: 4_000 };

/** What the source of a media kind sends: UDP payload bytes, everything included, and packets back to back. */
export const SHAPES: Readonly<Record<Media, { readonly bytes: number; readonly burst: number }>> = {
  audio: { bytes: 172, burst: 1 },
  video: { bytes: 1_200, burst: 10 },
};

/** What the switch sends of a packet of `bytes`: the trailing byte is taken off. */
export function switchedBytes(bytes: number): number {
  return bytes - TRAILING_BYTES;
}

/** One stream under one sender key. Sequence numbers run on from call to call, so that no packet is a replay. */
export class TrafficSource {
  readonly senderKey: Secret = new Secret(randomBytes(16));
  readonly #media: Media;
  readonly #bytes: number;
  readonly #sender: EktSender;
  readonly #cadence: FullTagCadence;
  #unit = 0;

  /** @param bytes of every packet, whatever the form of its tag */
  constructor(media: Media, bytes: number, set: GroupParameterSet) {
    this.#media = media;
    this.#bytes = bytes;
    this.#sender = new EktSender({ ssrc: SSRC, sequence: FIRST_SEQUENCE, set, key: this.senderKey });
    this.#cadence = new FullTagCadence(media);
  }

  /** `count` packets one after the other, with Full tags where WIRE.md 5 wants them; a video frame is a burst. */
  packets(count: number): Uint8Array {
    const { burst } = SHAPES[this.#media];
    return this.#fill(count, (i) => {
      const place = i % burst;
      if (place === 0) this.#unit++;
      return { full: this.#cadence.next(this.#sender.keyGeneration, place === 0), marker: place === burst - 1 };
    });
  }

  /** As above, each with the tag named. */
  tagged(count: number, form: 'full' | 'short'): Uint8Array {
    return this.#fill(count, () => ({ full: form === 'full', marker: false }));
  }

  wipe(): void {
    this.#sender.wipe();
    this.senderKey.wipe();
  }

  #fill(count: number, next: (i: number) => { full: boolean; marker: boolean }): Uint8Array {
    const out = new Uint8Array(count * this.#bytes);
    for (let i = 0; i < count; i++) out.set(this.#packet(next(i)), i * this.#bytes);
    return out;
  }

  #packet(o: { readonly full: boolean; readonly marker: boolean }): Uint8Array {
    const header = writeRtpHeader({
      marker: o.marker,
      payloadType: SOURCE_PAYLOAD_TYPE,
      sequence: 0,
      timestamp: (this.#unit * CLOCK_RATE[this.#media]) / UNITS_PER_SECOND[this.#media],
      ssrc: SSRC,
      csrcs: [(SOURCE_POSITION << 4) | SOURCE_POSITION],
    });
    const around = header.length + TRAILING_BYTES + (o.full ? MIN_FULL_TAG_BYTES : SHORT_TAG_BYTES);
    const payload = new Uint8Array(this.#bytes - around).fill(0x5a);
    const trailingByte = this.#media === 'audio' ? ENERGY : NO_REFRESH;
    const packet = this.#sender.protectRtp(header, payload, { full: o.full, trailingByte });
    if (packet.length !== this.#bytes) throw new Error(`a packet of ${packet.length} bytes, not ${this.#bytes}`);
    return packet;
  }
}

/** Makes of a source's packets what every receiver of the room gets, by means of the switching core itself. */
export class Switcher {
  readonly #core = new RelayCore();
  readonly #bytes: number;

  /** @param bytes of every packet */
  constructor(media: Media, bytes: number, set: GroupParameterSet) {
    this.#bytes = bytes;
    furnish(this.#core, media, set, { source: SOMEWHERE, receivers: [SOMEWHERE] });
    routeAtOnce(this.#core, media, 1);
    this.#core.take();
  }

  /** Throws when the core forwards one of them to nobody, or in another length than {@link switchedBytes}. */
  switch(packets: Uint8Array): Uint8Array {
    const size = switchedBytes(this.#bytes);
    const count = packets.length / this.#bytes;
    const out = new Uint8Array(count * size);
    for (let i = 0; i < count; i++) {
      const { drop, outputs } = this.#core.feed(SOURCE, packets.subarray(i * this.#bytes, (i + 1) * this.#bytes), 0);
      const sent = outputs[0];
      if (sent?.receiver !== FIRST_RECEIVER || sent.bytes.length !== size || outputs.length !== 1) {
        throw new Error(`the switching core did not forward packet ${i}: ${drop ?? 'no such output'}`);
      }
      out.set(sent.bytes, i * size);
    }
    return out;
  }

  close(): void {
    this.#core.close();
  }
}
