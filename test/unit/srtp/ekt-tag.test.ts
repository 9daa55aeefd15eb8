import { describe, expect, it } from 'vitest';
import { concat, fromHex, readU16, readU32, toHex } from '../../../src/base/bytes.js';
import { Secret } from '../../../src/base/secret.js';
import { sealEktRtcp, sealEktRtp } from '../../../src/srtp/ekt-packet.js';
import { EktReceiver } from '../../../src/srtp/ekt-receiver.js';
import { EktSender } from '../../../src/srtp/ekt-sender.js';
import { InstalledSet } from '../../../src/srtp/group-set.js';
import { packetIndex } from '../../../src/srtp/index-estimate.js';
import { type OracleParameters, RelayOracle } from '../../../src/srtp/relay-oracle.js';
import { SenderKeys } from '../../../src/srtp/sender-keys.js';
import { fullTail, shortRtcpTail, shortRtpTail, splitEktTag, tagForm } from '../../../src/wire/ekt-tag.js';
import { secret, vectors } from '../../support/vectors.js';

interface Packet {
  kind: 'srtp' | 'srtcp';
  tag: 'full' | 'short';
  roc?: number;
  isn?: number;
  index?: number;
  plain: string;
  protected: string;
}
interface Switched {
  name: string;
  sink: number | null;
  in: string;
  trailingByte: string;
  out: string;
}
const file = vectors<{
  kek: string;
  masterKey: string;
  masterSalt: string;
  encryptedMasterKey: string;
  spiWord: string;
  packets: Packet[];
  switched: Switched[];
}>('ekt-tag');

const SPI_WORD = Number.parseInt(file.spiWord, 16);
const set = { spiWord: SPI_WORD, suite: 1, cipher: 1, kek: secret(file.kek), masterSalt: secret(file.masterSalt) };

function senderKeys(): SenderKeys {
  const installed = new InstalledSet(set);
  const wrapped = installed.wrap(fromHex(file.masterKey));
  expect(toHex(wrapped)).toBe(file.encryptedMasterKey);
  return SenderKeys.derived(SPI_WORD, wrapped, secret(file.masterKey), set.masterSalt);
}

describe('ekt-tag vectors', () => {
  it.each(file.packets)('$kind $tag roc $roc', (v) => {
    const keys = senderKeys();
    const plain = fromHex(v.plain);
    if (v.kind === 'srtp') {
      const index = packetIndex(v.roc!, readU16(plain, 2));
      expect(toHex(sealEktRtp(keys, plain.subarray(0, 12), plain.subarray(12), index, v.isn))).toBe(v.protected);
    } else {
      const full = v.isn === undefined ? undefined : { roc: v.roc!, isn: v.isn };
      expect(toHex(sealEktRtcp(keys, plain, v.index!, full))).toBe(v.protected);
    }
  });

  it('EktSender writes the first packet of a stream as the vector has it', () => {
    const v = file.packets[0]!;
    const plain = fromHex(v.plain);
    const sender = new EktSender({ ssrc: readU32(plain, 8), sequence: 0x1234, set, key: secret(file.masterKey) });
    expect(toHex(sender.protectRtp(plain.subarray(0, 12), plain.subarray(12), { full: true }))).toBe(v.protected);
  });

  it('EktReceiver reads SRTCP with a Full and, once the key is known, with a Short tag', () => {
    const receiver = new EktReceiver();
    expect(receiver.addSet(set).ok).toBe(true);
    const [full, short] = file.packets.filter((v) => v.kind === 'srtcp');
    expect(receiver.receiveRtcp(fromHex(short!.protected), 0)).toMatchObject({ ok: false, reason: 'no_key' });
    // The vector's plain text is no RTCP: decrypted, it is refused as such, after it has verified.
    expect(receiver.receiveRtcp(fromHex(full!.protected), 0)).toMatchObject({ ok: false, reason: 'malformed' });
    const compound = concat(fromHex('80c80006cafebabe'), new Uint8Array(20));
    const keys = senderKeys();
    expect(receiver.receiveRtcp(sealEktRtcp(keys, compound, 1, { roc: 0, isn: 4660 }), 0)).toEqual({
      ok: true,
      value: { ssrc: 0xcafebabe, compound },
    });
    expect(receiver.receiveRtcp(sealEktRtcp(keys, compound, 2, undefined), 0).ok).toBe(true);
  });
});

describe('ekt-tag vectors, switched', () => {
  const parameters: OracleParameters = {
    transmitMask: 0b1110,
    trailingByte: true,
    level: 'end-to-end',
    ready: true,
    payloadTypes: [
      { payloadType: 96, codec: 1 },
      { payloadType: 97, codec: 2 },
    ],
  };
  const keys = { profile: 1 as const, local: new Secret(new Uint8Array(30)), remote: new Secret(new Uint8Array(30)) };

  it.each([
    ['video', file.switched.slice(0, 2)],
    ['audio', file.switched.slice(2)],
  ] as const)('%s', (media, packets) => {
    const oracle = new RelayOracle();
    for (const channel of [1, 2]) {
      oracle.openChannel({ channel, conference: 1, member: channel, media, parameters, keys });
    }
    expect(oracle.installSet(1, set).ok).toBe(true);
    oracle.setAcked(1, SPI_WORD);
    oracle.setAcked(2, SPI_WORD);
    for (const v of packets) {
      const position = media === 'video' ? 1 : 2;
      oracle.setEdges(1, media, [{ source: 1, position, receiver: 2, sink: v.sink ?? position }]);
      const verdict = oracle.feed(1, fromHex(v.in), 0);
      expect(verdict.drop).toBeUndefined();
      expect(verdict.trailingByte).toBe(Number.parseInt(v.trailingByte, 16));
      expect(verdict.outputs.map((o) => [o.receiver, toHex(o.bytes)])).toEqual([[2, v.out]]);
    }
  });
});

describe('the EKT tag on the wire', () => {
  const wrapped = Uint8Array.from({ length: 16 }, (_, i) => 0x40 + i);

  it('splits what it composes, with both ciphers', () => {
    for (const [cipher, bytes] of [
      [1, 16],
      [2, 24],
    ] as const) {
      const key = Uint8Array.from({ length: bytes }, (_, i) => i);
      const packet = concat(new Uint8Array(12), fullTail(key, 0x01020304, 0xfffe, 0x8001));
      expect(splitEktTag(packet, 12, cipher)).toMatchObject({
        ok: true,
        value: { form: 'full', at: 12, wrappedKey: key, roc: 0x01020304, isn: 0xfffe, spiWord: 0x8001 },
      });
      expect(splitEktTag(packet, 13, cipher)).toMatchObject({ ok: false, reason: 'malformed' });
    }
  });

  it('lets the last bit alone decide on the form', () => {
    const packet = concat(new Uint8Array(12), new Uint8Array(10), Uint8Array.of(0xfe));
    expect(splitEktTag(packet, 12, 1)).toMatchObject({ ok: true, value: { form: 'short', at: 12 } });
    expect(splitEktTag(packet, 13, 1)).toMatchObject({ ok: false, reason: 'malformed' });
    packet[22] = 1;
    expect(tagForm(packet)).toBe('full');
    expect(tagForm(new Uint8Array(0))).toBe('short');
  });

  it('has the inputs of WIRE.md 5 behind the authenticated portion', () => {
    expect(toHex(fullTail(wrapped, 1, 2, 3))).toBe(`${'00'.repeat(10)}${toHex(wrapped)}0000000100020003`);
    expect(toHex(shortRtpTail(0xa1b2c3d4))).toBe('a1b2c3d400000000000000');
    expect(toHex(shortRtcpTail())).toBe('00'.repeat(11));
  });
});
