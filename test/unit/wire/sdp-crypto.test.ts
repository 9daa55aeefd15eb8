import { describe, expect, it } from 'vitest';
import { toHex } from '../../../src/base/bytes.js';
import { parseSdp } from '../../../src/wire/sdp.js';
import {
  cryptos,
  parseCrypto,
  SDES_SUITES,
  type SdesRefusal,
  type SdesSuite,
  takenCrypto,
  writeCrypto,
} from '../../../src/wire/sdp-crypto.js';
import type { SdpMedia } from '../../../src/wire/sdp-types.js';

const KEY = 'd0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj';
const LINE = `1 AES_CM_128_HMAC_SHA1_80 inline:${KEY}`;

function media(...lines: string[]): SdpMedia {
  const text = ['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 'c=IN IP4 127.0.0.1', 't=0 0', 'm=audio 4000 RTP/SAVP 0'];
  const sdp = parseSdp(new TextEncoder().encode(`${[...text, ...lines.map((l) => `a=crypto:${l}`)].join('\r\n')}\r\n`));
  if (!sdp.ok) throw new Error(sdp.reason);
  return sdp.value.media[0]!;
}

describe('security descriptions (RFC 4568)', () => {
  it('reads the example of section 4.1, and its key', () => {
    const parsed = parseCrypto(`${LINE}|2^20`);
    if (!parsed.ok) throw new Error(parsed.reason);
    expect(parsed.value).toMatchObject({ tag: 1, suite: 'AES_CM_128_HMAC_SHA1_80' });
    expect(parsed.value.keyAndSalt.use(toHex)).toBe(Buffer.from(KEY, 'base64').toString('hex'));
    expect(JSON.stringify(parsed.value)).not.toContain(KEY);
  });

  it.each(Object.keys(SDES_SUITES) as SdesSuite[])('writes and reads %s, with and without padding', (suite) => {
    const bytes = SDES_SUITES[suite].keyBytes + SDES_SUITES[suite].saltBytes;
    const keyAndSalt = Uint8Array.from({ length: bytes }, (_, i) => 251 - i);
    const written = `7 ${suite} inline:${Buffer.from(keyAndSalt).toString('base64')}`;
    for (const text of [written, written.replace(/=+$/, '')]) {
      const parsed = parseCrypto(text);
      if (!parsed.ok) throw new Error(parsed.reason);
      expect(parsed.value.keyAndSalt.use(toHex)).toBe(toHex(keyAndSalt));
      expect(writeCrypto(parsed.value)).toBe(written);
    }
  });

  const refused: readonly (readonly [string, string, SdesRefusal])[] = [
    ['nothing', '', 'syntax'],
    ['no key', '1 AES_CM_128_HMAC_SHA1_80', 'syntax'],
    ['a tag that is no number', `x AES_CM_128_HMAC_SHA1_80 inline:${KEY}`, 'syntax'],
    ['a suite of nobody', `1 NULL_HMAC_SHA1_80 inline:${KEY}`, 'unknown-suite'],
    ['a name that every object has', `1 constructor inline:${KEY}`, 'unknown-suite'],
    ['another way of keys', `1 AES_CM_128_HMAC_SHA1_80 uri:${KEY}`, 'unknown-key-method'],
    ['two keys', `${LINE};inline:${KEY}`, 'several-keys'],
    ['a key too short', LINE.slice(0, -4), 'key-length'],
    ['a key too long', `${LINE}AAAA`, 'key-length'],
    ['a key with a foreign letter', `${LINE.slice(0, -1)}*`, 'key-length'],
    ['a key of another suite', `1 AES_256_CM_HMAC_SHA1_80 inline:${KEY}`, 'key-length'],
    ['a master key identifier', `${LINE}|2^20|1:4`, 'master-key-identifier'],
    ['a master key identifier without lifetime', `${LINE}|1:4`, 'master-key-identifier'],
    ['a lifetime that is none', `${LINE}|soon`, 'syntax'],
    ['downgrade: clear SRTP', `${LINE} UNENCRYPTED_SRTP`, 'session-parameter'],
    ['downgrade: clear SRTCP', `${LINE} UNENCRYPTED_SRTCP`, 'session-parameter'],
    ['downgrade: SRTP without authentication', `${LINE} UNAUTHENTICATED_SRTP`, 'session-parameter'],
    ['keys derived anew', `${LINE} KDR=1`, 'session-parameter'],
    ['a parameter of nobody', `${LINE} MUST_DO`, 'session-parameter'],
  ];
  it.each(refused)('refuses %s', (_, value, reason) => {
    expect(parseCrypto(value)).toEqual({ ok: false, reason });
  });

  it.each([`${LINE} KDR=0`, `${LINE} WSH=64`, `${LINE} -OPTIONAL=3`, `${LINE}|2^48`, `${LINE}|1048576`])(
    'takes %s',
    (value) => {
      expect(parseCrypto(value).ok).toBe(true);
    },
  );

  it('passes over what it cannot take, and over two lines of one tag', () => {
    const offer = media(
      `1 F8_128_HMAC_SHA1_80 inline:${KEY}`,
      `2 AES_CM_128_HMAC_SHA1_32 inline:${KEY}`,
      `3 AES_CM_128_HMAC_SHA1_80 inline:${KEY}`,
      `3 AES_CM_128_HMAC_SHA1_32 inline:${KEY}`,
      'nonsense',
    );
    expect(cryptos(offer).map((c) => c.tag)).toEqual([2]);
  });

  describe('an answer', () => {
    const offered = cryptos(
      media(`1 AES_CM_128_HMAC_SHA1_80 inline:${KEY}`, `2 AES_CM_128_HMAC_SHA1_32 inline:${KEY}`),
    );
    const OTHER = Buffer.from(Uint8Array.from({ length: 30 }, (_, i) => 200 - i)).toString('base64');
    const answered = (...lines: readonly string[]) => {
      const answer = media(...lines);
      return takenCrypto(offered, answer, cryptos(answer));
    };
    it('takes one of the offered lines', () => {
      expect(answered(`2 AES_CM_128_HMAC_SHA1_32 inline:${OTHER}`)).toBe(offered[1]);
    });
    it('splice: keys that were never offered are refused, by tag and by suite', () => {
      expect(answered(`3 AES_CM_128_HMAC_SHA1_80 inline:${OTHER}`)).toBe('not-offered');
      expect(answered(`1 AES_CM_128_HMAC_SHA1_32 inline:${OTHER}`)).toBe('not-offered');
    });
    it("reflection: the offer's own key is nobody else's", () => {
      expect(answered(`2 AES_CM_128_HMAC_SHA1_32 inline:${KEY}`)).toBe('not-offered');
    });
    it('with none, several or a bad line is none', () => {
      const line = `1 AES_CM_128_HMAC_SHA1_80 inline:${OTHER}`;
      expect(answered()).toBeUndefined();
      expect(answered(line, `2 AES_CM_128_HMAC_SHA1_32 inline:${OTHER}`)).toBeUndefined();
      expect(answered(`${line} UNENCRYPTED_SRTP`)).toBeUndefined();
    });
  });
});
