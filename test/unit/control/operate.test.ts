/** In-meeting controls (S5), as the administration gives them to control. */
import { describe, expect, it } from 'vitest';
import type { OperatorEvent } from '../../../src/conference/contract.js';
import { Bench, CLIENT_HELLO, keysReport, SIGNALLED, TipPeer } from './harness.js';

/** One proven caller in a conference of its own. */
function oneMember(): Bench {
  const bench = new Bench();
  bench.dial();
  for (const [i, [{ channel, media }]] of bench.called('openChannel').entries()) {
    const from = { address: SIGNALLED.address, port: SIGNALLED.port + 2 * i };
    bench.relay({ type: 'relay', events: [{ type: 'dtls', channel, from, bytes: CLIENT_HELLO }] });
    bench.association(bench.taken('association-open').at(-1)!.association, keysReport());
    new TipPeer(bench, channel, media).run();
  }
  expect(bench.control.conferenceLevel('8000')).toBe('end-to-end');
  return bench;
}
const operate = (bench: Bench, event: OperatorEvent, conference = '8000') =>
  bench.receive({ type: 'operate', conference, event });

describe('what an operator asks of a conference', () => {
  it('lock: the next caller is refused with 403 and the reason', () => {
    const bench = oneMember();
    operate(bench, { type: 'lock', locked: true });
    bench.dial();
    expect(bench.heard.at(-1)).toMatchObject({
      type: 'failed',
      status: 403,
      reason: expect.stringContaining('locked'),
    });
    operate(bench, { type: 'lock', locked: false });
    bench.dial();
    expect(bench.heard.at(-1)).toMatchObject({ type: 'answered' });
  });

  it('rekey: a new set is made once 15 s have passed, and its SPIMAP goes out', () => {
    const bench = oneMember();
    bench.advance(15_000);
    operate(bench, { type: 'rekey' });
    expect(bench.called('installSet').map(([, set]) => set.spiWord)).toEqual([1, 3]);
    expect(bench.control.groupSetsMade('8000')).toBe(2);
  });

  it('drop: the call gets a BYE that says why', () => {
    const bench = oneMember();
    const openings = bench.called('openChannel');
    operate(bench, { type: 'drop', member: openings[0]![0].member });
    expect(bench.heard.at(-1)).toMatchObject({
      type: 'ended',
      by: 'peer',
      cause: expect.stringContaining('cause=410'),
    });
    expect(bench.control.conferenceLevel('8000')).toBeUndefined();
  });

  it('close: everybody gets a BYE', () => {
    const bench = oneMember();
    operate(bench, { type: 'close', reason: 'operator' });
    expect(bench.heard.at(-1)).toMatchObject({
      type: 'ended',
      by: 'peer',
      cause: expect.stringContaining('cause=410'),
    });
  });

  it('a conference that is not there: nothing', () => {
    const bench = oneMember();
    const before = bench.outputs.length;
    operate(bench, { type: 'rekey' }, 'nowhere');
    expect(bench.outputs).toHaveLength(before);
  });
});
