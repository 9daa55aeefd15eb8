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
});
