/**
 * Everybody joins at nine o'clock: endpoints with two channels each begin their DTLS handshakes at the same moment, over
 * UDP on the loopback, against the relay's cookies and the pool of associations as the switch has them.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ChannelId } from '../src/base/ids.js';
import { createSelfSigned, fingerprintOf } from '../src/dtls/certificate.js';
import { DEFAULT_ENGINE, type EngineName } from '../src/dtls/engines.js';
import { AssociationPool, type PoolAssociation } from '../src/dtls/pool.js';
import type { RelayEvent } from '../src/relay/contract.js';
import { openRelay } from '../src/relay/relay.js';
import { CapacityRig, type Step } from './capacity-rig.js';
import { exposeCollector } from './disturbance.js';
import type { FromEndpoints, ToEndpoints } from './join-endpoints.js';
import { percentile, rounded } from './statistics.js';
import { table } from './table.js';

export const STORM_ENDPOINTS = 1_000;
export const STORM_LOSSES: readonly number[] = [0, 5];
const CHANNELS_PER_ENDPOINT = 2;
const ADDRESS = '127.0.0.1';
const PORTS = { portMin: 33_000, portMax: 60_000 } as const;
const CONFERENCE = 1;
const MTU_BYTES = 1_200;
/** The conference that goes on meanwhile: receivers, packets a second, and how long one stretch of it is measured. */
const MEDIA_RECEIVERS = 50;
const MEDIA_PACKETS_PER_SECOND = 150;
const MEDIA_STEP_MS = 500;
const MEDIA_QUIET_STEPS = 4;

export interface StormRun {
  readonly lossPercent: number;
  readonly endpoints: number;
  /** Channels whose endpoint and switch both have keys; `completed + failed` are all. */
  readonly completed: number;
  readonly failed: number;
  /** From the first hello to the keys, at the endpoint. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** From a packet's arrival at the relay to its last copy's, while the storm went on. */
  readonly mediaP99Us: number;
}

export interface StormMeasured extends StormRun {
  readonly quietMediaP99Us: number;
  readonly failures: readonly string[];
}

/** What one association adds to the switch's resident memory. */
export interface AssociationMemory {
  readonly pendingKb: number;
  readonly establishedKb: number;
}

export interface StormOptions {
  readonly endpoints: number;
  readonly lossPercent: number;
  readonly engine?: EngineName;
  readonly signal: AbortSignal;
}

/** Compiled: sources run directly (in tests) fork the one that the build left in dist. */
function endpointsFile(): string {
  return fileURLToPath(new URL('./join-endpoints.js', import.meta.url)).replace(
    /(?<!\/dist)\/bench\/join/,
    '/dist/bench/join',
  );
}

/** Relay, pool and, in another process, the endpoints. */
class Joining {
  readonly #pool: AssociationPool;
  readonly #relay = openRelay({ threads: 1, bindAddress: ADDRESS, ...PORTS }, (events) => {
    for (const event of events) this.#onRelay(event);
  });
  readonly #child: ChildProcess = fork(endpointsFile(), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  readonly #associations = new Map<ChannelId, PoolAssociation>();
  readonly #answered = new Set<ChannelId>();
  #identities: Record<'client' | 'server', Awaited<ReturnType<typeof createSelfSigned>>> | undefined;
  #ports: number[] = [];
  keyed = 0;
  failures: string[] = [];

  constructor(engine: EngineName) {
    this.#pool = new AssociationPool({ threads: availableParallelism(), engine });
  }

  get answered(): number {
    return this.#answered.size;
  }

  async prepare(channels: number): Promise<void> {
    const date = Date.now();
    this.#identities = {
      client: await createSelfSigned('endpoint', date),
      server: await createSelfSigned('switch', date),
    };
    this.#tell({ type: 'bind', channels });
    const { ports } = await this.#told('bound');
    this.#relay.setConference(CONFERENCE, { requiredLevel: 'end-to-end' });
    this.#ports = ports.map((port, i) => {
      const channel = i + 1;
      const opened = this.#relay.openChannel({
        ...{ channel, conference: CONFERENCE, member: channel },
        ...{ media: 'audio', transport: 'dtls' },
      });
      if (!opened.ok) throw new Error(`the relay opened no channel: ${opened.reason}`);
      this.#relay.awaitPeer(channel, { address: ADDRESS, port }, false);
      return opened.value.port;
    });
  }

  start(lossPercent: number, hold: boolean): Promise<Extract<FromEndpoints, { type: 'done' }>> {
    const { client, server } = this.#identities!;
    const done = this.#told('done');
    this.#tell({
      type: 'start',
      ports: this.#ports,
      certificatePem: client.certificatePem,
      privateKeyPem: client.privateKeyPem.use((bytes) => Buffer.from(bytes).toString('utf8')),
      fingerprint: Buffer.from(fingerprintOf(server.certificatePem, 'sha-256').value).toString('hex'),
      lossPercent,
      hold,
    });
    return done;
  }

  go(): void {
    this.#tell({ type: 'go' });
  }

  async close(): Promise<void> {
    this.#child.disconnect();
    await this.#pool.close();
    this.#relay.close();
    for (const identity of Object.values(this.#identities ?? {})) identity.privateKeyPem.wipe();
  }

  #tell(message: ToEndpoints): void {
    this.#child.send(message);
  }

  #told<T extends FromEndpoints['type']>(type: T): Promise<Extract<FromEndpoints, { type: T }>> {
    return new Promise((resolve, reject) => {
      const onExit = (code: number | null): void => reject(new Error(`the endpoints ended with ${code}`));
      this.#child.once('exit', onExit);
      this.#child.on('message', (message: FromEndpoints) => {
        if (message.type !== type) return;
        this.#child.off('exit', onExit);
        resolve(message as Extract<FromEndpoints, { type: T }>);
      });
    });
  }

  #onRelay(event: RelayEvent): void {
    if (event.type !== 'dtls') return;
    const { channel, from, bytes } = event;
    let association = this.#associations.get(channel);
    if (association === undefined) {
      const { client, server } = this.#identities!;
      association = this.#pool.open(
        {
          role: 'server',
          certificatePem: server.certificatePem,
          privateKeyPem: server.privateKeyPem,
          peerFingerprints: [fingerprintOf(client.certificatePem, 'sha-256')],
          profiles: [1],
          mtuBytes: MTU_BYTES,
          cookieVerified: true,
        },
        (output) => {
          if (output.type === 'datagram') {
            this.#answered.add(channel);
            this.#relay.sendDatagram(channel, from, output.bytes);
          } else if (output.type === 'keys') {
            this.keyed++;
            output.local.wipe();
            output.remote.wipe();
          } else if (output.type === 'failed') this.failures.push(`${output.reason}: ${output.detail}`);
        },
      );
      this.#associations.set(channel, association);
    }
    association.receive([bytes]);
  }
}

async function mediaP99Us(rig: CapacityRig, goesOn: () => boolean): Promise<number> {
  const steps: Step[] = [];
  do steps.push(await rig.step('relay', MEDIA_PACKETS_PER_SECOND, MEDIA_STEP_MS));
  while (goesOn());
  const all = Float64Array.from(steps.flatMap((step) => [...step.latenciesUs])).sort();
  return rounded(percentile(all, 0.99));
}

/** Throws when `signal` is aborted or the endpoints' process dies. */
export async function storm({ endpoints, lossPercent, engine, signal }: StormOptions): Promise<StormMeasured> {
  const rig = await CapacityRig.open(1, 'audio', MEDIA_RECEIVERS, { timed: true });
  const joining = new Joining(engine ?? DEFAULT_ENGINE);
  try {
    const channels = endpoints * CHANNELS_PER_ENDPOINT;
    await joining.prepare(channels);
    let quietSteps = 0;
    const quietMediaP99Us = await mediaP99Us(rig, () => ++quietSteps < MEDIA_QUIET_STEPS);
    signal.throwIfAborted();
    let over = false;
    const done = joining.start(lossPercent, false).finally(() => {
      over = true;
    });
    const during = mediaP99Us(rig, () => !over && !signal.aborted);
    const [{ keysMs, failures }, p99] = await Promise.all([done, during]);
    signal.throwIfAborted();
    const sorted = Float64Array.from(keysMs).sort();
    const completed = Math.min(keysMs.length, joining.keyed);
    return {
      lossPercent,
      endpoints,
      completed,
      failed: channels - completed,
      p50Ms: rounded(percentile(sorted, 0.5)),
      p99Ms: rounded(percentile(sorted, 0.99)),
      mediaP99Us: p99,
      quietMediaP99Us,
      failures: [...new Set([...failures, ...joining.failures])],
    };
  } finally {
    await joining.close();
    rig.close();
  }
}

/** Resident memory of this process, in KB, after its garbage is gone. */
async function residentKb(collect: () => void): Promise<number> {
  for (let i = 0; i < 3; i++) {
    collect();
    await pause(20);
  }
  return process.memoryUsage.rss() / 1024;
}

/** Opens `channels` associations, holds them before the endpoints' last flight, then lets them finish. */
export async function associationMemory(channels: number, engine?: EngineName): Promise<AssociationMemory> {
  const collect = exposeCollector();
  const joining = new Joining(engine ?? DEFAULT_ENGINE);
  try {
    await joining.prepare(channels);
    const empty = await residentKb(collect);
    const done = joining.start(0, true);
    while (joining.answered < channels) await pause(5);
    const pending = await residentKb(collect);
    joining.go();
    await done;
    const established = await residentKb(collect);
    return {
      pendingKb: rounded((pending - empty) / channels),
      establishedKb: rounded((established - empty) / channels),
    };
  } finally {
    await joining.close();
  }
}

export const STORM_COUNTED = `A storm: ${STORM_ENDPOINTS} endpoints with ${CHANNELS_PER_ENDPOINT} channels begin at once, over UDP on the loopback; time from an endpoint's first hello
  to its keys. The endpoints are another process with one thread, on OpenSSL: their cost shares the cores and bounds the rate.
  Loss is drawn for each datagram in either direction. Media: a conference with ${MEDIA_RECEIVERS} receivers on a relay thread of its own in
  the switch's process, ${MEDIA_PACKETS_PER_SECOND} packets a second, before and during. Memory: resident, of the switch's process, for one association.`;

export function stormTable(runs: readonly StormMeasured[], memory: AssociationMemory): string {
  const header = ['loss', 'endpoints', 'completed', 'failed', 'p50 ms', 'p99 ms', 'media p99 µs', 'quiet'];
  const rows = runs.map((r) => [
    `${r.lossPercent} %`,
    String(r.endpoints),
    String(r.completed),
    String(r.failed),
    r.p50Ms.toFixed(0),
    r.p99Ms.toFixed(0),
    r.mediaP99Us.toFixed(0),
    r.quietMediaP99Us.toFixed(0),
  ]);
  const failures = runs.flatMap((r) => r.failures.map((f) => `failed at ${r.lossPercent} % loss: ${f}`));
  const kb = `An association: ${memory.pendingKb.toFixed(1)} KB pending, ${memory.establishedKb.toFixed(1)} KB established.`;
  return [table(header, rows, STORM_COUNTED), kb, ...failures].join('\n');
}
