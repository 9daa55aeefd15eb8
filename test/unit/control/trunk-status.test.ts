/** What a trunk is told of the security of its calls (T7), and which calls it may not carry (T6). */
import { describe, expect, it } from 'vitest';
import type { Access, TrunkProfile } from '../../../src/sip/trunk.js';
import { Bench, secured } from './harness.js';

const TRUNK: TrunkProfile = {
  name: 'cucm',
  description: '',
  security: 'encrypted',
  incoming: ['tls'],
  outgoing: 'tls',
  x509Names: ['cucm.example'],
  peers: [],
  digest: false,
  nonceValidityMs: 600_000,
  applicationAuthorization: false,
  accept: [],
  transmitSecurityStatus: true,
  srtp: true,
  keying: 'dtls',
  sdpKeySuites: ['AES_CM_128_HMAC_SHA1_80'],
};
const ACCESS: Access = { type: 'trunk', trunk: 'cucm' };

/** Start line and Call-Info of what control sent with an SDP. */
const told = (bench: Bench): string[] =>
  bench.texts
    .filter((text) => text.includes('application/sdp'))
    .map((text) => `${text.split(' ')[0]}: ${/^Call-Info: (.*)\r$/m.exec(text)?.[1] ?? 'nothing'}`);

describe('transmit security status (T7)', () => {
  it('is Authenticated while nothing is proven, and Encrypted in a re-INVITE when every channel is', () => {
    const bench = new Bench({ trunks: [TRUNK] }, true, ACCESS);
    secured(bench);
    expect(told(bench)).toEqual([
      'SIP/2.0: <urn:x-cisco-remotecc:callinfo>;security=Authenticated',
      'INVITE: <urn:x-cisco-remotecc:callinfo>;security=Encrypted',
    ]);
  });

  it('never says Encrypted of plain RTP', () => {
    const trunk: TrunkProfile = { ...TRUNK, security: 'authenticated', srtp: false };
    const bench = new Bench({ trunks: [trunk], adHoc: { policy: 'non-secure', requiredLevel: 'none' } }, true, ACCESS);
    bench.dial('8000', 'plain');
    expect(told(bench).join('\n')).not.toContain('Encrypted');
    expect(told(bench)[0]).toContain('security=Authenticated');
  });

  it('is not told to a trunk that does not want it, nor to anybody else', () => {
    for (const [trunks, access] of [
      [[{ ...TRUNK, transmitSecurityStatus: false }], ACCESS],
      [[TRUNK], undefined],
    ] as const) {
      const bench = new Bench({ trunks }, true, access);
      secured(bench);
      expect(told(bench)).toEqual(['SIP/2.0: nothing']);
    }
  });
});

describe('SRTP that a trunk does not allow (T6)', () => {
  it('a secure offer gets 488 and opens no channel', () => {
    const bench = new Bench({ trunks: [{ ...TRUNK, security: 'authenticated', srtp: false }] }, true, ACCESS);
    bench.dial();
    expect(bench.heard).toContainEqual(expect.objectContaining({ type: 'failed', status: 488 }));
    expect(bench.called('openChannel')).toEqual([]);
  });
});
