import type { TipKind } from '../wire/tip.js';

interface Last {
  readonly ntp: bigint;
  /** The ACK that went out for it; undefined while it waits for one. */
  readonly ack: Uint8Array | undefined;
}

/** Where a received packet stands beside the last one accepted of its type. */
export type Standing =
  | { readonly is: 'new' }
  | { readonly is: 'older' }
  | { readonly is: 'pending' }
  | { readonly is: 'acked'; readonly ack: Uint8Array };

/**
 * Order of what is received, type by type (WIRE.md 4.1). Only an accepted packet is remembered: one that came too early
 * is judged afresh when its sender repeats it.
 */
export class Inbox {
  readonly #last = new Map<TipKind, Last>();

  standing(kind: TipKind, ntp: bigint): Standing {
    const last = this.#last.get(kind);
    if (last === undefined || ntp > last.ntp) return { is: 'new' };
    if (ntp < last.ntp) return { is: 'older' };
    return last.ack === undefined ? { is: 'pending' } : { is: 'acked', ack: last.ack };
  }

  /** @param ack what answers it, and every repetition of it; undefined: the answer comes later. */
  accept(kind: TipKind, ntp: bigint, ack: Uint8Array | undefined): void {
    this.#last.set(kind, { ntp, ack });
  }
}
