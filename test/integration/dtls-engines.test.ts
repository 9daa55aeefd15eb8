import { afterEach, describe, expect, it } from 'vitest';
import { dial } from '../support/caller.js';
import { type RunningSwitch, startSwitch, until } from '../support/running-switch.js';

let host: RunningSwitch | undefined;
afterEach(async () => {
  await host?.stop();
  host = undefined;
});

describe.each(['openssl', 'werift'] as const)('a switch whose DTLS engine is %s', (engine) => {
  it('brings endpoints of either engine into one secure conference', async () => {
    host = await startSwitch({ 'dtls-engine': engine });
    const to = { target: host.target('8000'), caPem: host.caPem };
    const alice = await dial(to, { name: 'alice', dtlsEngine: 'openssl' });
    const bob = await dial(to, { name: 'bob', dtlsEngine: 'werift' });
    await Promise.all([alice.call.ready, bob.call.ready]);
    await until('both hear each other', () => alice.received.length > 20 && bob.received.length > 20);
    expect(host.running.conferenceLevel('8000')).toBe('end-to-end');
    expect(host.events).toEqual([]);
  });

  it('loses a negotiation thread: its handshakes begin again or fail with an event, and the conference goes on', async () => {
    host = await startSwitch({ 'dtls-engine': engine, 'dtls-threads': '1' });
    const { running, events } = host;
    const to = { target: host.target('8000'), caPem: host.caPem };
    const [alice, bob] = await Promise.all([dial(to, { name: 'alice' }), dial(to, { name: 'bob' })]);
    await Promise.all([alice.call.ready, bob.call.ready]);
    const carol = await dial(to, { name: 'carol' });
    let carolEnded = false;
    void carol.call.ended.then(() => {
      carolEnded = true;
    });
    await running.negotiationThreads[0]!.terminate();
    await until('carol is in, or was told that she is not', () => carol.call.status().ready || carolEnded);
    expect(events.some((e) => e.code === 'dtls-failed')).toBe(carolEnded);
    const heard = alice.received.length;
    await until('alice still hears', () => alice.received.length > heard + 20);
    const dave = await dial(to, { name: 'dave' });
    await dave.call.ready;
    expect(running.conferenceLevel('8000')).toBe('end-to-end');
  });
});
