import { createPrivateKey, X509Certificate } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createSelfSigned, fingerprintOf } from '../../../src/dtls/certificate.js';

const NOW = Date.UTC(2026, 5, 1);

describe('a self-signed certificate', () => {
  it('is ECDSA P-256, valid now, and signed with the key that comes with it', async () => {
    const made = await createSelfSigned('switch, room "7"', NOW);
    const certificate = new X509Certificate(made.certificatePem);
    const key = made.privateKeyPem.use((pem) => createPrivateKey(Buffer.from(pem)));
    expect(certificate.toLegacyObject().subject).toMatchObject({ CN: 'switch, room "7"' });
    expect(certificate.publicKey.asymmetricKeyDetails).toEqual({ namedCurve: 'prime256v1' });
    expect(certificate.checkPrivateKey(key)).toBe(true);
    expect(certificate.verify(certificate.publicKey)).toBe(true);
    expect(Date.parse(certificate.validFrom)).toBeLessThan(NOW);
    expect(Date.parse(certificate.validTo)).toBeGreaterThan(NOW + 20 * 24 * 3600 * 1000);
    expect(`${made.privateKeyPem}`).toBe('[secret]');
  });

  it('is another one each time', async () => {
    const [a, b] = await Promise.all([createSelfSigned('x', NOW), createSelfSigned('x', NOW)]);
    expect(new X509Certificate(a.certificatePem).serialNumber).not.toBe(
      new X509Certificate(b.certificatePem).serialNumber,
    );
  });

  it('has the fingerprints that node computes', async () => {
    const { certificatePem } = await createSelfSigned('x', NOW);
    const node = new X509Certificate(certificatePem);
    const colons = (value: Uint8Array) =>
      Array.from(value, (b) => b.toString(16).padStart(2, '0').toUpperCase()).join(':');
    expect(colons(fingerprintOf(certificatePem, 'sha-256').value)).toBe(node.fingerprint256);
    expect(colons(fingerprintOf(certificatePem, 'sha-512').value)).toBe(node.fingerprint512);
    expect(fingerprintOf(certificatePem, 'sha-384').value).toHaveLength(48);
  });
});
