import { describe, expect, it } from 'vitest';
import { TIP_MAX_QUEUED_PER_TYPE } from '../../../src/base/limits.js';
import { Secret } from '../../../src/base/secret.js';
import { TipMachine, type TipOutput } from '../../../src/tip/index.js';
import { CLEAR_KEK, ENDPOINT_SSRC, options, Pair, parameterSet, Solo, summary } from './harness.js';

const spimap = (spiWord = 0x0101) => {
  const { suite, cipher, masterSalt, kek } = parameterSet(spiWord);
  return { type: 'spimap', spiWord, suite, cipher, masterSalt, kek };
};

/** Whether any packet that left holds the KEK. */
function leaked(out: readonly TipOutput[]): boolean {
  const kek = Buffer.from(CLEAR_KEK);
  return out.some((o) => o.type === 'send' && Buffer.from(o.packet).includes(kek));
}

/** The secrets that come into being while `f` runs. */
function made(f: () => void): Secret[] {
  const secrets: Secret[] = [];
  const copyOf = Secret.copyOf;
  Secret.copyOf = (bytes) => {
    const secret = copyOf(bytes);
    secrets.push(secret);
    return secret;
  };
  try {
    f();
  } finally {
    Secret.copyOf = copyOf;
  }
  return secrets;
}

describe('a forged SPIMAP', () => {
  it('to the switch is dropped and counted, in every state and before its timestamp is looked at', () => {
    const solo = new Solo(options('switch'));
    solo.do({ type: 'start' });
    expect(summary(solo.hear(spimap()))).toEqual(['dropped spimap-to-switch']);
    solo.negotiate();
    expect(summary(solo.hear(spimap()))).toEqual(['dropped spimap-to-switch']);
    expect(summary(solo.hear({ ...spimap(), ntp: 1n }))).toEqual(['dropped spimap-to-switch']);
  });

  it('from a peer without IS_FOCUS gives no set and no ACK', () => {
    const solo = new Solo(options('endpoint'));
    solo.negotiate({ isFocus: false });
    expect(summary(solo.hear(spimap()))).toEqual(['dropped spimap-not-from-focus']);
  });

  it('before the negotiation is done gives no set, and the honest repetition after it does', () => {
    const solo = new Solo(options('endpoint'));
    solo.do({ type: 'start' });
    solo.hear(solo.muxctrl());
    solo.hear(solo.mediaopts());
    solo.ack('muxctrl');
    const bytes = solo.packet(spimap());
    expect(summary(solo.do({ type: 'packet', bytes }))).toEqual(['dropped not-negotiated']);
    solo.ack('mediaopts');
    expect(summary(solo.do({ type: 'packet', bytes }))).toEqual(['set']);
  });

  it('on a plain channel, without EKT both ways, or to version 6 gives no set', () => {
    const drop = (solo: Solo) => summary(solo.hear(spimap()));
    const plain = new Solo(options('endpoint', { secure: false }));
    plain.negotiate();
    expect(drop(plain)).toEqual(['dropped not-capable']);
    const lying = new Solo(options('endpoint', { secure: false }));
    lying.negotiate({ secure: true });
    expect(drop(lying)).toEqual(['dropped not-capable']);
    const half = new Solo(options('endpoint'));
    half.negotiate({}, half.mediaopts(0, 0x02000001));
    expect(drop(half)).toEqual(['dropped not-capable']);
    const old = new Solo(options('endpoint', { version: 6 }));
    old.negotiate({ version: 6 });
    expect(drop(old)).toEqual(['dropped not-capable']);
  });

  it('of a suite that we did not list gives no set, and one that we listed does', () => {
    const gcm = { ...spimap(), suite: 17, cipher: 3 };
    const solo = new Solo(options('endpoint'));
    solo.negotiate();
    expect(summary(solo.hear(gcm))).toEqual(['dropped unknown-suite']);
    const listing = new Solo(options('endpoint', { suites: [{ suite: 17, cipher: 3 }] }));
    listing.negotiate();
    expect(summary(listing.hear(gcm))).toEqual(['set']);
    expect(summary(listing.hear(spimap(0x0203)))).toEqual(['dropped unknown-suite']);
  });

  it('leaves no key behind when it is dropped', () => {
    const hear = (solo: Solo, bytes: Uint8Array) =>
      made(() => solo.do({ type: 'packet', bytes })).map((secret) => (secret.wiped ? 'wiped' : 'kept'));
    const solo = new Solo(options('switch'));
    solo.negotiate();
    expect(hear(solo, solo.packet(spimap()))).toEqual(['wiped', 'wiped']);
    const endpoint = new Solo(options('endpoint'));
    endpoint.negotiate();
    const good = endpoint.packet(spimap());
    expect(hear(endpoint, good)).toEqual(['kept', 'kept']);
    expect(hear(endpoint, good)).toEqual(['wiped', 'wiped']);
    endpoint.do({ type: 'set-installed', spiWord: 0x0101 });
    expect(hear(endpoint, good)).toEqual(['wiped', 'wiped']);
    expect(hear(endpoint, endpoint.packet({ ...spimap(), ssrc: ENDPOINT_SSRC + 1 }))).toEqual(['wiped', 'wiped']);
  });
});

describe('a replayed packet', () => {
  it('older than the last of its type changes nothing: a NOTIFY of better days', () => {
    const solo = new Solo(options('endpoint'));
    solo.negotiate();
    const secure = solo.packet({ type: 'notify', secure: true });
    solo.do({ type: 'packet', bytes: secure });
    solo.hear({ type: 'notify', secure: false });
    expect(summary(solo.do({ type: 'packet', bytes: secure }))).toEqual(['dropped older']);
  });

  it('equal to the last is ACKed again with the same bytes, and has no other effect', () => {
    const solo = new Solo(options('endpoint'));
    solo.negotiate();
    for (const fields of [
      { type: 'notify', secure: false },
      { type: 'refresh', targetCsrc: 1, flags: 0 },
      { type: 'txflowctrl', opcode: 0, targetCsrc: 1 },
      { type: 'rxflowctrl', opcode: 1, targetCsrc: 1 },
      { type: 'reqtosend', start: true, videoMask: 1, audioMask: 0 },
      { type: 'echo', receiveNtp: 0n },
      solo.muxctrl(),
      solo.mediaopts(),
    ]) {
      const bytes = solo.packet(fields);
      const [ack] = solo.do({ type: 'packet', bytes });
      expect(ack?.type).toBe('send');
      solo.now += 100;
      expect(solo.do({ type: 'packet', bytes }), fields.type).toEqual([ack]);
    }
  });

  it('does not reach across types: a low timestamp of another type is taken', () => {
    const solo = new Solo(options('endpoint'));
    solo.negotiate();
    solo.hear({ type: 'notify', secure: false });
    expect(summary(solo.hear({ type: 'refresh', targetCsrc: 1, flags: 0, ntp: 5n }))).toContain('refresh-requested');
  });

  it('an old SPIMAP does not bring its set back', () => {
    const solo = new Solo(options('endpoint'));
    solo.negotiate();
    const old = solo.packet(spimap(0x0101));
    solo.do({ type: 'packet', bytes: old });
    solo.do({ type: 'set-installed', spiWord: 0x0101 });
    solo.hear(spimap(0x0103));
    solo.do({ type: 'set-installed', spiWord: 0x0103 });
    expect(summary(solo.do({ type: 'packet', bytes: old }))).toEqual(['dropped older']);
  });

  it('of a MEDIAOPTS cannot switch EKT off again, and a newer one is told as a change', () => {
    const solo = new Solo(options('switch'));
    const without = solo.packet(solo.mediaopts(1, 0));
    solo.negotiate();
    expect(summary(solo.do({ type: 'packet', bytes: without }))).toEqual(['dropped older']);
    const [, change] = solo.hear(solo.mediaopts(1, 0));
    expect(change).toMatchObject({ type: 'renegotiated', inForce: { receive: { ekt: false, activityMetric: true } } });
  });
});

describe('a re-sent SPIMAP after a lost ACK', () => {
  it('is ACKed again, and the set is not given twice', () => {
    const solo = new Solo(options('endpoint'));
    solo.negotiate();
    const bytes = solo.packet(spimap());
    expect(summary(solo.do({ type: 'packet', bytes }))).toEqual(['set']);
    const acked = solo.do({ type: 'set-installed', spiWord: 0x0101 });
    expect(summary(acked)).toEqual(['send ack spimap']);
    expect(solo.do({ type: 'packet', bytes })).toEqual(acked);
  });
});

describe('a forged or stray ACK', () => {
  it('with another timestamp acknowledges nothing', () => {
    const solo = new Solo(options('switch'));
    solo.negotiate();
    solo.do({ type: 'spimap', set: parameterSet(0x0101) });
    const { ntp } = solo.last('spimap');
    for (const wrong of [ntp - 1n, ntp + 1n, 0n])
      expect(summary(solo.hear({ type: 'ack', of: 'spimap', ntp: wrong }))).toEqual(['dropped unexpected-ack']);
    expect(summary(solo.hear({ type: 'ack', of: 'notify', ntp }))).toEqual(['dropped unexpected-ack']);
    expect(summary(solo.ack('spimap'))).toEqual(['spimap-acked']);
    expect(summary(solo.ack('spimap'))).toEqual(['dropped unexpected-ack']);
  });

  it('from a media SSRC is no TIP at all (WIRE.md 3)', () => {
    const solo = new Solo(options('switch'));
    solo.negotiate();
    solo.do({ type: 'spimap', set: parameterSet(0x0101) });
    const { ntp } = solo.last('spimap');
    expect(summary(solo.hear({ type: 'ack', of: 'spimap', ntp, ssrc: ENDPOINT_SSRC + 1 }))).toEqual([
      'dropped media-ssrc',
    ]);
  });
});

describe('a key encryption key', () => {
  const suites = [{ suite: 1, cipher: 1 }];
  const cases: readonly [string, string, Solo, Parameters<Solo['negotiate']>][] = [
    ['a version 6 peer', 'version', new Solo(options('switch', { version: 7 })), [{ version: 6 }]],
    ['a plain channel', 'secure-bit', new Solo(options('switch', { secure: false })), []],
    [
      'a plain channel whose peer claims to be secure',
      'no-ekt',
      new Solo(options('switch', { secure: false })),
      [{ secure: true }],
    ],
    ['a peer without the secure bit', 'secure-bit', new Solo(options('switch')), [{ secure: false }]],
    [
      'a peer that only sends EKT',
      'ekt-one-direction',
      new Solo(options('switch')),
      [{}, { type: 'mediaopts', blocks: [{ ssrc: 0, transmit: 0x02000000, receive: 0, words: [] }] }],
    ],
    ['a peer without EKT', 'no-ekt', new Solo(options('switch')), [{}, { type: 'mediaopts', blocks: [] }]],
    [
      'a peer that does not list the suite',
      'no-suite',
      new Solo(options('switch')),
      [{ suites: [{ suite: 17, cipher: 3 }] }],
    ],
    [
      'a channel where we did not list it',
      'suite-not-offered',
      new Solo(options('switch', { suites: [{ suite: 17, cipher: 3 }] })),
      [{ suites }],
    ],
  ];
  for (const [peer, reason, solo, negotiation] of cases)
    it(`is never sent to ${peer}, asked before or after the negotiation`, () => {
      const told = { type: 'not-capable', request: 'spimap', reason };
      const before = solo.do({ type: 'spimap', set: parameterSet(0x0101) });
      const out = solo.negotiate(...negotiation);
      expect(out).toContainEqual({ ...told, spiWord: 0x0101 });
      const after = solo.do({ type: 'spimap', set: parameterSet(0x0103) });
      expect(after).toEqual([{ ...told, spiWord: 0x0103 }]);
      expect(leaked([...before, ...out, ...after, ...solo.tick(1_000)])).toBe(false);
    });

  it('is not repeated once the peer has switched EKT off', () => {
    const solo = new Solo(options('switch'));
    solo.negotiate();
    expect(leaked(solo.do({ type: 'spimap', set: parameterSet(0x0101) }))).toBe(true);
    solo.do({ type: 'spimap', set: parameterSet(0x0103) });
    const out = solo.hear(solo.mediaopts(1, 0));
    expect(out.filter((o) => o.type === 'not-capable')).toMatchObject([{ spiWord: 0x0101 }, { spiWord: 0x0103 }]);
    expect(leaked([...out, ...solo.tick(300), ...solo.tick(20_000)])).toBe(false);
    expect(solo.machine.state).toBe('done');
  });

  it('is a copy of the machine’s own, wiped when ACKed, stopped, timed out or impossible', () => {
    const ends: readonly ((solo: Solo) => void)[] = [
      (solo) => solo.ack('spimap'),
      (solo) => solo.do({ type: 'stop' }),
      (solo) => solo.tick(10_000),
      (solo) => solo.hear(solo.mediaopts(1, 0)),
    ];
    for (const end of ends) {
      const solo = new Solo(options('switch'));
      solo.negotiate();
      const set = parameterSet(0x0101);
      const copies = made(() => solo.machine.receive({ type: 'spimap', set }, solo.now));
      set.kek.wipe();
      set.masterSalt.wipe();
      expect(copies.map((secret) => secret.wiped)).toEqual([false, false]);
      expect(leaked(solo.tick(250))).toBe(true);
      end(solo);
      expect(copies.map((secret) => secret.wiped)).toEqual([true, true]);
    }
  });

  it('is wiped when superseded, refused, impossible from the beginning, or never sent', () => {
    const waiting = new Solo(options('switch'));
    const give = (solo: Solo, spiWord: number) => {
      const set = parameterSet(spiWord);
      return made(() => solo.machine.receive({ type: 'spimap', set }, solo.now));
    };
    const first = give(waiting, 0x0101);
    const second = give(waiting, 0x0103);
    expect([...first, ...second].map((secret) => secret.wiped)).toEqual([true, true, false, false]);
    waiting.do({ type: 'stop' });
    expect(second.every((secret) => secret.wiped)).toBe(true);
    const full = new Solo(options('switch'));
    full.negotiate();
    for (let i = 0; i <= TIP_MAX_QUEUED_PER_TYPE; i++) give(full, 0x0101 + 2 * i);
    expect(give(full, 0x0901).map((secret) => secret.wiped)).toEqual([true, true]);
    const plain = new Solo(options('switch', { secure: false }));
    plain.negotiate();
    expect(give(plain, 0x0101).map((secret) => secret.wiped)).toEqual([true, true]);
  });
});

describe('a machine given impossible options', () => {
  it('does not start', () => {
    expect(() => new TipMachine(options('switch', { ssrc: 0x51000001 }))).toThrow('low byte 00');
    expect(() => new TipMachine(options('switch', { options: { transmit: ['gdr'], receive: [] } }))).toThrow('gdr');
  });
});

describe('hostile bytes', () => {
  it('never end the machine, whatever its state', () => {
    const pair = new Pair().start().run(1_000);
    for (let i = 0; i < 2_000; i++) {
      const bytes = Uint8Array.from({ length: (i * 7) % 90 }, (_, j) => (i * 31 + j * 17) & 0xff);
      pair.do(i % 2 === 0 ? 'switch' : 'endpoint', { type: 'packet', bytes });
    }
    expect(pair.of('switch', 'dropped')).toHaveLength(1_000);
    expect(pair.of('endpoint', 'dropped')).toHaveLength(1_000);
    pair.do('switch', { type: 'spimap', set: parameterSet(0x0101) });
    pair.run(2_000);
    expect(pair.of('switch', 'spimap-acked')).toHaveLength(1);
  });
});
