import { toHex } from '../base/bytes.js';
import { PREVIOUS_KEY_LIFETIME_MS } from '../base/limits.js';
import { packetIndex, rocOf } from './index-estimate.js';
import type { MediaKeys } from './media-keys.js';
import { ReplayWindow } from './replay-window.js';

interface KeySlot<K> {
  readonly keys: K;
  /** SRTP index from which the key is in force, as far as it is known. */
  readonly start: number;
}

/**
 * What is known of one SSRC (WIRE.md 9 steps 4, 5 and 8): three key slots, the rollover counter and the two replay windows.
 * The methods named `adopt...` and `accept...` are called with what a verified packet said, and with nothing else.
 */
export class EktStream<K extends MediaKeys = MediaKeys> {
  readonly ssrc: number;
  readonly rtp = new ReplayWindow();
  readonly rtcp = new ReplayWindow();
  /** ROC that media RTCP told; without meaning once an SRTP packet was accepted. */
  #rocHint: number | undefined;
  /** The set under which ROC, highest index and window were learnt. */
  #spiWord = -1;
  #current: KeySlot<K> | undefined;
  #next: KeySlot<K> | undefined;
  #previous: { readonly keys: K; readonly until: number } | undefined;

  constructor(ssrc: number) {
    this.ssrc = ssrc;
  }

  get spiWord(): number {
    return this.#spiWord;
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

  /** Where the key in force began, as far as known. */
  get currentStart(): number | undefined {
    return this.#current?.start;
  }

  /** The key that protects an SRTP packet with a Short tag and this index. */
  keysAt(index: number): K | undefined {
    if (this.#next !== undefined && index >= this.#next.start) return this.#next.keys;
    if (this.#current !== undefined && index >= this.#current.start) return this.#current.keys;
    return this.#previous?.keys ?? this.#current?.keys;
  }

  /** The keys of all slots, the one in force first. */
  slotKeys(): K[] {
    return [this.#current, this.#next, this.#previous].flatMap((slot) => (slot === undefined ? [] : [slot.keys]));
  }

  get currentKeys(): K | undefined {
    return this.#current?.keys;
  }

  /** A slot's keys by the pair that a Full tag shows. */
  find(spiWord: number, wrapped: Uint8Array): K | undefined {
    for (const slot of [this.#current, this.#next, this.#previous]) {
      if (slot?.keys.is(spiWord, wrapped)) return slot.keys;
    }
    return undefined;
  }

  /** The replaced key counts for indices below the point where it was replaced only (WIRE.md 9 step 8). */
  hasEnded(keys: K, index: number): boolean {
    return keys === this.#previous?.keys && this.#current !== undefined && index >= this.#current.start;
  }

  /**
   * An SRTP packet was verified under `keys`, which its tag or its index named.
   * @param full where its Full tag says that the key came into force
   */
  acceptRtp(keys: K, index: number, full: { readonly start: number } | undefined, now: number): void {
    if (keys === this.#next?.keys) {
      this.#promote({ keys, start: Math.min(this.#next.start, index) }, now);
    } else if (keys === this.#current?.keys) {
      // The key in force still is, at an index for which another was announced: the sender has thought better of it.
      if (full !== undefined && this.#next !== undefined && index >= this.#next.start) this.#replaceNext(undefined);
    } else if (keys !== this.#previous?.keys && full !== undefined) {
      this.#adoptFromRtp({ keys, start: full.start }, now);
    }
    this.rtp.accept(index);
  }

  /**
   * Suites 17 and 18 (WIRE.md 6): a key is in force from the lowest index at which it was seen, and one that the stream does
   * not hold was refused unless its epoch is newer.
   * @param full whether the packet carried a Full field
   */
  acceptFieldRtp(keys: K, index: number, full: boolean, now: number): void {
    if (keys === this.#current?.keys) {
      if (full && index < this.#current.start) this.#current = { keys, start: index };
    } else if (keys !== this.#previous?.keys) {
      this.#promote({ keys, start: index }, now);
    }
    this.rtp.accept(index);
  }

  /** A media RTCP packet was verified under `keys`. @param full the fields of its Full tag */
  acceptRtcp(keys: K, rtcpIndex: number, full: { readonly roc: number; readonly isn: number } | undefined): void {
    this.rtcp.accept(rtcpIndex);
    if (full === undefined || keys === this.#previous?.keys) return;
    if (this.rtp.empty) this.#rocHint = Math.max(this.#rocHint ?? 0, full.roc);
    if (keys === this.#current?.keys || keys === this.#next?.keys) return;
    this.#adoptFromRtcp({ keys, start: packetIndex(full.roc, full.isn) });
  }

  /**
   * A verified Full tag under a newer set shows that the sender began anew (WIRE.md 9 step 5): ROC, highest index and window
   * go, and with them the keys that could replay into the empty window.
   * @param keep the keys that the tag was verified under
   */
  restart(keep: K): void {
    this.rtp.reset();
    this.#rocHint = undefined;
    this.#spiWord = -1;
    for (const slot of [this.#current, this.#next, this.#previous]) if (slot?.keys !== keep) slot?.keys.wipe();
    this.#current = undefined;
    this.#next = undefined;
    this.#previous = undefined;
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
    const key = (slot: { keys: K; start?: number; until?: number } | undefined) =>
      slot && `${slot.keys.spiWord}/${toHex(slot.keys.wrapped)}@${slot.start ?? ''}/${slot.until ?? ''}`;
    return [
      `ssrc ${this.ssrc} set ${this.#spiWord} hint ${this.#rocHint}`,
      `current ${key(this.#current)} next ${key(this.#next)} previous ${key(this.#previous)}`,
      `rtp ${this.rtp.describe()} rtcp ${this.rtcp.describe()}`,
    ].join('; ');
  }

  #adoptFromRtp(slot: KeySlot<K>, now: number): void {
    const current = this.#current;
    if (current !== undefined && slot.start < current.start && slot.keys.spiWord === current.keys.spiWord) {
      // Media RTCP told the stream's first key, and this packet shows that it was an announcement.
      this.#replaceNext(current);
      this.#current = slot;
    } else {
      this.#promote(slot, now);
    }
  }

  /** A key that media RTCP told: the first one counts at once, others lie ahead (WIRE.md 9 step 8, 12 D4). */
  #adoptFromRtcp(slot: KeySlot<K>): void {
    if (this.#current === undefined) {
      this.#setCurrent(slot);
      return;
    }
    const next = this.#next;
    const later = next === undefined || slot.start >= next.start;
    if (
      next === undefined ||
      slot.keys.spiWord > next.keys.spiWord ||
      (slot.keys.spiWord === next.keys.spiWord && later)
    ) {
      this.#replaceNext(slot);
    }
  }

  /** `slot` comes into force; what it replaces stays for what is still under way. */
  #promote(slot: KeySlot<K>, now: number): void {
    if (this.#next?.keys === slot.keys) this.#next = undefined;
    if (this.#current !== undefined) {
      this.#dropPrevious();
      this.#previous = { keys: this.#current.keys, until: now + PREVIOUS_KEY_LIFETIME_MS };
    }
    this.#setCurrent(slot);
    if (this.#next !== undefined && (this.#next.start <= slot.start || this.#next.keys.spiWord < slot.keys.spiWord)) {
      this.#replaceNext(undefined);
    }
  }

  #setCurrent(slot: KeySlot<K>): void {
    this.#current = slot;
    this.#spiWord = Math.max(this.#spiWord, slot.keys.spiWord);
  }

  #replaceNext(slot: KeySlot<K> | undefined): void {
    this.#next?.keys.wipe();
    this.#next = slot;
  }

  #dropPrevious(): void {
    this.#previous?.keys.wipe();
    this.#previous = undefined;
  }
}
