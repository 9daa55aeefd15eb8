import { describe, expect, it } from 'vitest';
import { addressKey, addressOwner } from '../../../src/wire/ip-address.js';

describe('an address', () => {
  it.each([
    ['2001:db8::1', '2001:0DB8:0:0::0001'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['::ffff:c000:207', '192.0.2.7'],
    ['::', '0:0:0:0:0:0:0:0'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ['FE80::1', 'fe80::1'],
    ['Host.Example', 'host.example'],
  ])('is the same however it is written: %s, %s', (a, b) => {
    expect(addressKey(a)).toBe(addressKey(b));
  });

  it('is another where a digit differs', () => {
    const all = ['2001:db8::1', '2001:db8::10', '2001:db8:1::', '::1', '0.0.0.1', '192.0.2.1', '192.0.2.10'];
    expect(new Set(all.map(addressKey)).size).toBe(all.length);
  });

  it('attack: as many addresses as one likes - a /64 is one owner', () => {
    expect(addressOwner('2001:db8:0:1::1')).toBe(addressOwner('2001:db8:0:1:ffff:ffff:ffff:ffff'));
    expect(addressOwner('2001:db8:0:1::1')).not.toBe(addressOwner('2001:db8:0:2::1'));
    expect(addressOwner('192.0.2.1')).not.toBe(addressOwner('192.0.2.2'));
    expect(addressOwner('::ffff:192.0.2.1')).toBe('192.0.2.1');
  });
});
