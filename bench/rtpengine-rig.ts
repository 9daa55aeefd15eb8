/** rtpengine on the stage of a bench: RTP that it encrypts for each receiver with keys of their own. */
import type { Media } from '../src/base/ids.js';
import { benchAddon } from './native.js';
import { type Count, lossOf, type Outside, plainStream } from './rounds.js';
import { RTPENGINE_PAYLOAD_TYPE, RtpEngine, rtpenginePath } from './rtpengine.js';
import type { Stage } from './stage.js';
import { SHAPES } from './traffic.js';

/** Setting up a subscription takes it a while, and its figure does not change with their number. */
export const RTPENGINE_MAX_RECEIVERS = 200;
const FIRST_SSRC = 0x51000000;
const WARM_UP_BURSTS = 12;

export class RtpEngineRig implements Outside {
  readonly #engine: RtpEngine;
  readonly #stage: Stage;
  readonly #bytes: number;
  #sequence = 0;

  private constructor(engine: RtpEngine, stage: Stage, bytes: number) {
    this.#engine = engine;
    this.#stage = stage;
    this.#bytes = bytes;
  }

  /**
   * @param bytes of the RTP packets that it is given; its copies are longer by RTPENGINE_ADDED_BYTES
   * @returns undefined: it is not installed, or there are more receivers than {@link RTPENGINE_MAX_RECEIVERS}; a string: why
   * it is installed and yet of no use, which is not ours to mend
   */
  static async invite(stage: Stage, bytes: number): Promise<RtpEngineRig | string | undefined> {
    const path = rtpenginePath();
    const { media, receivers } = stage.options;
    if (path === undefined || receivers > RTPENGINE_MAX_RECEIVERS) return undefined;
    const { sources, sinks } = benchAddon().groundPorts(stage.ground);
    let engine: RtpEngine | undefined;
    try {
      engine = await RtpEngine.start(path, sources, sinks);
      const rig = new RtpEngineRig(engine, stage, bytes);
      const loss = lossOf(await rig.round(WARM_UP_BURSTS * SHAPES[media].burst));
      if (loss === undefined) return rig;
      await engine.close();
      return `rtpengine is left out: warming up: ${loss}`;
    } catch (error) {
      await engine?.close();
      return `rtpengine is left out: ${error instanceof Error ? error.message : String(error)}`;
    }
  }

  idleNsPerMs(ms: number): Promise<number> {
    return this.#engine.idleNsPerMs(ms);
  }

  async round(packets: number): Promise<Count> {
    const { media, receivers, sources } = this.#stage.options;
    const { burst } = SHAPES[media];
    const count = perSource(media, sources, packets);
    const streams = Array.from({ length: sources }, (_, i) =>
      plainStream(FIRST_SSRC + i, this.#sequence, count, this.#bytes, RTPENGINE_PAYLOAD_TYPE),
    );
    this.#sequence += count;
    const load = benchAddon().createLoad(streams, this.#bytes);
    const cpuBefore = this.#engine.cpuNs();
    const began = performance.now();
    try {
      const { sent, arrived } = await this.#stage.send(load, packets, burst, burst, this.#engine.ports);
      const elapsedMs = performance.now() - began;
      // It tells nobody what it has read and sent: what arrived is counted.
      const told = { ingress: sent, egress: arrived, drops: 0, calls: 0 };
      return { packets, receivers, sent, arrived, ...told, cpuNs: this.#engine.cpuNs() - cpuBefore, elapsedMs };
    } finally {
      benchAddon().closeLoad(load);
    }
  }

  close(): Promise<void> {
    return this.#engine.close();
  }
}

/** Packets of each source that make at least `packets`, in whole bursts. */
export function perSource(media: Media, sources: number, packets: number): number {
  const { burst } = SHAPES[media];
  return Math.ceil(packets / (burst * sources)) * burst;
}
