import type { Media } from '../base/ids.js';

/** Packets in a row that carry a Full tag after a new key (WIRE.md 5). */
const AFTER_NEW_KEY = 3;
/** Every so manieth audio packet carries a Full tag. */
const AUDIO_INTERVAL = 3;

/** Decides which SRTP packets of one stream carry a Full tag (WIRE.md 5). Media RTCP always does. */
export class FullTagCadence {
  readonly #media: Media;
  #generation: number | undefined;
  #owed = 0;
  #sinceFull = 0;

  constructor(media: Media) {
    this.#media = media;
  }

  /**
   * To be asked once a packet, before it is protected.
   * @param keyGeneration of the sender; another number than before is a new key
   * @param firstOfFrame video: the packet is the first of a frame; without meaning for audio
   */
  next(keyGeneration: number, firstOfFrame: boolean): boolean {
    if (keyGeneration !== this.#generation) {
      this.#generation = keyGeneration;
      this.#owed = AFTER_NEW_KEY;
    }
    this.#sinceFull++;
    const due = this.#media === 'video' ? firstOfFrame : this.#sinceFull >= AUDIO_INTERVAL;
    if (!due && this.#owed === 0) return false;
    if (this.#owed > 0) this.#owed--;
    this.#sinceFull = 0;
    return true;
  }
}
