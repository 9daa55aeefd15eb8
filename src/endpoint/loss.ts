/**
 * Which packets of the received video streams are missing, and what to do about it: ask the switch for them (generic NACK,
 * RFC 4585 §6.2.1), and when they do not come, ask for a new picture. A pull machine; the caller feeds it verified packets
 * only.
 *
 * Not every gap is a loss: a stream that the switch took off a display and put there again later has gone on meanwhile. So
 * a stream that another has replaced at its display is not asked for, and begins afresh when it comes back.
 */
import type { Engine, Tick } from '../base/engine.js';
import {
  LOSS_GIVE_UP_MS,
  LOSS_MAX_MISSING_PER_STREAM,
  LOSS_MAX_NACKS,
  LOSS_NACK_INTERVAL_MS,
  LOSS_REORDER_MS,
  LOSS_REORDER_PACKETS,
  LOSS_SWITCH_REORDER_MS,
  MAX_REPORTED_STREAMS,
  REFRESH_MIN_INTERVAL_MS,
  REPLAY_WINDOW_PACKETS,
} from '../base/limits.js';

export type LossInput =
  /** A packet was accepted. `index`: ROC ‖ sequence number; `sink`: the display that it is for. */
  { readonly type: 'packet'; readonly ssrc: number; readonly index: number; readonly sink: number } | Tick;

/** One entry of a generic NACK: `blp` names which of the 16 packets after `pid` are lost as well. */
export interface NackEntry {
  readonly pid: number;
  readonly blp: number;
}

export type LossOutput =
  | { readonly type: 'nack'; readonly ssrc: number; readonly lost: readonly NackEntry[] }
  /** Packets of the picture at this display are gone for good; at most one in REFRESH_MIN_INTERVAL_MS a stream. */
  | { readonly type: 'picture-lost'; readonly ssrc: number; readonly sink: number };

interface Missing {
  readonly noticedAt: number;
  /** Packets of the stream that had come before the one that showed the gap. */
  readonly noticedAfter: number;
  nacks: number;
  nextNackAt: number;
}

interface Stream {
  readonly ssrc: number;
  sink: number;
  highest: number;
  packets: number;
  lastAt: number;
  /** Since another stream is at its display. */
  replacedAt: number | undefined;
  pictureLostAt: number;
  /** By index, the oldest first. */
  readonly missing: Map<number, Missing>;
}

export class LossDetector implements Engine<LossInput, LossOutput> {
  readonly #streams = new Map<number, Stream>();
  /** Which stream each display shows. */
  readonly #shown = new Map<number, number>();
  readonly #outputs: LossOutput[] = [];

  /** How many streams are remembered: MAX_REPORTED_STREAMS at most. */
  get streams(): number {
    return this.#streams.size;
  }

  receive(input: LossInput, now: number): void {
    if (input.type === 'packet') this.#packet(input.ssrc, input.index, input.sink, now);
    for (const stream of this.#streams.values()) {
      if (stream.missing.size > 0 && stream.replacedAt === undefined) this.#settle(stream, now);
    }
  }

  poll(): LossOutput | undefined {
    return this.#outputs.shift();
  }

  deadline(): number | undefined {
    let earliest: number | undefined;
    for (const stream of this.#streams.values()) {
      if (stream.replacedAt !== undefined) continue;
      for (const missing of stream.missing.values()) {
        const at = Math.min(missing.nextNackAt, missing.noticedAt + LOSS_GIVE_UP_MS);
        if (earliest === undefined || at < earliest) earliest = at;
      }
    }
    return earliest;
  }

  #packet(ssrc: number, index: number, sink: number, now: number): void {
    const stream = this.#streams.get(ssrc) ?? this.#add(ssrc, index, sink, now);
    // Far behind: the replay list would have refused it, had the sender not begun anew.
    if (index + REPLAY_WINDOW_PACKETS <= stream.highest) restart(stream, index);
    if (index >= stream.highest) this.#show(stream, index, sink, now);
    stream.missing.delete(index);
    if (index > stream.highest) this.#advance(stream, index, now);
    stream.packets++;
    stream.lastAt = now;
  }

  #add(ssrc: number, index: number, sink: number, now: number): Stream {
    if (this.#streams.size >= MAX_REPORTED_STREAMS) {
      const silent = [...this.#streams.values()].reduce((a, b) => (b.lastAt < a.lastAt ? b : a));
      this.#streams.delete(silent.ssrc);
    }
    const stream: Stream = {
      ssrc,
      sink,
      highest: index,
      packets: 0,
      lastAt: now,
      replacedAt: undefined,
      pictureLostAt: Number.NEGATIVE_INFINITY,
      missing: new Map(),
    };
    this.#streams.set(ssrc, stream);
    return stream;
  }

  /** The newest packet of a stream says which display it is at; one that was overtaken says nothing. */
  #show(stream: Stream, index: number, sink: number, now: number): void {
    const before = this.#shown.get(sink);
    if (before === stream.ssrc) return;
    this.#shown.set(sink, stream.ssrc);
    const replaced = before === undefined ? undefined : this.#streams.get(before);
    if (replaced?.sink === sink) replaced.replacedAt = now;
    const { replacedAt } = stream;
    stream.replacedAt = undefined;
    if (stream.sink === sink && replacedAt !== undefined && now - replacedAt <= LOSS_SWITCH_REORDER_MS) return;
    if (this.#shown.get(stream.sink) === stream.ssrc && stream.sink !== sink) this.#shown.delete(stream.sink);
    stream.sink = sink;
    restart(stream, index);
  }

  #advance(stream: Stream, index: number, now: number): void {
    const first = stream.highest + 1;
    const silent = now - stream.lastAt >= LOSS_GIVE_UP_MS;
    stream.highest = index;
    if (index === first) return;
    // What was sent so long ago is no longer kept, and so much is no longer worth asking for.
    if (silent || stream.missing.size + index - first > LOSS_MAX_MISSING_PER_STREAM) {
      stream.missing.clear();
      this.#pictureLost(stream, now);
      return;
    }
    const [noticedAt, noticedAfter] = [now, stream.packets];
    for (let i = first; i < index; i++) {
      stream.missing.set(i, { noticedAt, noticedAfter, nacks: 0, nextNackAt: now + LOSS_REORDER_MS });
    }
  }

  /** Asks for what is due and gives up what is too late. */
  #settle(stream: Stream, now: number): void {
    const due: number[] = [];
    let gone = false;
    for (const [index, missing] of stream.missing) {
      if (now >= missing.noticedAt + LOSS_GIVE_UP_MS) {
        stream.missing.delete(index);
        gone = true;
        continue;
      }
      const overtaken = missing.nacks === 0 && stream.packets - missing.noticedAfter >= LOSS_REORDER_PACKETS;
      if (!overtaken && now < missing.nextNackAt) continue;
      due.push(index);
      missing.nacks++;
      missing.nextNackAt = missing.nacks < LOSS_MAX_NACKS ? now + LOSS_NACK_INTERVAL_MS : Number.POSITIVE_INFINITY;
    }
    if (due.length > 0) this.#outputs.push({ type: 'nack', ssrc: stream.ssrc, lost: nackEntries(due) });
    // A stream that has ended, or is no longer sent to us, has no picture to be repaired.
    if (gone && now - stream.lastAt < LOSS_GIVE_UP_MS) this.#pictureLost(stream, now);
  }

  #pictureLost(stream: Stream, now: number): void {
    if (now - stream.pictureLostAt < REFRESH_MIN_INTERVAL_MS) return;
    stream.pictureLostAt = now;
    this.#outputs.push({ type: 'picture-lost', ssrc: stream.ssrc, sink: stream.sink });
  }
}

function restart(stream: Stream, index: number): void {
  stream.missing.clear();
  stream.highest = index;
}

/** @param indices rising */
export function nackEntries(indices: readonly number[]): readonly NackEntry[] {
  const entries: { pid: number; blp: number }[] = [];
  let first = Number.NEGATIVE_INFINITY;
  for (const index of indices) {
    const after = index - first;
    if (after >= 1 && after <= 16) entries.at(-1)!.blp |= 1 << (after - 1);
    else {
      first = index;
      entries.push({ pid: index & 0xffff, blp: 0 });
    }
  }
  return entries;
}
