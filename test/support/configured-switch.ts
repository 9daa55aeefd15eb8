/** A switch on loopback from lines of configuration, with certificates of a test authority in its folder. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import type { SecurityEvent } from '../../src/security/events.js';
import { loadConfig } from '../../src/server/load-config.js';
import { openLog } from '../../src/server/log.js';
import { Switch, type SwitchOptions } from '../../src/server/switch.js';
import { type Identity, issue, put } from './pki.js';

export interface Place {
  readonly folder: string;
  readonly root: Identity;
  readonly events: SecurityEvent[];
  readonly file: (name: string) => string;
  /** @param tls further lines of `[tls]`, and of `[sip]`. */
  readonly start: (
    toml: string,
    tls?: string,
    sip?: string,
    connections?: SwitchOptions['connections'],
  ) => Promise<Switch>;
  readonly close: () => Promise<void>;
}

export async function makePlace(): Promise<Place> {
  const folder = mkdtempSync(join(tmpdir(), 'claviger-test-'));
  const file = (name: string): string => join(folder, name);
  mkdirSync(file('tls'));
  const root = await issue(undefined, { cn: 'root' });
  const server = await issue(root, { cn: 'switch', names: ['switch.example', '127.0.0.1'] });
  put(folder, 'tls/server.pem', server.pem);
  put(folder, 'tls/key.pem', server.keyPem);
  put(folder, 'tls/ca.pem', root.pem);
  const events: SecurityEvent[] = [];
  let running: Switch | undefined;
  const start: Place['start'] = async (toml, tls = '', sip = '', connections) => {
    const text = `
[data]
dir = "${file('data')}"
[sip]
address = "127.0.0.1"
port = 0
${sip}
[media]
address = "127.0.0.1"
threads = 1
[dtls]
threads = 1
[admin]
port = 0
[tls]
certificate = "${file('tls/server.pem')}"
key = "${file('tls/key.pem')}"
ca = "${file('tls/ca.pem')}"
${tls}
${toml}`;
    const config = loadConfig({ file: put(folder, 'claviger.toml', text), flags: {}, env: {} });
    if (!config.ok) throw new Error(config.detail);
    const onSecurityEvent = (event: SecurityEvent): void => void events.push(event);
    running = await Switch.start(config.value, {
      ...{ log: openLog({ level: 'silent' }), onSecurityEvent },
      ...(connections === undefined ? {} : { connections }),
    });
    return running;
  };
  const close = async (): Promise<void> => {
    await running?.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  return { folder, root, events, file, start, close };
}

/** A place of its own for each test of a file, and what else is to be closed after it, the last one first. */
export function placeForEach(): { readonly place: Place; readonly closing: (() => Promise<unknown> | unknown)[] } {
  const closing: (() => Promise<unknown> | unknown)[] = [];
  let place: Place | undefined;
  beforeEach(async () => {
    place = await makePlace();
  });
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
    await place?.close();
  });
  return {
    closing,
    get place() {
      if (place === undefined) throw new Error('a place is there while a test runs');
      return place;
    },
  };
}

/**
 * A TCP port that was free just now; for the few settings that take no 0. From below the ports that the system gives to those
 * who ask for any, or one of them would soon have it, and below those for media.
 */
export function freePort(): Promise<number> {
  const port = 2_000 + Math.floor(Math.random() * 14_000);
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(freePort()));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(port)));
  });
}
