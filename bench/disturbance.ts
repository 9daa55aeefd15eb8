/** What goes on elsewhere in the process while a relay thread works: DTLS handshakes and garbage collections. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { AssociationOptions } from '../src/dtls/association.js';
import { createSelfSigned, fingerprintOf } from '../src/dtls/certificate.js';
import { AssociationPool, type PoolAssociation } from '../src/dtls/pool.js';

export const HANDSHAKES_PER_SECOND = 100;
export const COLLECTIONS_PER_SECOND = 10;
const TICK_MS = 5;
/** Handshakes under way; what the machine cannot do in time is not piled up. */
const MAX_UNDER_WAY = 20;
const MTU_BYTES = 1_200;

/** Collects all garbage at once: V8's own function, which `--expose-gc` shows to new contexts. */
export function exposeCollector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}

type Identity = Awaited<ReturnType<typeof createSelfSigned>>;

export interface Disturbed {
  readonly handshakes: number;
  readonly failedHandshakes: number;
  readonly collections: number;
  readonly seconds: number;
}

export class Disturbance {
  readonly #pool = new AssociationPool({ threads: 1, engine: 'werift' });
  readonly #collect = exposeCollector();
  readonly #client: Identity;
  readonly #server: Identity;
  /** What the collector has to walk through. */
  readonly #kept: object[] = Array.from({ length: 50_000 }, (_, i) => ({ i, next: [i] }));
  #timer: NodeJS.Timeout | undefined;
  #began = 0;
  #begun = 0;
  #done = 0;
  #failed = 0;
  #collections = 0;
  #runningMs = 0;

  private constructor(client: Identity, server: Identity) {
    this.#client = client;
    this.#server = server;
  }

  static async make(): Promise<Disturbance> {
    const now = Date.now();
    return new Disturbance(await createSelfSigned('bench client', now), await createSelfSigned('bench server', now));
  }

  start(): void {
    this.#began = performance.now();
    const { begun, collections } = { begun: this.#begun, collections: this.#collections };
    this.#timer = setInterval(() => {
      const seconds = (performance.now() - this.#began) / 1_000;
      const wanted = begun + Math.floor(seconds * HANDSHAKES_PER_SECOND);
      while (this.#begun < wanted && this.#begun - this.#done - this.#failed < MAX_UNDER_WAY) this.#handshake();
      if (this.#collections < collections + Math.floor(seconds * COLLECTIONS_PER_SECOND)) {
        this.#collections++;
        this.#collect();
      }
    }, TICK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#runningMs += performance.now() - this.#began;
  }

  /** Since it was made, while it was running. */
  soFar(): Disturbed {
    return {
      handshakes: this.#done,
      failedHandshakes: this.#failed,
      collections: this.#collections,
      seconds: this.#runningMs / 1_000,
    };
  }

  async close(): Promise<void> {
    if (this.#timer !== undefined) this.stop();
    this.#kept.length = 0;
    await this.#pool.close();
    this.#client.privateKeyPem.wipe();
    this.#server.privateKeyPem.wipe();
  }

  /** Two associations that talk to each other; both are closed once both have their keys. */
  #handshake(): void {
    this.#begun++;
    const ends: { client?: PoolAssociation; server?: PoolAssociation } = {};
    let keys = 0;
    let over = false;
    const finish = (failed: boolean): void => {
      if (over) return;
      over = true;
      if (failed) this.#failed++;
      else this.#done++;
      ends.client?.close();
      ends.server?.close();
    };
    const open = (role: 'client' | 'server', peer: 'client' | 'server'): PoolAssociation =>
      this.#pool.open(this.#optionsOf(role), (output) => {
        if (output.type === 'datagram') ends[peer]?.receive([output.bytes]);
        else if (output.type === 'failed') finish(true);
        else if (output.type === 'keys') {
          output.local.wipe();
          output.remote.wipe();
          if (++keys === 2) finish(false);
        }
      });
    ends.server = open('server', 'client');
    ends.client = open('client', 'server');
  }

  #optionsOf(role: 'client' | 'server'): AssociationOptions {
    const [own, peer] = role === 'client' ? [this.#client, this.#server] : [this.#server, this.#client];
    return {
      role,
      certificatePem: own.certificatePem,
      privateKeyPem: own.privateKeyPem,
      peerFingerprints: [fingerprintOf(peer.certificatePem, 'sha-256')],
      profiles: [1],
      mtuBytes: MTU_BYTES,
    };
  }
}
