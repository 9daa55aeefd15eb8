import { describe, expect, it } from 'vitest';
import { PROFILE_SIZES, type SrtpProfile } from '../../../src/dtls/association.js';
import { fingerprintOf } from '../../../src/dtls/certificate.js';
import { GROUP } from '../../../src/dtls/werift/messages.js';
import { ALL_PROFILES, certificates, expectEstablished, Pair } from './pair.js';

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

  it('goes without the extended master secret where the client does not offer it', () => {
    expectEstablished(new Pair({ clientTuning: { extendedMasterSecret: false } }).start().run());
  });

  it('takes the first profile of the server that the client offers', () => {
    const choose = (client: readonly SrtpProfile[], server: readonly SrtpProfile[]) => {
      const pair = new Pair({ client: { profiles: client }, server: { profiles: server } }).start().run();
      expectEstablished(pair);
      return pair.keys.client[0]!.profile;
    };
    expect(choose([1, 7, 8], [8, 7, 1])).toBe(8);
    expect(choose([8, 7, 1], [1, 7, 8])).toBe(1);
    expect(choose([7, 1], [8, 7, 1])).toBe(7);
  });
});
