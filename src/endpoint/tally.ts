/** What a call has sent and received, for its status. */
import type { Media } from '../base/ids.js';
import type { DropName } from '../wire/drop.js';
import type { CallStatus } from './call-types.js';

export class Tally {
  readonly sent: Record<Media, number> = { audio: 0, video: 0 };
  readonly received: Record<Media, number> = { audio: 0, video: 0 };
  readonly #drops: Partial<Record<DropName, number>> = {};
  /** DTLS associations that gave keys. */
  keyed = 0;

  dropped(name: DropName): void {
    this.#drops[name] = (this.#drops[name] ?? 0) + 1;
  }

  status(): Omit<CallStatus, 'ready' | 'icon'> {
    const { sent, received, keyed } = this;
    return { sent: { ...sent }, received: { ...received }, drops: { ...this.#drops }, keyed };
  }
}
