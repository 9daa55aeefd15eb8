import { describe, expect, it } from 'vitest';
import { MAX_LIVE_SETS } from '../../../src/base/limits.js';
import { DEFAULT_SUITE, endToEndCapable } from '../../../src/tip/index.js';
import type { TipVersion } from '../../../src/wire/tip.js';
import { CLEAR_KEK, Pair, parameterSet } from './harness.js';

const BAD = { loss: 0.25, twice: 0.3, delay: 400 };

describe('a switch and an endpoint', () => {
  it('come to the same agreement, each from its side', () => {
    const pair = new Pair().start().run(1_000);
    const [atSwitch] = pair.of('switch', 'negotiated');
    const [atEndpoint] = pair.of('endpoint', 'negotiated');
    expect(atSwitch?.peer).toMatchObject({ version: 8, isFocus: false, secure: true, transmitMask: 0x02 });
    expect(atEndpoint?.peer).toMatchObject({ version: 8, isFocus: true, conferenceId: 8000n, receiveMask: 0x02 });
    expect(atSwitch?.inForce.receive).toMatchObject({ ekt: true, activityMetric: true });
    expect(atSwitch?.inForce.transmit).toMatchObject({ ekt: true, activityMetric: false });
    expect(atEndpoint?.inForce.transmit).toEqual(atSwitch?.inForce.receive);
    expect(atEndpoint?.inForce.receive).toEqual(atSwitch?.inForce.transmit);
    expect(endToEndCapable(atSwitch!.peer, atSwitch!.inForce)).toEqual({ capable: true });
  });

  it('say each thing once on a good network, and then are quiet', () => {
    const pair = new Pair().start().run(60_000);
    for (const side of ['switch', 'endpoint'] as const) {
      expect(pair.of(side, 'send')).toHaveLength(4);
      expect(pair.of(side, 'dropped')).toEqual([]);
      expect(pair.machines[side].deadline()).toBeUndefined();
    }
  });

  for (const own of [6, 7, 8] as const satisfies readonly TipVersion[])
    for (const peer of [6, 7, 8] as const satisfies readonly TipVersion[])
      it(`of versions ${own} and ${peer} agree on ${Math.min(own, peer)}`, () => {
        const pair = new Pair({ version: own }, { version: peer }).start().run(5_000);
        for (const side of ['switch', 'endpoint'] as const)
          expect(pair.of(side, 'negotiated')).toMatchObject([{ peer: { version: Math.min(own, peer) } }]);
        const [told] = pair.of('switch', 'negotiated');
        expect(endToEndCapable(told!.peer, told!.inForce).capable).toBe(Math.min(own, peer) >= 7);
        // Never an ACK for a version that was not the agreed one.
        const agreed = (p: { version: number }) => p.version === Math.min(own, peer);
        for (const [side, other] of [
          ['switch', 'endpoint'],
          ['endpoint', 'switch'],
        ] as const) {
          const acked = pair.sent(side, 'ack').filter((a) => a.of === 'muxctrl');
          const asked = pair.sent(other, 'muxctrl').filter((m) => acked.some((a) => a.ntp === m.ntp));
          expect(asked.length).toBeGreaterThan(0);
          expect(asked.every(agreed)).toBe(true);
        }
      });

  it('list suites for each other', () => {
    const suites = [DEFAULT_SUITE, { suite: 17, cipher: 3 }];
    const pair = new Pair({ suites }, { suites, participantId: Uint8Array.of(1, 2) }).start().run(1_000);
    expect(pair.of('switch', 'negotiated')).toMatchObject([{ peer: { suites, participantId: Uint8Array.of(1, 2) } }]);
    pair.do('switch', { type: 'spimap', set: parameterSet(0x0201, { suite: 17, cipher: 3 }) });
    pair.run(2_000);
    expect(pair.of('endpoint', 'set')).toMatchObject([{ set: { suite: 17, cipher: 3 } }]);
    expect(pair.of('switch', 'spimap-acked')).toHaveLength(1);
  });

  it('negotiate a plain channel without EKT', () => {
    const ekt = { transmit: ['ekt'], receive: ['ekt', 'activityMetric'] } as const;
    const pair = new Pair({ secure: false, options: ekt }, { secure: false, options: ekt }).start().run(1_000);
    expect(pair.sent('switch', 'muxctrl')).toMatchObject([{ secure: false }]);
    expect(pair.sent('switch', 'mediaopts')).toMatchObject([{ blocks: [{ transmit: 0, receive: 1 }] }]);
    const [told] = pair.of('switch', 'negotiated');
    expect(endToEndCapable(told!.peer, told!.inForce)).toEqual({ capable: false, reason: 'secure-bit' });
  });
});

describe('group parameter sets', () => {
  it('reach the endpoint, and are ACKed only when installed', () => {
    const pair = new Pair().start().run(1_000);
    pair.installs = false;
    pair.do('switch', { type: 'spimap', set: parameterSet(0x0101) });
    pair.run(2_900);
    const [given] = pair.of('endpoint', 'set');
    expect(given?.set.kek.copyOut()).toEqual(CLEAR_KEK);
    expect(pair.of('switch', 'spimap-acked')).toEqual([]);
    // The repetitions in between are counted, and do not give the set again.
    expect(pair.of('endpoint', 'set')).toHaveLength(1);
    expect(pair.of('endpoint', 'dropped').every((d) => d.reason === 'pending')).toBe(true);
    pair.do('endpoint', { type: 'set-installed', spiWord: 0x0101 });
    pair.run(3_000);
    expect(pair.of('switch', 'spimap-acked')).toEqual([{ type: 'spimap-acked', spiWord: 0x0101 }]);
  });

  it('go out one after another, each until ACKed', () => {
    const pair = new Pair().start().run(1_000);
    for (let i = 0; i < MAX_LIVE_SETS; i++) pair.do('switch', { type: 'spimap', set: parameterSet(0x0101 + 2 * i) });
    pair.run(2_000);
    expect(pair.of('switch', 'spimap-acked').map((o) => o.spiWord)).toEqual([0x0101, 0x0103, 0x0105, 0x0107]);
    expect(pair.of('endpoint', 'set').map((o) => o.set.spiWord)).toEqual([0x0101, 0x0103, 0x0105, 0x0107]);
    const stamps = pair.sent('switch', 'spimap').map((p) => p.ntp);
    expect(stamps.every((ntp, i) => i === 0 || ntp > stamps[i - 1]!)).toBe(true);
  });

  it('asked for before the negotiation wait for it, and only the newest goes out', () => {
    const pair = new Pair();
    pair.do('switch', { type: 'spimap', set: parameterSet(0x0101) });
    pair.start();
    pair.do('switch', { type: 'spimap', set: parameterSet(0x0103) });
    pair.run(2_000);
    expect(pair.of('switch', 'spimap-superseded')).toEqual([{ type: 'spimap-superseded', spiWord: 0x0101 }]);
    expect(pair.of('endpoint', 'set').map((o) => o.set.spiWord)).toEqual([0x0103]);
    const order = pair.out.switch.map((o) => (o.type === 'send' ? o.kind : o.type));
    expect(order.indexOf('spimap')).toBeGreaterThan(order.indexOf('negotiated'));
  });
});

describe('on a network that loses, repeats and reorders', () => {
  it('everything asked arrives once and in order (60 seeds)', () => {
    for (let seed = 1; seed <= 60; seed++) {
      const pair = new Pair({}, {}, { seed, ...BAD }).start().run(9_900);
      const text = `seed ${seed}`;
      expect(pair.of('switch', 'negotiated'), text).toHaveLength(1);
      expect(pair.of('endpoint', 'negotiated'), text).toHaveLength(1);
      pair.do('switch', { type: 'spimap', set: parameterSet(0x0101) });
      pair.do('switch', { type: 'spimap', set: parameterSet(0x0103) });
      pair.do('switch', { type: 'notify', secure: true });
      pair.do('switch', { type: 'refresh', targetCsrc: 0x11, flags: 0 });
      pair.do('switch', { type: 'refresh', targetCsrc: 0x22, flags: 2 });
      pair.do('endpoint', { type: 'request-to-send', start: true, videoMask: 0x10, audioMask: 0 });
      pair.run(35_000);
      expect(
        pair.of('endpoint', 'set').map((o) => o.set.spiWord),
        text,
      ).toEqual([0x0101, 0x0103]);
      expect(
        pair.of('switch', 'spimap-acked').map((o) => o.spiWord),
        text,
      ).toEqual([0x0101, 0x0103]);
      expect(pair.of('endpoint', 'notified'), text).toEqual([{ type: 'notified', secure: true }]);
      expect(pair.of('switch', 'notify-acked'), text).toHaveLength(1);
      expect(
        pair.of('endpoint', 'refresh-requested').map((o) => o.targetCsrc),
        text,
      ).toEqual([0x11, 0x22]);
      expect(pair.of('switch', 'send-requested'), text).toHaveLength(1);
      expect(pair.of('endpoint', 'send-request-acked'), text).toHaveLength(1);
      expect(pair.of('switch', 'failed'), text).toEqual([]);
      expect(pair.of('endpoint', 'failed'), text).toEqual([]);
    }
  });

  it('the lower version still wins (9 pairs, 10 seeds each)', () => {
    for (const own of [6, 7, 8] as const)
      for (const peer of [6, 7, 8] as const)
        for (let seed = 1; seed <= 10; seed++) {
          const pair = new Pair({ version: own }, { version: peer }, { seed, ...BAD }).start().run(9_900);
          for (const side of ['switch', 'endpoint'] as const)
            expect(pair.of(side, 'negotiated'), `${own} ${peer} seed ${seed}`).toMatchObject([
              { peer: { version: Math.min(own, peer) } },
            ]);
        }
  });
});

describe('what else is said', () => {
  it('NOTIFY, both values, is told and ACKed', () => {
    const pair = new Pair().start().run(1_000);
    pair.do('switch', { type: 'notify', secure: true });
    pair.run(2_000).do('switch', { type: 'notify', secure: false });
    pair.run(3_000);
    expect(pair.of('endpoint', 'notified').map((o) => o.secure)).toEqual([true, false]);
    expect(pair.of('switch', 'notify-acked').map((o) => o.secure)).toEqual([true, false]);
  });

  it('of several that wait, the last NOTIFY counts', () => {
    const pair = new Pair().start().run(1_000);
    for (const secure of [true, false, true, false, false]) pair.do('switch', { type: 'notify', secure });
    pair.run(2_000);
    expect(pair.of('endpoint', 'notified').map((o) => o.secure)).toEqual([true, false]);
  });

  it('flow control carries its limits in version 8 only', () => {
    const limits = { bitrate: 9, levelIncrement: 1, levelDecrement: 2, maxMbps: 3, maxFs: 4, maxFps: 5 };
    for (const version of [7, 8] as const) {
      const pair = new Pair({ version }).start().run(1_000);
      const flow = { type: 'flow', direction: 'transmit', opcode: 2, targetCsrc: 0x11, limits } as const;
      pair.do('switch', flow);
      pair.do('switch', { type: 'flow', direction: 'receive', opcode: 1, targetCsrc: 0x12 });
      pair.run(2_000);
      const wanted = { direction: 'transmit', opcode: 2, targetCsrc: 0x11 };
      const [first, second] = pair.of('endpoint', 'flow-requested');
      expect(first).toEqual({ type: 'flow-requested', ...wanted, ...(version === 8 ? { limits } : {}) });
      expect(second).toEqual({ type: 'flow-requested', direction: 'receive', opcode: 1, targetCsrc: 0x12 });
    }
  });

  it('TXFLOWCTRL of version 8 has the long form without limits too', () => {
    const pair = new Pair().start().run(1_000);
    pair.do('switch', { type: 'flow', direction: 'transmit', opcode: 0, targetCsrc: 0x11 });
    const [bytes] = pair.of('switch', 'send').flatMap((o) => (o.kind === 'txflowctrl' ? [o.packet] : []));
    expect(bytes).toHaveLength(48);
  });

  it('ECHO is answered by ECHO with the time of receipt', () => {
    const pair = new Pair().start().run(1_000);
    pair.do('switch', { type: 'echo' });
    pair.run(2_000);
    const [asked] = pair.sent('switch', 'echo');
    const [answered] = pair.sent('endpoint', 'echo');
    expect(asked?.receiveNtp).toBe(0n);
    expect(answered?.ntp).toBe(asked?.ntp);
    expect(answered!.receiveNtp).toBeGreaterThan(asked!.ntp);
    const [echoed] = pair.of('switch', 'echoed');
    expect(echoed!.roundTripMs).toBeLessThan(20);
    expect(pair.of('endpoint', 'echoed')).toEqual([]);
  });
});
