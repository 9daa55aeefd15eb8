import { describe, expect, it } from 'vitest';
import {
  bitsOf,
  DEFAULT_SUITE,
  endpointOptions,
  endToEndCapable,
  inForceOf,
  offerOf,
  switchOptions,
} from '../../../src/tip/index.js';
import { ntpOf } from '../../../src/tip/ntp.js';

const EKT = 0x02000000;

describe('MEDIAOPTS bits', () => {
  it('are those of WIRE.md 4 on each media', () => {
    expect(bitsOf('audio', ['ekt', 'activityMetric', 'dynamicOutput'])).toBe(EKT + 1 + 2);
    expect(bitsOf('video', ['ekt', 'refreshFlag', 'inbandParameterSets', 'cabac', 'ltrp', 'gdr', 'hp8x8'])).toBe(
      EKT + 1 + 2 + 4 + 8 + 0x100 + 0x400,
    );
    expect(bitsOf('video', ['p1080', 'p720'])).toBe(0x3000);
  });

  it('of the other media are our own bug', () => {
    expect(() => bitsOf('audio', ['refreshFlag'])).toThrow('refreshFlag on audio');
    expect(() => bitsOf('video', ['activityMetric'])).toThrow('activityMetric on video');
  });

  it('are offered by the switch as WIRE.md 4.1 says, and EKT on secure channels only', () => {
    expect(switchOptions('audio', true)).toEqual({ transmit: ['ekt'], receive: ['ekt', 'activityMetric'] });
    expect(switchOptions('video', false)).toEqual({ transmit: [], receive: ['refreshFlag'] });
    expect(endpointOptions('video', true)).toEqual({ transmit: ['ekt', 'refreshFlag'], receive: ['ekt'] });
  });
});

describe('an option in force', () => {
  it('needs TX on one side and RX on the other, in each direction by itself', () => {
    const inForce = inForceOf('audio', { transmit: EKT, receive: EKT | 1 }, { transmit: EKT | 1, receive: 0 });
    expect(inForce.receive).toMatchObject({ ekt: true, activityMetric: true, dynamicOutput: false });
    expect(inForce.transmit).toMatchObject({ ekt: false, activityMetric: false });
  });

  it('has the name of its media', () => {
    const both = { transmit: 1, receive: 1 };
    expect(inForceOf('video', both, both).receive).toMatchObject({ refreshFlag: true, activityMetric: false });
    expect(inForceOf('audio', both, both).receive).toMatchObject({ refreshFlag: false, activityMetric: true });
  });

  it('is offered by a peer only if every block offers it', () => {
    const block = (ssrc: number, transmit: number) => ({ ssrc, transmit, receive: 0xffffffff, words: [] });
    expect(offerOf([block(0, EKT | 1), block(5, EKT)])).toEqual({ transmit: EKT, receive: 0xffffffff });
    expect(offerOf([])).toEqual({ transmit: 0, receive: 0 });
  });
});

describe('what can carry end-to-end', () => {
  const both = { transmit: EKT, receive: EKT };
  const inForce = inForceOf('audio', both, both);
  const peer = { version: 7, secure: true, suites: [DEFAULT_SUITE] } as const;

  it('is a peer of version 7 with the secure bit, EKT both ways, and the suite', () => {
    expect(endToEndCapable(peer, inForce)).toEqual({ capable: true });
    expect(endToEndCapable({ ...peer, version: 8 }, inForce)).toEqual({ capable: true });
  });

  it('and nothing less, with the reason', () => {
    const one = (own: object) => inForceOf('audio', { ...both, ...own }, both);
    const why = (p: Parameters<typeof endToEndCapable>[0], f = inForce, suite = DEFAULT_SUITE) =>
      endToEndCapable(p, f, suite);
    expect(why({ ...peer, version: 6 })).toEqual({ capable: false, reason: 'version' });
    expect(why({ ...peer, secure: false })).toEqual({ capable: false, reason: 'secure-bit' });
    expect(why(peer, one({ transmit: 0 }))).toEqual({ capable: false, reason: 'ekt-one-direction' });
    expect(why(peer, one({ receive: 0 }))).toEqual({ capable: false, reason: 'ekt-one-direction' });
    expect(why(peer, one({ transmit: 0, receive: 1 }))).toEqual({ capable: false, reason: 'no-ekt' });
    expect(why(peer, inForce, { suite: 17, cipher: 3 })).toEqual({ capable: false, reason: 'no-suite' });
    expect(why({ ...peer, suites: [{ suite: 17, cipher: 3 }] })).toEqual({ capable: false, reason: 'no-suite' });
    expect(why({ ...peer, suites: [{ suite: 1, cipher: 2 }] })).toEqual({ capable: false, reason: 'no-suite' });
  });
});

describe('the NTP clock', () => {
  it('counts 32.32 seconds from 1900', () => {
    expect(ntpOf(0)).toBe(2208988800n << 32n);
    expect(ntpOf(1500)).toBe(((2208988800n + 1n) << 32n) | 0x80000000n);
    expect(ntpOf(1000.25) - ntpOf(1000)).toBe(BigInt(Math.floor(0.00025 * 2 ** 32)));
  });

  it('wraps into the next era in 2036', () => {
    expect(ntpOf((2 ** 32 - 2208988800) * 1000)).toBe(0n);
  });
});
