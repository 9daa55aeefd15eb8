import { describe, expect, it } from 'vitest';
import { options, parameterSet, Solo, summary } from './harness.js';

describe('a peer that lowers the version', () => {
  it('can do so while negotiating, not afterwards', () => {
    const solo = new Solo(options('switch'));
    solo.negotiate();
    expect(summary(solo.hear(solo.muxctrl({ version: 6 })))).toEqual(['dropped other-version']);
    expect(summary(solo.do({ type: 'spimap', set: parameterSet(0x0101) }))).toEqual(['send spimap']);
  });

  it('starts everything over: nothing agreed at the higher version counts', () => {
    const solo = new Solo(options('switch'));
    solo.do({ type: 'start' });
    solo.hear(solo.muxctrl());
    solo.hear(solo.mediaopts());
    expect(summary(solo.ack('muxctrl'))).toEqual(['send mediaopts']);
    const old = solo.last('mediaopts').ntp;
    expect(summary(solo.hear(solo.muxctrl({ version: 7 })))).toEqual(['send muxctrl', 'send ack muxctrl']);
    expect(summary(solo.hear({ type: 'ack', of: 'mediaopts', ntp: old }))).toEqual(['dropped unexpected-ack']);
    expect(summary(solo.ack('muxctrl'))).toEqual(['send mediaopts']);
    expect(solo.last('mediaopts').ntp).toBeGreaterThan(old);
    expect(summary(solo.ack('mediaopts'))).toEqual([]);
    expect(summary(solo.hear(solo.mediaopts()))).toEqual(['send ack mediaopts', 'negotiated']);
  });

  it('after it ACKed our MEDIAOPTS has to ACK them again', () => {
    const solo = new Solo(options('switch'));
    solo.do({ type: 'start' });
    solo.hear(solo.muxctrl());
    solo.ack('muxctrl');
    solo.ack('mediaopts');
    solo.hear(solo.muxctrl({ version: 7 }));
    expect(summary(solo.hear(solo.mediaopts()))).toEqual(['send ack mediaopts']);
    solo.ack('muxctrl');
    expect(summary(solo.ack('mediaopts'))).toEqual(['negotiated']);
  });

  it('is not ACKed for a version above ours, nor for one that does not exist', () => {
    const solo = new Solo(options('switch', { version: 7 }));
    solo.do({ type: 'start' });
    expect(summary(solo.hear(solo.muxctrl({ version: 8 })))).toEqual(['dropped other-version']);
    const bytes = solo.packet(solo.muxctrl());
    bytes[12] = 0x91;
    expect(solo.do({ type: 'packet', bytes })).toEqual([
      { type: 'dropped', reason: 'malformed', detail: 'unsupported_version' },
    ]);
  });
});

describe('version 6', () => {
  const notify = { type: 'notify', secure: true } as const;
  const request = { type: 'request-to-send', start: true, videoMask: 1, audioMask: 0 } as const;

  it('is told neither NOTIFY nor REQTOSEND, asked before or after the negotiation', () => {
    const solo = new Solo(options('switch'));
    solo.do(notify);
    solo.do(request);
    const told = [
      { type: 'not-capable', request: 'notify', reason: 'version' },
      { type: 'not-capable', request: 'request-to-send', reason: 'version' },
    ];
    const out = solo.negotiate({ version: 6 });
    expect(out.filter((o) => o.type === 'not-capable')).toEqual(told);
    expect([...solo.do(notify), ...solo.do(request)]).toEqual(told);
    expect(solo.sent.filter((p) => p.type === 'notify' || p.type === 'reqtosend')).toEqual([]);
    expect(solo.machine.deadline()).toBeUndefined();
  });

  it('may not say them either', () => {
    const solo = new Solo(options('switch'));
    solo.negotiate({ version: 6 });
    expect(summary(solo.hear({ type: 'notify', secure: true }))).toEqual(['dropped not-capable']);
    expect(summary(solo.hear({ ...request, type: 'reqtosend' }))).toEqual(['dropped not-capable']);
  });

  it('takes REFRESH, flow control and ECHO', () => {
    const solo = new Solo(options('switch'));
    solo.negotiate({ version: 6 });
    expect(summary(solo.do({ type: 'refresh', targetCsrc: 1, flags: 0 }))).toEqual(['send refresh']);
    expect(summary(solo.do({ type: 'flow', direction: 'transmit', opcode: 0, targetCsrc: 1 }))).toEqual([
      'send txflowctrl',
    ]);
    expect(summary(solo.do({ type: 'echo' }))).toEqual(['send echo']);
  });
});
