/** Sends what sources give when it is due; the only clock of outgoing media. */
import type { Media } from '../base/ids.js';
import type { AudioSource, VideoSource } from './media/types.js';
import { clock } from './sip-connection.js';

export interface AudioInput {
  readonly position: number;
  readonly source: AudioSource;
}

export interface VideoInput {
  readonly position: number;
  readonly source: VideoSource;
}

/** One RTP packet that is due. */
export interface DuePacket {
  readonly media: Media;
  readonly position: number;
  readonly payload: Uint8Array;
  readonly marker: boolean;
  readonly timestamp: number;
  readonly firstOfFrame: boolean;
  readonly trailingByte: number;
  /** Sequence numbers to leave out before it, so that receivers see what was lost before it came here; default 0. */
  readonly skip?: number;
}

interface Track {
  next(): { readonly dueMs: number; readonly packets: readonly DuePacket[] } | undefined;
}

function audioTrack({ position, source }: AudioInput): Track {
  let first = true;
  return {
    next() {
      const frame = source.next();
      if (frame === undefined) return undefined;
      const { payload, timestamp, energy, dueMs } = frame;
      // RFC 7587 §4.1: the marker bit opens a talkspurt; there is one, without pauses.
      const packet = {
        media: 'audio' as const,
        position,
        payload,
        marker: first,
        timestamp,
        firstOfFrame: true,
        trailingByte: energy,
      };
      first = false;
      return { dueMs, packets: [packet] };
    },
  };
}

function videoTrack({ position, source }: VideoInput): Track {
  return {
    next() {
      const frame = source.next();
      if (frame === undefined) return undefined;
      const { timestamp, dueMs, refresh } = frame;
      const packets = frame.payloads.map(({ bytes, marker }, i) => {
        const firstOfFrame = i === 0;
        return {
          media: 'video' as const,
          position,
          payload: bytes,
          marker,
          timestamp,
          firstOfFrame,
          trailingByte: refresh && firstOfFrame ? 1 : 0,
        };
      });
      return { dueMs, packets };
    },
  };
}

/** When the process was held up for longer than this, frames are skipped in time instead of sent in a burst. */
const CATCH_UP_LIMIT_MS = 500;

export class Pacer {
  readonly #tracks: { readonly track: Track; due: { dueMs: number; packets: readonly DuePacket[] } | undefined }[];
  readonly #video: readonly VideoInput[];
  readonly #send: (packet: DuePacket) => void;
  #origin: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    inputs: { readonly audio?: readonly AudioInput[]; readonly video?: readonly VideoInput[] },
    send: (packet: DuePacket) => void,
  ) {
    const tracks = [...(inputs.audio ?? []).map(audioTrack), ...(inputs.video ?? []).map(videoTrack)];
    this.#tracks = tracks.map((track) => ({ track, due: undefined }));
    this.#video = inputs.video ?? [];
    this.#send = send;
  }

  /** Somebody needs a picture that can be decoded from here. */
  requestRefresh(position: number): void {
    for (const input of this.#video) if (input.position === position) input.source.requestRefresh();
  }

  start(): void {
    if (this.#origin !== undefined) return;
    this.#origin = clock();
    for (const entry of this.#tracks) entry.due = entry.track.next();
    this.#run();
  }

  stop(): void {
    clearTimeout(this.#timer);
    for (const entry of this.#tracks) entry.due = undefined;
  }

  #run(): void {
    const origin = this.#origin ?? 0;
    let elapsed = clock() - origin;
    const earliest = this.#earliest();
    if (earliest !== undefined && elapsed - earliest > CATCH_UP_LIMIT_MS) {
      this.#origin = origin + (elapsed - earliest);
      elapsed = earliest;
    }
    for (const entry of this.#tracks) {
      while (entry.due !== undefined && entry.due.dueMs <= elapsed) {
        for (const packet of entry.due.packets) this.#send(packet);
        entry.due = entry.track.next();
      }
    }
    const next = this.#earliest();
    if (next === undefined) return;
    this.#timer = setTimeout(() => this.#run(), Math.max(0, (this.#origin ?? 0) + next - clock()));
  }

  #earliest(): number | undefined {
    const due = this.#tracks.flatMap((t) => (t.due === undefined ? [] : [t.due.dueMs]));
    return due.length === 0 ? undefined : Math.min(...due);
  }
}
