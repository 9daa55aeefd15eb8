/** test/vectors/ekt-field.json, and what the AEAD of suites 17 and 18 does not see of a header (WIRE.md 6). */
import { describe, expect, it } from 'vitest';
import { fromHex, readU16, readU32, toHex } from '../../../src/base/bytes.js';
import { Secret } from '../../../src/base/secret.js';
import { GCM_TAG_BYTES, gcmRtpIv } from '../../../src/srtp/aes-gcm.js';
import { FieldKeys } from '../../../src/srtp/field-keys.js';
import { aeadAad, openFieldRtp, sealFieldRtp, withRouteTag } from '../../../src/srtp/field-packet.js';
import { InstalledSet } from '../../../src/srtp/group-set.js';
import { packetIndex } from '../../../src/srtp/index-estimate.js';
import { fieldPlaintext, fullField, splitEktField } from '../../../src/wire/ekt-field.js';
import { parseRtpHeader, writeRtpHeader } from '../../../src/wire/rtp.js';
import { Random } from '../../support/random.js';
import { vectors } from '../../support/vectors.js';

interface Field {
  kek: string;
  masterKey: string;
  ssrc: string;
  roc: number;
  spi: number;
  epoch: number;
  field: string;
}
interface Switched {
  name: string;
  masterKey: string;
  masterSalt: string;
  roc: number;
  sink: number;
  plain: string;
  trailingByte: string;
  in: string;
  out: string;
}
const file = vectors<{ fields: Field[]; switched: Switched[] }>('ekt-field');

const suiteOf = (hex: string) => (hex.length === 64 ? 18 : 17);
const keysOf = (v: { masterKey: string; masterSalt: string }) =>
  new FieldKeys(
    { spiWord: 0x1235, wrapped: new Uint8Array(0), ssrc: 0xcafebabe, roc: 0 },
    new Secret(fromHex(v.masterKey)),
    new Secret(fromHex(`${v.masterSalt}0000`)),
  );

describe('ekt-field vectors', () => {
  it.each(file.fields)('Full field, ROC $roc, epoch $epoch', (v) => {
    const suite = suiteOf(v.kek);
    const installed = new InstalledSet({
      spiWord: v.spi,
      suite,
      cipher: suite === 17 ? 3 : 4,
      kek: new Secret(fromHex(v.kek)),
      masterSalt: new Secret(new Uint8Array(14)),
    });
    const plain = fieldPlaintext(fromHex(v.masterKey), Number.parseInt(v.ssrc, 16), v.roc);
    expect(toHex(fullField(installed.wrap(plain), v.spi, v.epoch))).toBe(v.field);
    const split = splitEktField(fromHex(`${'00'.repeat(10)}${v.field}`), 0, suite);
    if (!split.ok || split.value.form !== 'full') throw new Error('the vector is no Full field');
    expect(installed.unwrap(split.value.wrapped)?.use(toHex)).toBe(toHex(plain));
  });

  it.each(file.switched)('$name: sealed, switched and opened', (v) => {
    const [keys, plain, datagram] = [keysOf(v), fromHex(v.plain), fromHex(v.in)];
    const header = parseRtpHeader(plain);
    const split = splitEktField(datagram, 0, suiteOf(v.masterKey));
    if (!header.ok || !split.ok) throw new Error('the vector does not parse');
    const { length, sequence } = header.value;
    const index = packetIndex(v.roc, sequence);
    const trailing = Number.parseInt(v.trailingByte, 16);
    const field = split.value.bytes;
    const sealed = sealFieldRtp(keys, plain.subarray(0, length), plain.subarray(length), index, field, trailing);
    expect(toHex(sealed)).toBe(v.in);

    const packet = Uint8Array.from(datagram.subarray(0, split.value.at - 1));
    packet[15] = (packet[15]! & 0xf0) | v.sink;
    expect(toHex(withRouteTag(keys, length, packet, 0, v.roc, field))).toBe(v.out);
    expect(toHex(openFieldRtp(keys, length, packet, index)!)).toBe(toHex(plain.subarray(length)));
  });
});

describe('what the AEAD sees', () => {
  const random = new Random(9);
  const header = (payloadType: number, sink: number, more: Partial<Parameters<typeof writeRtpHeader>[0]> = {}) =>
    writeRtpHeader({
      payloadType,
      sequence: 7,
      timestamp: 9,
      ssrc: 0xcafebabe,
      csrcs: [0xabcde010 | sink, 5],
      ...more,
    });

  it('AAD, IV and so the tag are the same for every sink and payload type', () => {
    const keys = keysOf(file.switched[0]!);
    const seen = new Set<string>();
    for (let payloadType = 0; payloadType < 128; payloadType++) {
      for (let sink = 0; sink < 16; sink++) {
        const own = header(payloadType, sink);
        const iv = gcmRtpIv(keys.rtp.salt, readU32(own, 8), 3, readU16(own, 2));
        const sealed = sealFieldRtp(keys, own, Uint8Array.of(1, 2, 3), packetIndex(3, 7), Uint8Array.of(0));
        seen.add([aeadAad(own), iv, sealed.subarray(own.length, own.length + 3 + GCM_TAG_BYTES)].map(toHex).join(' '));
      }
    }
    expect(seen.size).toBe(1);
  });

  it('every other bit of the header is covered', () => {
    const own = header(96, 1, { marker: true, extension: { profile: 0xbede, data: random.bytes(8) } });
    const aad = toHex(aeadAad(own));
    for (let bit = 0; bit < 8 * own.length; bit++) {
      const at = bit >>> 3;
      const mask = 1 << (bit & 7);
      const free = (at === 1 && mask < 0x80) || (at === 15 && mask < 0x10);
      const changed = Uint8Array.from(own);
      changed[at]! ^= mask;
      expect(toHex(aeadAad(changed)) === aad, `bit ${bit}`).toBe(free);
    }
  });

  it('without a CSRC the payload type alone is left out', () => {
    const bare = writeRtpHeader({
      payloadType: 96,
      sequence: 1,
      timestamp: 2,
      ssrc: 3,
      extension: { profile: 1, data: random.bytes(4) },
    });
    expect([...bare.keys()].filter((i) => aeadAad(bare)[i] !== bare[i])).toEqual([1]);
  });
});
