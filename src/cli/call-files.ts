/** What `claviger call` writes to disk: recordings, a capture, a key log. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Media } from '../base/ids.js';
import type { KeyLogEntry, ReceivedMedia } from '../endpoint/index.js';
import { openFileSink } from '../endpoint/media/file-sink.js';
import { PcapWriter } from '../endpoint/media/pcap.js';
import { RecorderSet } from '../endpoint/media/recorder.js';
import type { Sink } from '../endpoint/media/types.js';

const RECORDER_TICK_MS = 50;

/** One playable file a source: `video-center-1a2b3c4d.h264`, `audio-center-....opus`. */
export class Recording {
  readonly files: string[] = [];
  readonly #set: RecorderSet;
  readonly #timer: NodeJS.Timeout;

  constructor(
    folder: string,
    private readonly clock: () => number,
  ) {
    mkdirSync(folder, { recursive: true });
    this.#set = new RecorderSet(({ media, ssrc, position }) => {
      const place = ['control', 'center', 'left', 'right'][position] ?? `position${position}`;
      const name = `${media}-${place}-${ssrc.toString(16).padStart(8, '0')}.${media === 'video' ? 'h264' : 'opus'}`;
      this.files.push(join(folder, name));
      return openFileSink(join(folder, name));
    });
    this.#timer = setInterval(() => this.#set.tick(clock()), RECORDER_TICK_MS);
  }

  packet(rtp: ReceivedMedia): void {
    const { media, ssrc, source, sequence, timestamp, marker, payload } = rtp;
    this.#set.packet({ media, ssrc, position: source }, { sequence, timestamp, marker, payload }, this.clock());
  }

  /** @returns lines that say what is in the files. */
  close(): string[] {
    clearInterval(this.#timer);
    this.#set.close(this.clock());
    return this.#set.status().map(({ status }, i) => {
      const { packets, written, lost } = status;
      return `${this.files[i] ?? '(not written)'}: ${packets} packets, ${written} written, ${lost} lost`;
    });
  }
}

export function captureTo(sink: Sink): PcapWriter {
  return new PcapWriter((bytes) => sink.append(bytes));
}

/** One JSON line an entry; the file is readable by its owner only. */
export function keyLogTo(path: string): { write(media: Media, entry: KeyLogEntry): void; close(): void } {
  const sink = openFileSink(path, 0o600);
  return {
    write: (media, entry) => sink.append(new TextEncoder().encode(`${JSON.stringify({ media, ...entry })}\n`)),
    close: () => sink.close(),
  };
}
