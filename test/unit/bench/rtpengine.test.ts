import { describe, expect, it } from 'vitest';
import { type Bencoded, bdecode, bencode } from '../../../bench/rtpengine.js';

describe('bencoding', () => {
  it('writes strings by their bytes, and keys in order', () => {
    expect(bencode({ b: ['é', 7], a: 'x' })).toBe('d1:a1:x1:bl2:éi7eee');
  });

  it('reads what it writes, and a string with anything in it', () => {
    const values: Bencoded[] = [-3, '', '4:d e', [], ['a', [1]], { 'from-tag': 'x', flags: ['a', 'b'], n: { m: 0 } }];
    for (const value of values) expect(bdecode(bencode(value))).toEqual(value);
  });

  it.each(['', 'i5', '5:abc', 'x', 'l1:a', '-1:a', 'd1:a', 'd1:ae'])(
    '%j gives nothing, and no endless loop',
    (text) => {
      expect(bdecode(text)).toBeUndefined();
    },
  );
});
