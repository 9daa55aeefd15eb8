/** What the others see when an endpoint dies, or nothing of it arrives for a while. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Caller, dial } from '../support/caller.js';
import { type Cli, claviger, killAll } from '../support/cli.js';
import { type RunningSwitch, startSwitch, until } from '../support/running-switch.js';

let host: RunningSwitch;
let folder = '';
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'claviger-test-'));
  host = await startSwitch();
});
afterEach(async () => {
  killAll();
  await host.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Alice in a process of her own, loud; Bob and Carol here, quiet. */
async function conference(): Promise<{ alice: Cli; bob: Caller; carol: Caller; fromAlice: (c: Caller) => number }> {
  writeFileSync(join(folder, 'ca.pem'), host.caPem);
  const to = { target: host.target('8000'), caPem: host.caPem };
  const bob = await dial(to, { name: 'bob', energy: () => 5 });
  const carol = await dial(to, { name: 'carol', energy: () => 5 });
  const alice = claviger(['call', host.target('8000'), '--ca', join(folder, 'ca.pem'), '--name', 'alice']);
  const fromAlice = (c: Caller): number => {
    const ours = new Set([...bob.sent, ...carol.sent].map((p) => p.ssrc));
    return c.received.filter((r) => r.media === 'video' && !ours.has(r.ssrc)).length;
  };
  await until('both see alice', () => fromAlice(bob) > 30 && fromAlice(carol) > 30);
  return { alice, bob, carol, fromAlice };
}

const noHarm = (c: Caller): unknown => {
  const { ready, drops } = c.call.status();
  return { ready, auth: drops.auth_failed ?? 0, replayed: drops.replayed ?? 0, spi: drops.unknown_spi ?? 0 };
};
const UNHARMED = { ready: true, auth: 0, replayed: 0, spi: 0 };

describe('an endpoint', () => {
  it('killed with SIGKILL: the others see each other within seconds, under a new group parameter set, without a fault', async () => {
    const { alice, bob, carol } = await conference();
    alice.child.kill('SIGKILL');
    const killed = bob.received.length;
    const carols = new Set(carol.sent.map((p) => p.ssrc));
    await until(
      'bob sees carol',
      () => bob.received.slice(killed).filter((r) => r.media === 'video' && carols.has(r.ssrc)).length > 30,
    );
    expect(host.running.conferenceLevel('8000')).toBe('end-to-end');
    // Both go on to send under the new set (WIRE.md 10) and still understand each other.
    await until('a second set is in use', () => host.running.counters().verified > 0 && setsOf(host) >= 2, 40_000);
    const marks = [bob, carol].map((c) => c.received.length);
    await until('media goes on under it', () => [bob, carol].every((c, i) => c.received.length > marks[i]! + 150));
    for (const c of [bob, carol]) expect(noHarm(c)).toEqual(UNHARMED);
    expect(host.events).toEqual([]);
  }, 70_000); // sets are at least 15 s apart (WIRE.md 10)

  it('silent for 2 s: nobody is dropped, and its picture comes back without a fault', async () => {
    const { alice, bob, carol, fromAlice } = await conference();
    alice.child.kill('SIGSTOP');
    await new Promise((resolve) => setTimeout(resolve, 2_000)); // the length of the silence is what is tested
    const marks = [bob, carol].map(fromAlice);
    alice.child.kill('SIGCONT');
    await until('both see alice again', () => [bob, carol].every((c, i) => fromAlice(c) > marks[i]! + 50));
    for (const c of [bob, carol]) expect(noHarm(c)).toEqual(UNHARMED);
    expect(host.events).toEqual([]);
    alice.child.kill('SIGINT');
    expect(await alice.exit).toBe(0);
    // A stream that is joined in its middle may begin with a Short tag (no_key); nothing else was refused.
    expect(alice.output.text).toContain('media flows');
    expect(alice.output.text).not.toMatch(/auth_failed|replayed|too_old|unknown_spi|malformed|not_ready/);
  });
});

function setsOf(running: RunningSwitch): number {
  return running.running.groupSetsMade('8000');
}
