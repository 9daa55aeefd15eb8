/** Key material that leaks: nothing that the switch says while it runs holds a key that the run used. */
import { afterEach, describe, expect, it } from 'vitest';
import type { KeyLogEntry } from '../../src/endpoint/index.js';
import { dial } from '../support/caller.js';
import { type RunningSwitch, startSwitch, until } from '../support/running-switch.js';

let host: RunningSwitch | undefined;
afterEach(async () => {
  await host?.stop();
  host = undefined;
});

/** A secret in the spellings in which it could slip into text. */
function spellings(hex: string): string[] {
  const bytes = Buffer.from(hex, 'hex');
  return [hex, hex.toUpperCase(), bytes.toString('base64'), bytes.toString('base64url'), [...bytes].join(',')];
}

describe('a leak of keys', () => {
  it('into debug log, events, metrics or health: none, in a run with joins, refusals and leaves', async () => {
    host = await startSwitch();
    const to = { target: host.target('8000'), caPem: host.caPem };
    const keys: KeyLogEntry[] = [];
    const onKeys = (_: unknown, entry: KeyLogEntry): void => void keys.push(entry);
    const alice = await dial(to, { name: 'alice', onKeys });
    const bob = await dial(to, { name: 'bob', onKeys });
    await Promise.all([alice.call.ready, bob.call.ready]);
    await dial(to, { name: 'plain', security: 'plain' }).catch(() => undefined);
    await dial(to, { name: 'old', tipVersion: 6 }).then((c) => c.call.ended);
    await until('media flows', () => bob.received.length > 50);
    const admin = `http://127.0.0.1:${host.running.admin.port}`;
    const pages = await Promise.all(['/metrics', '/health/ready'].map(async (p) => (await fetch(admin + p)).text()));
    await alice.call.hangup();
    await bob.call.hangup();
    const said = [...host.log, ...host.events.map((e) => JSON.stringify(e)), ...pages].join('\n');
    expect(said.length).toBeGreaterThan(2_000);
    const secrets = keys.flatMap((k) =>
      k.kind === 'channel-keys'
        ? [k.local, k.remote]
        : k.kind === 'group-parameter-set'
          ? [k.kek, k.masterSalt]
          : [k.key],
    );
    expect(secrets.length).toBeGreaterThanOrEqual(12);
    // Halves too: of channel keys, the key without its salt.
    for (const secret of new Set(secrets.flatMap((s) => [s, s.slice(0, 32)]))) {
      for (const spelling of spellings(secret)) expect(said.includes(spelling)).toBe(false);
    }
  });
});
