import { toHex } from '../base/bytes.js';
import { PREVIOUS_KEY_LIFETIME_MS } from '../base/limits.js';
import { packetIndex, rocOf } from './index-estimate.js';
import { ReplayWindow } from './replay-window.js';
import type { SenderKeys } from './sender-keys.js';

interface KeySlot {
  readonly keys: SenderKeys;
  /** SRTP index from which the key is in force, as far as it is known. */
  readonly start: number;
}

/**
 * What is known of one SSRC (WIRE.md 9 steps 4, 5 and 8): three key slots, the rollover counter and the two replay windows.
 * The methods named `adopt...` and `accept...` are called with what a verified packet said, and with nothing else.
 */
export class EktStream {
  readonly ssrc: number;
  readonly rtp = new ReplayWindow();
  readonly rtcp = new ReplayWindow();
  /** ROC that media RTCP told; without meaning once an SRTP packet was accepted. */
  #rocHint: number | undefined;
  /** The set under which ROC, highest index and window were learnt. */
  #spiWord = -1;
  /** The same for the SRTCP index. */
  #rtcpSpiWord = -1;
  #current: KeySlot | undefined;
  #next: KeySlot | undefined;
  #previous: { readonly keys: SenderKeys; readonly until: number } | undefined;

  constructor(ssrc: number) {
    this.ssrc = ssrc;
  }

  get spiWord(): number {
    return this.#spiWord;
  }

  get rtcpSpiWord(): number {
    return this.#rtcpSpiWord;
  }

  get rocHint(): number | undefined {
    return this.rtp.empty ? this.#rocHint : undefined;
  }

  /** The current ROC, where it is known. */
  get roc(): number | undefined {
    return this.rtp.empty ? this.#rocHint : rocOf(this.rtp.highest);
  }

  get keyless(): boolean {
    return this.#current === undefined && this.#next === undefined;
  }

  /** The key that protects an SRTP packet with a Short tag and this index. */
  keysAt(index: number): SenderKeys | undefined {
    if (this.#next !== undefined && index >= this.#next.start) return this.#next.keys;
    if (this.#previous !== undefined && this.#isBeforeCurrent(index)) return this.#previous.keys;
    return this.#current?.keys;
  }

  /** The keys that a media RTCP packet with a Short tag may be under, likeliest first. */
  *rtcpKeys(): Generator<SenderKeys> {
    for (const slot of [this.#current, this.#next, this.#previous]) if (slot !== undefined) yield slot.keys;
  }

  /** A slot's keys by the pair that a Full tag shows. The replaced key counts for indices below its end only. */
  find(spiWord: number, wrapped: Uint8Array, index: number | undefined): SenderKeys | undefined {
    if (this.#current?.keys.is(spiWord, wrapped)) return this.#current.keys;
    if (this.#next?.keys.is(spiWord, wrapped)) return this.#next.keys;
    if (!this.#previous?.keys.is(spiWord, wrapped)) return undefined;
    return index === undefined || this.#isBeforeCurrent(index) ? this.#previous.keys : undefined;
  }

  /** An SRTP packet was verified under `keys`, which its tag or its index named. @param start where a key that is new came into force */
  acceptRtp(keys: SenderKeys, index: number, start: number, now: number): void {
    if (keys === this.#next?.keys) this.#promote(this.#next, index, now);
    else if (keys !== this.#current?.keys && keys !== this.#previous?.keys) this.#adoptFromRtp(keys, index, start, now);
    this.rtp.accept(index);
    this.#spiWord = Math.max(this.#spiWord, keys.spiWord);
  }

  /** A media RTCP packet with a Full tag was verified under `keys`. */
  acceptRtcp(keys: SenderKeys, rtcpIndex: number, tag: { roc: number; isn: number } | undefined): void {
    this.rtcp.accept(rtcpIndex);
    this.#rtcpSpiWord = Math.max(this.#rtcpSpiWord, keys.spiWord);
    if (tag === undefined) return;
    if (this.rtp.empty) this.#rocHint = Math.max(this.#rocHint ?? 0, tag.roc);
    if (keys === this.#current?.keys || keys === this.#next?.keys || keys === this.#previous?.keys) return;
    this.#adoptFromRtcp({ keys, start: packetIndex(tag.roc, tag.isn) });
  }

  /**
   * A verified Full tag under a newer set shows that the sender began anew (WIRE.md 9 step 5): ROC, highest index and window
   * go, and with them the keys that could replay into the empty window.
   * @param keep the keys that the tag was verified under
   */
  restart(keep: SenderKeys): void {
    this.rtp.reset();
    this.#rocHint = undefined;
    this.#spiWord = -1;
    for (const slot of [this.#current, this.#next, this.#previous]) if (slot?.keys !== keep) slot?.keys.wipe();
    this.#current = undefined;
    this.#next = undefined;
    this.#previous = undefined;
  }

  /** The same for the SRTCP index, once SRTP has shown the newer set. */
  restartRtcp(): void {
    this.rtcp.reset();
    if (this.#previous !== undefined && this.#previous.keys.spiWord <= this.#rtcpSpiWord) this.#dropPrevious();
  }

  /** Time passes: the replaced key lives for PREVIOUS_KEY_LIFETIME_MS. */
  expire(now: number): void {
    if (this.#previous !== undefined && now >= this.#previous.until) this.#dropPrevious();
  }

  /** Wipes what is under a set that is no longer alive. */
  dropSet(spiWord: number): void {
    if (this.#previous?.keys.spiWord === spiWord) this.#dropPrevious();
    if (this.#next?.keys.spiWord === spiWord) this.#replaceNext(undefined);
    if (this.#current?.keys.spiWord === spiWord) {
      this.#current.keys.wipe();
      this.#current = undefined;
    }
  }

  wipe(): void {
    for (const slot of [this.#current, this.#next, this.#previous]) slot?.keys.wipe();
  }

  /** The whole state as text, for comparing states; wrapped keys only. */
  describe(): string {
    const key = (slot: { keys: SenderKeys; start?: number; until?: number } | undefined) =>
      slot && `${slot.keys.spiWord}/${toHex(slot.keys.wrapped)}@${slot.start ?? ''}/${slot.until ?? ''}`;
    return [
      `ssrc ${this.ssrc} set ${this.#spiWord} rtcp set ${this.#rtcpSpiWord} hint ${this.#rocHint}`,
      `current ${key(this.#current)} next ${key(this.#next)} previous ${key(this.#previous)}`,
      `rtp ${this.rtp.describe()} rtcp ${this.rtcp.describe()}`,
    ].join('; ');
  }

  #isBeforeCurrent(index: number): boolean {
    return this.#current !== undefined && index < this.#current.start;
  }

  #adoptFromRtp(keys: SenderKeys, index: number, start: number, now: number): void {
    if (this.rtp.empty) {
      // Media RTCP had announced a key before the first SRTP packet came: the packet shows that it lies ahead.
      if (this.#current !== undefined && index < this.#current.start && keys.spiWord <= this.#current.keys.spiWord) {
        this.#replaceNext(this.#current);
        this.#current = { keys, start };
      } else {
        this.#promote({ keys, start }, index, now);
      }
      return;
    }
    // A late packet under a key of earlier is good, but its key is not in force any more.
    if (index > this.rtp.highest) this.#promote({ keys, start }, index, now);
  }

  /** A key that media RTCP told: in force, or to come (WIRE.md 9 step 8, 12 D4). */
  #adoptFromRtcp(slot: KeySlot): void {
    const spiWord = slot.keys.spiWord;
    if (this.rtp.empty && (this.#current === undefined || slot.start <= this.#current.start)) {
      if (this.#current !== undefined && spiWord <= this.#current.keys.spiWord) return;
      this.#current?.keys.wipe();
      this.#current = slot;
      this.#spiWord = Math.max(this.#spiWord, spiWord);
    } else if (this.rtp.empty || slot.start > this.rtp.highest) {
      if (this.#next === undefined || spiWord >= this.#next.keys.spiWord) this.#replaceNext(slot);
    }
  }

  #promote(slot: KeySlot, index: number, now: number): void {
    if (this.#current !== undefined) {
      this.#dropPrevious();
      this.#previous = { keys: this.#current.keys, until: now + PREVIOUS_KEY_LIFETIME_MS };
    }
    this.#current = { keys: slot.keys, start: Math.min(slot.start, index) };
    if (this.#next?.keys === slot.keys) this.#next = undefined;
    else if (this.#next !== undefined && (this.#next.start <= index || this.#next.keys.spiWord < slot.keys.spiWord)) {
      this.#replaceNext(undefined);
    }
  }

  #replaceNext(slot: KeySlot | undefined): void {
    this.#next?.keys.wipe();
    this.#next = slot;
  }

  #dropPrevious(): void {
    this.#previous?.keys.wipe();
    this.#previous = undefined;
  }
}
