/** A tiny sender for the relay's tests: keys and tags of WIRE.md 5 over node:crypto, independent of src/srtp and native/. */
import { createCipheriv, createHmac } from 'node:crypto';
import { concat, writeU16, writeU32 } from '../../../src/base/bytes.js';

const NONE = new Uint8Array(0);
type Bytes = Uint8Array<ArrayBufferLike>;

function counterMode(key: Bytes, counter: Bytes, data: Bytes): Bytes {
  return new Uint8Array(createCipheriv(`aes-${key.length * 8}-ctr`, key, counter).update(data));
}

/** RFC 3711 §4.3.1, key derivation rate 0. */
export function derive(key: Bytes, salt: Bytes, label: number, length: number): Bytes {
  const x = concat(salt, new Uint8Array(16 - salt.length));
  x[7]! ^= label;
  return counterMode(key, x, new Uint8Array(length));
}

export function hmac(key: Bytes, ...parts: readonly Bytes[]): Bytes {
  const mac = createHmac('sha1', key);
  for (const part of parts) mac.update(part);
  return new Uint8Array(mac.digest());
}

function u32(value: number): Bytes {
  const out = new Uint8Array(4);
  writeU32(out, 0, value >>> 0);
  return out;
}

function u16(value: number): Bytes {
  const out = new Uint8Array(2);
  writeU16(out, 0, value);
  return out;
}

function iv(salt: Bytes, ssrc: number, indexWords: Bytes): Bytes {
  const out = concat(salt, new Uint8Array(2));
  u32(ssrc).forEach((b, i) => {
    out[4 + i]! ^= b;
  });
  indexWords.forEach((b, i) => {
    out[14 - indexWords.length + i]! ^= b;
  });
  return out;
}

export interface TestSet {
  readonly spiWord: number;
  readonly kek: Bytes;
  readonly masterSalt: Bytes;
}

export interface RtpFields {
  readonly sequence: number;
  readonly roc?: number;
  readonly timestamp?: number;
  readonly payloadType?: number;
  readonly marker?: boolean;
  /** First CSRC; undefined: none. */
  readonly word?: number | undefined;
  readonly payload?: Bytes;
  readonly trailing?: number | undefined;
  readonly full?: boolean;
  readonly isn?: number;
}

/** One SSRC under one sender key. */
export class TestSender {
  readonly ssrc: number;
  readonly key: Bytes;
  readonly set: TestSet;
  readonly wrapped: Bytes;
  #srtcpIndex = 0;

  constructor(ssrc: number, key: Bytes, set: TestSet) {
    this.ssrc = ssrc;
    this.key = key;
    this.set = set;
    this.wrapped = new Uint8Array(createCipheriv('aes-128-ecb', set.kek, null).setAutoPadding(false).update(key));
  }

  #block(roc: number, isn: number): Bytes {
    return concat(this.wrapped, u32(roc), u16(isn), u16(this.set.spiWord));
  }

  /** Header, encrypted payload and trailing byte, without a tag. */
  body(f: RtpFields): Bytes {
    const roc = f.roc ?? 0;
    const salt = this.set.masterSalt;
    const csrc = f.word === undefined ? NONE : u32(f.word);
    const header = concat(
      Uint8Array.of(0x80 | (csrc.length / 4), (f.marker === true ? 0x80 : 0) | (f.payloadType ?? 96)),
      u16(f.sequence),
      u32(f.timestamp ?? f.sequence * 100),
      u32(this.ssrc),
      csrc,
    );
    const cipherKey = derive(this.key, salt, 0, 16);
    const sessionSalt = derive(this.key, salt, 2, 14);
    const payload = f.payload ?? Uint8Array.from({ length: 40 }, (_, i) => i);
    const counter = iv(sessionSalt, this.ssrc, concat(u32(roc), u16(f.sequence)));
    const trailing = f.trailing === undefined ? NONE : Uint8Array.of(f.trailing);
    return concat(header, counterMode(cipherKey, counter, payload), trailing);
  }

  tag(body: Bytes, f: RtpFields): Bytes {
    const auth = derive(this.key, this.set.masterSalt, 1, 20);
    const roc = f.roc ?? 0;
    if (f.full === true) {
      const block = this.#block(roc, f.isn ?? 0);
      return concat(hmac(auth, body, new Uint8Array(10), block).slice(0, 10), block);
    }
    return concat(hmac(auth, body, u32(roc), new Uint8Array(7)).slice(0, 10), Uint8Array.of(0));
  }

  rtp(f: RtpFields): Bytes {
    const body = this.body(f);
    return concat(body, this.tag(body, f));
  }

  /** What the switch must send for the same fields: sink and payload type rewritten, no trailing byte, the tag anew. */
  switched(f: RtpFields, sink: number, payloadType: number): Bytes {
    const word = f.word === undefined ? undefined : ((f.word & ~0x0f) | sink) >>> 0;
    return this.rtp({ ...f, word, payloadType, trailing: undefined });
  }

  /** Media RTCP: an SR without blocks. */
  rtcp(f: { roc?: number; isn?: number; full?: boolean; index?: number; encrypted?: boolean }): Bytes {
    const index = f.index ?? ++this.#srtcpIndex;
    const salt = this.set.masterSalt;
    const plain = concat(Uint8Array.of(0x80, 200, 0, 6), u32(this.ssrc), new Uint8Array(20));
    const counter = iv(derive(this.key, salt, 5, 14), this.ssrc, u32(index));
    const body = counterMode(derive(this.key, salt, 3, 16), counter, plain.slice(8));
    const word = u32((f.encrypted === false ? 0 : 0x80000000) + index);
    const authenticated = concat(plain.slice(0, 8), body, word);
    const auth = derive(this.key, salt, 4, 20);
    const block = f.full === false ? Uint8Array.of(0) : this.#block(f.roc ?? 0, f.isn ?? 0);
    return concat(authenticated, hmac(auth, authenticated, new Uint8Array(10), block).slice(0, 10), block);
  }
}

/** SRTCP under channel keys, profile 0x0001. `keyAndSalt` 30 bytes. */
export function protectControl(keyAndSalt: Bytes, plain: Bytes, index: number, encrypted = true): Bytes {
  const key = keyAndSalt.slice(0, 16);
  const salt = keyAndSalt.slice(16);
  const ssrc = new DataView(plain.buffer, plain.byteOffset).getUint32(4);
  const body = counterMode(derive(key, salt, 3, 16), iv(derive(key, salt, 5, 14), ssrc, u32(index)), plain.slice(8));
  const packet = concat(plain.slice(0, 8), body, u32((encrypted ? 0x80000000 : 0) + index));
  return concat(packet, hmac(derive(key, salt, 4, 20), packet).slice(0, 10));
}

export function unprotectControl(keyAndSalt: Bytes, packet: Bytes): { plain: Bytes; index: number } | undefined {
  const plain = packet.slice(0, packet.length - 14);
  const index = new DataView(packet.buffer, packet.byteOffset).getUint32(packet.length - 14) - 0x80000000;
  const key = keyAndSalt.slice(0, 16);
  const salt = keyAndSalt.slice(16);
  const ssrc = new DataView(packet.buffer, packet.byteOffset).getUint32(4);
  const counter = iv(derive(key, salt, 5, 14), ssrc, u32(index));
  const decrypted = concat(plain.slice(0, 8), counterMode(derive(key, salt, 3, 16), counter, plain.slice(8)));
  const again = protectControl(keyAndSalt, decrypted, index);
  return Buffer.compare(again, packet) === 0 ? { plain: decrypted, index } : undefined;
}

/** SRTCP under channel keys, profiles 0x0007 and 0x0008 (RFC 7714 §9): master key ‖ 12 bytes of salt. */
export function protectControlGcm(keyAndSalt: Bytes, plain: Bytes, index: number): Bytes {
  const key = keyAndSalt.slice(0, keyAndSalt.length - 12);
  const salt = concat(keyAndSalt.slice(key.length), new Uint8Array(2));
  const nonce = derive(key, salt, 5, 12);
  plain.slice(4, 8).forEach((b, i) => {
    nonce[2 + i]! ^= b;
  });
  u32(index).forEach((b, i) => {
    nonce[8 + i]! ^= b;
  });
  const word = u32(0x80000000 + index);
  const cipher = createCipheriv(
    key.length === 16 ? 'aes-128-gcm' : 'aes-256-gcm',
    derive(key, salt, 3, key.length),
    nonce,
  );
  cipher.setAAD(concat(plain.slice(0, 8), word));
  const body = cipher.update(plain.slice(8));
  cipher.final();
  return concat(plain.slice(0, 8), body, cipher.getAuthTag(), word);
}

/** RR without blocks, then `rest`. */
export function compound(ssrc: number, ...rest: readonly Bytes[]): Bytes {
  return concat(Uint8Array.of(0x80, 201, 0, 1), u32(ssrc), ...rest);
}

/** PLI (RFC 4585 §6.3.1). */
export function pli(ssrc: number, media: number): Bytes {
  return concat(Uint8Array.of(0x81, 206, 0, 2), u32(ssrc), u32(media));
}

/** A TIP ECHO (RTCP APP). */
export function tipEcho(ssrc: number): Bytes {
  return concat(Uint8Array.of(0x84, 204, 0, 6), u32(ssrc), new TextEncoder().encode('xcts'), new Uint8Array(16));
}
