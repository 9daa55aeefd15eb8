import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  DTLS_MAX_ASSOCIATIONS_PER_WORKER,
  DTLS_MAX_QUEUED_DATAGRAMS_PER_ASSOCIATION,
  DTLS_MAX_STRANGERS_PER_WORKER,
  DTLS_WORKER_WINDOW_MESSAGES,
} from '../../../src/base/limits.js';
import type { AssociationOptions, AssociationOutput } from '../../../src/dtls/association.js';
import { AssociationPool, type PoolAssociation } from '../../../src/dtls/pool.js';
import { ensureBuilt } from './built.js';
import { ENGINES } from './matches.js';
import { type Failure, hex, type Keys, optionsFor } from './pair.js';

beforeAll(ensureBuilt);

let pool: AssociationPool | undefined;
afterEach(async () => {
  await pool?.close();
  pool = undefined;
});

/** One association with a record of what it gave, and promises for what a test waits for. */
class Watched {
  readonly outputs: AssociationOutput[] = [];
  peer: Watched | undefined;
  readonly handle: PoolAssociation;
  #waiting: (() => void)[] = [];

  constructor(pool: AssociationPool, options: AssociationOptions) {
    this.handle = pool.open(options, (output) => {
      if (output.type === 'datagram') this.peer?.handle.receive([output.bytes]);
      else this.outputs.push(output);
      for (const wake of this.#waiting.splice(0)) wake();
    });
  }

  async wait<T extends AssociationOutput['type']>(type: T): Promise<Extract<AssociationOutput, { type: T }>> {
    for (;;) {
      const found = this.outputs.find((o): o is Extract<AssociationOutput, { type: T }> => o.type === type);
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }
}

function openPair(into: AssociationPool): { client: Watched; server: Watched } {
  const server = new Watched(into, optionsFor('server'));
  const client = new Watched(into, optionsFor('client'));
  client.peer = server;
  server.peer = client;
  return { client, server };
}

describe.each(ENGINES)('the association pool on %s', (engine) => {
  it('completes fifty handshakes spread evenly over its workers', async () => {
    const mine = new AssociationPool({ threads: 2, engine });
    pool = mine;
    const pairs = Array.from({ length: 50 }, () => openPair(mine));
    expect(mine.stats().workers.map((w) => w.associations)).toEqual([50, 50]);
    for (const { client, server } of pairs) {
      const [c, s]: Keys[] = await Promise.all([client.wait('keys'), server.wait('keys')]);
      expect(hex(c!.local)).toBe(hex(s!.remote));
      expect(hex(c!.remote)).toBe(hex(s!.local));
    }
    pairs[0]!.client.handle.close();
    await Promise.all([pairs[0]!.client.wait('closed'), pairs[0]!.server.wait('closed')]);
    expect(mine.stats()).toMatchObject({ associations: 98, opened: 100, droppedDatagrams: 0, lostWorkers: 0 });
  });

  it('tells the associations of a dead worker, and no others, that their engine is lost', async () => {
    const errors: Error[] = [];
    const mine = new AssociationPool({ threads: 2, engine, onWorkerLost: (error) => errors.push(error) });
    pool = mine;
    const pairs = [openPair(mine), openPair(mine), openPair(mine)];
    await Promise.all(pairs.flatMap(({ client, server }) => [client.wait('keys'), server.wait('keys')]));
    // Servers were opened first in each pair, so all of them are in the first worker.
    const victim = mine.stats().workers[0]!;
    await mine.threads.find((thread) => thread.threadId === victim.threadId)!.terminate();
    for (const { client, server } of pairs) {
      const lost: Failure = await server.wait('failed');
      expect(lost.reason).toBe('engine-lost');
      expect(client.outputs.map((o) => o.type)).toEqual(['keys']);
    }
    expect(errors).toHaveLength(1);
    expect(mine.stats()).toMatchObject({ associations: 3, lostWorkers: 1 });

    const later = openPair(mine); // the place of the dead worker is taken
    await Promise.all([later.client.wait('keys'), later.server.wait('keys')]);
    expect(mine.stats().workers.map((w) => w.associations)).toEqual([2, 3]);
  });

  it('drops and counts the datagrams that a worker has no time for', async () => {
    const mine = new AssociationPool({ threads: 1, engine });
    pool = mine;
    const { client, server } = openPair(mine);
    const flood = Array.from({ length: 100 }, () => Uint8Array.of(22));
    server.handle.receive(flood);
    server.handle.receive(flood);
    expect(mine.stats().droppedDatagrams).toBe(200 - DTLS_MAX_QUEUED_DATAGRAMS_PER_ASSOCIATION);
    await Promise.all([client.wait('keys'), server.wait('keys')]);
  });

  it('reports a failure once and forgets the association', async () => {
    const mine = new AssociationPool({ threads: 1, engine });
    pool = mine;
    const client = new Watched(mine, optionsFor('client', { certificatePem: 'nothing' }));
    expect((await client.wait('failed')).reason).toBe('no-certificate');
    expect(mine.stats().associations).toBe(0);
  });

  it('refuses an association that no worker has room for', async () => {
    const mine = new AssociationPool({ threads: 1, engine });
    pool = mine;
    const options = optionsFor('client', { certificatePem: 'nothing' }); // fails at once, but not before this turn ends
    const ended = Array.from({ length: DTLS_MAX_ASSOCIATIONS_PER_WORKER + 1 }, () => {
      const watched = new Watched(mine, options);
      return watched.wait('failed');
    });
    expect(mine.stats().associations).toBe(DTLS_MAX_ASSOCIATIONS_PER_WORKER);
    expect((await ended.at(-1)!).reason).toBe('limit-exceeded');
    expect(new Set((await Promise.all(ended.slice(0, -1))).map((f) => f.reason))).toEqual(new Set(['no-certificate']));
    expect(mine.stats().associations).toBe(0);
  });

  it('refuses the latest of too many strangers, and nobody whose call was accepted', async () => {
    const mine = new AssociationPool({ threads: 1, engine });
    pool = mine;
    const refused: string[] = [];
    const stranger = () =>
      mine.open(optionsFor('server'), (out) => out.type === 'failed' && refused.push(out.reason), 'stranger');
    for (let i = 0; i < DTLS_MAX_STRANGERS_PER_WORKER; i++) stranger();
    expect(mine.stats().associations).toBe(DTLS_MAX_STRANGERS_PER_WORKER);
    stranger();
    expect(mine.stats().associations).toBe(DTLS_MAX_STRANGERS_PER_WORKER);
    const { client, server } = openPair(mine);
    await Promise.all([client.wait('keys'), server.wait('keys')]);
    expect(refused).toEqual(['limit-exceeded']);
  });

  it('a flood of strangers does not make an accepted call wait for its turn', async () => {
    const mine = new AssociationPool({ threads: 1, engine });
    pool = mine;
    const bad = optionsFor('client', { certificatePem: 'nothing' }); // ends as soon as its turn comes
    const order: string[] = [];
    for (let i = 0; i < DTLS_MAX_STRANGERS_PER_WORKER; i++) {
      mine.open(bad, (out) => out.type === 'failed' && order.push('stranger'), 'stranger');
    }
    await new Promise<void>((resolve) => {
      mine.open(bad, (out) => {
        if (out.type !== 'failed') return;
        order.push('accepted');
        resolve();
      });
    });
    expect(order.indexOf('accepted')).toBeLessThanOrEqual(DTLS_WORKER_WINDOW_MESSAGES);
  });

  it('opens nothing after it was closed', async () => {
    const mine = new AssociationPool({ threads: 1, engine });
    await mine.close();
    await mine.close();
    const late = new Watched(mine, optionsFor('client'));
    expect(late.outputs).toEqual([]);
    expect((await late.wait('failed')).reason).toBe('engine-lost');
  });

  it('leaves the caller its private key', async () => {
    const mine = new AssociationPool({ threads: 1, engine });
    pool = mine;
    const options = optionsFor('client');
    new Watched(mine, options);
    expect(options.privateKeyPem.wiped).toBe(false);
    expect(options.privateKeyPem.use((bytes) => bytes.length)).toBeGreaterThan(100);
  });
});
