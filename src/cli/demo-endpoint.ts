import { equalBytes } from '../base/bytes.js';
import type { AssetName } from '../endpoint/assets/assets.js';
import {
  type CallOptions,
  type CallStatus,
  openAudioSource,
  openVideoSource,
  type ReceivedMedia,
} from '../endpoint/index.js';

export interface EndpointReport {
  readonly name: string;
  readonly screens: number;
  readonly sent: { readonly audio: number; readonly video: number };
  readonly received: { readonly audio: number; readonly video: number };
  /** Packets whose payload was verified and decrypted. */
  readonly decrypted: number;
  readonly authFailures: number;
  readonly replayed: number;
  /** Decrypted payloads that are not what their sender put in. */
  readonly payloadMismatches: number;
  /** Packets for a place that the endpoint does not have, or its own packets back. */
  readonly wrongSink: number;
}

/** What every endpoint put into its packets, before encryption, by SSRC and sequence number. */
export class SentLedger {
  readonly #payloads = new Map<number, { readonly owner: string; readonly bySequence: Map<number, Uint8Array> }>();

  /** A sequence number that comes round again takes the place of the old one. */
  sent(owner: string, ssrc: number, sequence: number, payload: Uint8Array): void {
    let stream = this.#payloads.get(ssrc);
    if (stream === undefined) {
      stream = { owner, bySequence: new Map() };
      this.#payloads.set(ssrc, stream);
    }
    stream.bySequence.set(sequence, payload);
  }

  owner(ssrc: number): string | undefined {
    return this.#payloads.get(ssrc)?.owner;
  }

  matches(ssrc: number, sequence: number, payload: Uint8Array): boolean {
    const original = this.#payloads.get(ssrc)?.bySequence.get(sequence);
    return original !== undefined && equalBytes(original, payload);
  }
}

/** One endpoint of the demo: its clips, its loudness over time, and its own account of what arrived. */
export class DemoEndpoint {
  #mismatches = 0;
  #wrongSink = 0;
  #decrypted = 0;

  constructor(
    readonly name: string,
    readonly screens: 1 | 3,
    private readonly videoClips: readonly AssetName[],
    private readonly audioClip: AssetName,
    private readonly energy: (elapsedMs: number) => number,
    private readonly ledger: SentLedger,
  ) {}

  callOptions(target: string, caPem: string, read: (name: AssetName) => Uint8Array): CallOptions {
    const places = this.screens === 3 ? [1, 2, 3] : [1];
    return {
      target,
      caPem,
      name: this.name,
      screens: this.screens,
      audio: places.map((position) => {
        const source = openAudioSource(read(this.audioClip), { energy: this.energy });
        if (!source.ok) throw new Error(`${this.audioClip}: ${source.reason}`);
        return { position, source: source.value };
      }),
      video: places.map((position, i) => {
        const clip = this.videoClips[i % this.videoClips.length]!;
        const source = openVideoSource(read(clip));
        if (!source.ok) throw new Error(`${clip}: ${source.reason}`);
        return { position, source: source.value };
      }),
      onSent: ({ ssrc, sequence, payload }) => this.ledger.sent(this.name, ssrc, sequence, payload),
      onReceived: (rtp) => this.#received(rtp),
    };
  }

  report(status: CallStatus): EndpointReport {
    const { sent, received, drops } = status;
    return {
      name: this.name,
      screens: this.screens,
      sent,
      received,
      decrypted: this.#decrypted,
      authFailures: drops.auth_failed ?? 0,
      replayed: (drops.replayed ?? 0) + (drops.too_old ?? 0),
      payloadMismatches: this.#mismatches,
      wrongSink: this.#wrongSink,
    };
  }

  #received({ ssrc, sequence, payload, sink }: ReceivedMedia): void {
    this.#decrypted++;
    const mine = this.screens === 3 ? [1, 2, 3] : [1];
    if (!mine.includes(sink) || this.ledger.owner(ssrc) === this.name) this.#wrongSink++;
    if (!this.ledger.matches(ssrc, sequence, payload)) this.#mismatches++;
  }
}
