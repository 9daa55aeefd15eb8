import { describe, expect, it } from 'vitest';
import { PROFILE_SIZES, type SrtpProfile } from '../../../src/dtls/association.js';
import { fingerprintOf } from '../../../src/dtls/certificate.js';
import { GROUP } from '../../../src/dtls/werift/messages.js';
import { ALL_PROFILES, certificates, hex, Pair } from './pair.js';

/** Both sides are established and hold the same keys, crosswise. */
export function expectEstablished(pair: Pair): void {
  expect(pair.failures).toEqual({ client: [], server: [] });
  expect(pair.states).toEqual(['established', 'established']);
  expect(pair.keys.client).toHaveLength(1);
  expect(pair.keys.server).toHaveLength(1);
  const [client, server] = [pair.keys.client[0]!, pair.keys.server[0]!];
  expect(client.profile).toBe(server.profile);
  expect(hex(client.local)).toBe(hex(server.remote));
  expect(hex(client.remote)).toBe(hex(server.local));
  expect(hex(client.local)).not.toBe(hex(client.remote));
}

describe('a handshake', () => {
  const cases = ALL_PROFILES.flatMap((profile) =>
    Object.entries(GROUP).map(([name, group]) => ({ profile, name, group })),
  );
  it.each(cases)('gives both sides the same keys: profile $profile, $name', ({ profile, group }) => {
    const pair = new Pair({ client: { profiles: [profile] }, clientTuning: { groups: [group] } }).start().run();
    expectEstablished(pair);
    const keys = pair.keys.client[0]!;
    expect(keys.profile).toBe(profile);
    expect(keys.local.length).toBe(PROFILE_SIZES[profile].key + PROFILE_SIZES[profile].salt);
    const promised = fingerprintOf(certificates.server.certificatePem, 'sha-256');
    expect(keys.peerFingerprint).toBe(Buffer.from(promised.value).toString('hex'));
  });
});
