import { createSecretKey } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { fromHex, readU16, readU32, toHex } from '../../../src/base/bytes.js';
import { aesCm, deriveCmSession } from '../../../src/srtp/aes-cm.js';
import { deriveGcmSession, GCM_TAG_BYTES, gcmOpen, gcmRtpIv } from '../../../src/srtp/aes-gcm.js';
import { deriveKey, type Label } from '../../../src/srtp/kdf.js';
import {
  aesBlockDecrypt,
  aesBlockEncrypt,
  unwrapKey,
  unwrapKeyPadded,
  wrapKey,
  wrapKeyPadded,
} from '../../../src/srtp/key-wrap.js';
import { cmTransform, gcmTransform } from '../../../src/srtp/transform.js';
import { vectors } from '../../support/vectors.js';

interface Derivation {
  masterKey: string;
  masterSalt: string;
  label: Label;
  output: string;
}
interface CmFile {
  aesCm: { key: string; counter: string; keystream: string }[];
  keyDerivation: Derivation[];
}
interface Packet3711 {
  kind: 'srtp' | 'srtcp';
  masterKey: string;
  masterSalt: string;
  roc?: number;
  index?: number;
  plain: string;
  protected: string;
}

const rfc3711 = vectors<CmFile & { packets: Packet3711[] }>('rfc3711');
const rfc6188 = vectors<CmFile>('rfc6188');

describe.each([
  ['rfc3711', rfc3711],
  ['rfc6188', rfc6188],
])('%s', (_name, file) => {
  it.each(file.keyDerivation)('derives label $label', ({ masterKey, masterSalt, label, output }) => {
    expect(toHex(deriveKey(fromHex(masterKey), fromHex(masterSalt), label, output.length / 2))).toBe(output);
  });

  it.each(file.aesCm)('has the keystream of $counter', ({ key, counter, keystream }) => {
    // The session salt is the counter without its last two bytes, the packet's part is zero: SSRC 0, index 0.
    const salt = fromHex(counter).subarray(0, 14);
    const start = readU16(fromHex(counter), 14);
    const session = { cipher: createSecretKey(fromHex(key)), salt, auth: createSecretKey(fromHex('00')) };
    const plain = new Uint8Array(16 * start + keystream.length / 2);
    expect(toHex(aesCm(session, 0, 0, plain).subarray(16 * start))).toBe(keystream);
  });
});

describe('rfc3711 packets', () => {
  it.each(rfc3711.packets)('$kind', ({ kind, masterKey, masterSalt, roc, index, plain, protected: sealed }) => {
    const [key, salt] = [fromHex(masterKey), fromHex(masterSalt)];
    const transform = cmTransform(deriveCmSession(key, salt, 'rtp'), deriveCmSession(key, salt, 'rtcp'));
    const packet = fromHex(plain);
    if (kind === 'srtp') {
      const at = (roc ?? 0) * 0x10000 + readU16(packet, 2);
      expect(toHex(transform.sealRtp(packet, 12, at))).toBe(sealed);
      expect(toHex(transform.openRtp(fromHex(sealed), 12, at)!)).toBe(plain);
    } else {
      expect(toHex(transform.sealRtcp(packet, index!))).toBe(sealed);
      expect(toHex(transform.openRtcp(fromHex(sealed))!)).toBe(plain);
      expect(transform.rtcpIndexWord(fromHex(sealed))).toBe(0x80000000 + index!);
    }
  });
});

interface GcmPacket {
  sessionKey: string;
  sessionSalt: string;
  roc: number;
  index: number;
  plain: string;
  protected: string;
}

describe('rfc7714', () => {
  const file = vectors<{ srtp: GcmPacket[]; srtcp: GcmPacket[] }>('rfc7714');
  const of = (v: GcmPacket) => {
    const session = { cipher: createSecretKey(fromHex(v.sessionKey)), salt: fromHex(v.sessionSalt) };
    return gcmTransform(session, session);
  };

  it.each(file.srtp)('srtp with a key of $sessionKey.length digits', (v) => {
    const packet = fromHex(v.plain);
    const index = v.roc * 0x10000 + readU16(packet, 2);
    expect(toHex(of(v).sealRtp(packet, 12, index))).toBe(v.protected);
    expect(toHex(of(v).openRtp(fromHex(v.protected), 12, index)!)).toBe(v.plain);
    const forged = fromHex(v.protected);
    forged[13]! ^= 1;
    expect(of(v).openRtp(forged, 12, index)).toBeUndefined();
  });

  it.each(file.srtcp)('srtcp with a key of $sessionKey.length digits', (v) => {
    expect(toHex(of(v).sealRtcp(fromHex(v.plain), v.index))).toBe(v.protected);
    expect(toHex(of(v).openRtcp(fromHex(v.protected))!)).toBe(v.plain);
    const forged = fromHex(v.protected);
    forged[forged.length - 1]! ^= 1;
    expect(of(v).openRtcp(forged)).toBeUndefined();
  });
});

describe('keywrap', () => {
  const file = vectors<{
    rfc3394: { kek: string; data: string; wrapped: string }[];
    rfc5649: { kek: string; data: string; wrapped: string }[];
    aesBlock: { key: string; plain: string; cipher: string }[];
  }>('keywrap');

  it.each(file.rfc3394)('RFC 3394 $wrapped', ({ kek, data, wrapped }) => {
    expect(toHex(wrapKey(fromHex(kek), fromHex(data)))).toBe(wrapped);
    expect(toHex(unwrapKey(fromHex(kek), fromHex(wrapped))!)).toBe(data);
    const forged = fromHex(wrapped);
    forged[3]! ^= 0x10;
    expect(unwrapKey(fromHex(kek), forged)).toBeUndefined();
    for (const length of [0, 8, 16, 23]) expect(unwrapKey(fromHex(kek), forged.subarray(0, length))).toBeUndefined();
  });

  it.each(file.rfc5649)('RFC 5649 $wrapped', ({ kek, data, wrapped }) => {
    expect(toHex(wrapKeyPadded(fromHex(kek), fromHex(data)))).toBe(wrapped);
    expect(toHex(unwrapKeyPadded(fromHex(kek), fromHex(wrapped))!)).toBe(data);
    const forged = fromHex(wrapped);
    forged[3]! ^= 0x10;
    expect(unwrapKeyPadded(fromHex(kek), forged)).toBeUndefined();
    for (const length of [0, 8, 15]) expect(unwrapKeyPadded(fromHex(kek), forged.subarray(0, length))).toBeUndefined();
  });

  it.each(file.aesBlock)('one AES block', ({ key, plain, cipher }) => {
    expect(toHex(aesBlockEncrypt(fromHex(key), fromHex(plain)))).toBe(cipher);
    expect(toHex(aesBlockDecrypt(fromHex(key), fromHex(cipher)))).toBe(plain);
  });
});

describe('key derivation for GCM (RFC 7714 §11)', () => {
  interface Switched {
    name: string;
    masterKey: string;
    masterSalt: string;
    roc: number;
    plain: string;
    in: string;
  }
  // RFC 7714 has no vectors of it; these packets were sealed under derived keys, the header with payload type and sink 0.
  it.each(vectors<{ switched: Switched[] }>('ekt-field').switched)('$name', (v) => {
    const [plain, packet] = [fromHex(v.plain), fromHex(v.in)];
    const session = deriveGcmSession(fromHex(v.masterKey), fromHex(v.masterSalt), 'rtp');
    const aad = packet.slice(0, 16);
    aad[1]! &= 0x80;
    aad[15]! &= 0xf0;
    const iv = gcmRtpIv(session.salt, readU32(packet, 8), v.roc, readU16(packet, 2));
    const opened = gcmOpen(session, iv, aad, packet.subarray(16, plain.length + GCM_TAG_BYTES));
    expect(opened && toHex(opened)).toBe(toHex(plain.subarray(16)));
  });
});
