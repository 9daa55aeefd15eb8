import { describe, expect, it } from 'vitest';
import {
  type ClientInput,
  type ClientState,
  type ClientTransaction,
  InviteClientTransaction,
  NonInviteClientTransaction,
} from '../../../src/sip/client-transaction.js';
import { response } from './support.js';

const REQUEST = Uint8Array.of(1);
const ACK = Uint8Array.of(2);

/** S: our request is sent, A: an ACK is sent, a number: that response is given on, T: timeout. */
function outputs(t: ClientTransaction): string {
  let out = '';
  for (let o = t.poll(); o !== undefined; o = t.poll()) {
    if (o.type === 'send') out += o.bytes === ACK ? 'A' : 'S';
    else out += o.type === 'response' ? `(${o.response.status})` : 'T';
  }
  return out;
}

const invite = (reliable: boolean) => new InviteClientTransaction(REQUEST, reliable, () => ACK);
const other = (reliable: boolean) => new NonInviteClientTransaction(REQUEST, reliable);

const START: ClientInput = { type: 'start' };
const on = (status: number): ClientInput => ({ type: 'response', response: response(status) });
const EVENTS = { start: START, '180': on(180), '200': on(200), '486': on(486), late: { type: 'tick' } as ClientInput };
type Event = keyof typeof EVENTS;

type Row = Readonly<Record<Event, string>>;

/** What each event does in each state: outputs, and the state after it. `late`: a tick 40 s on. */
const INVITE_TABLE: Readonly<Record<string, { readonly path: readonly Event[]; readonly row: Row }>> = {
  new: {
    path: [],
    row: { start: 'S calling', '180': ' new', '200': ' new', '486': ' new', late: ' new' },
  },
  calling: {
    path: ['start'],
    row: {
      start: ' calling',
      '180': '(180) proceeding',
      '200': '(200) accepted',
      '486': 'A(486) completed',
      late: 'T terminated',
    },
  },
  proceeding: {
    path: ['start', '180'],
    row: {
      start: ' proceeding',
      '180': '(180) proceeding',
      '200': '(200) accepted',
      '486': 'A(486) completed',
      late: ' proceeding',
    },
  },
  completed: {
    path: ['start', '486'],
    row: { start: ' completed', '180': ' completed', '200': ' completed', '486': 'A completed', late: ' terminated' },
  },
  accepted: {
    path: ['start', '200'],
    row: { start: ' accepted', '180': ' accepted', '200': '(200) accepted', '486': ' accepted', late: ' terminated' },
  },
  terminated: {
    path: ['start', 'late'],
    row: {
      start: ' terminated',
      '180': ' terminated',
      '200': ' terminated',
      '486': ' terminated',
      late: ' terminated',
    },
  },
};

const OTHER_TABLE: typeof INVITE_TABLE = {
  new: { path: [], row: { ...INVITE_TABLE.new!.row, start: 'S trying' } },
  trying: {
    path: ['start'],
    row: {
      start: ' trying',
      '180': '(180) proceeding',
      '200': '(200) completed',
      '486': '(486) completed',
      late: 'T terminated',
    },
  },
  proceeding: {
    path: ['start', '180'],
    row: {
      start: ' proceeding',
      '180': '(180) proceeding',
      '200': '(200) completed',
      '486': '(486) completed',
      late: 'T terminated',
    },
  },
  completed: {
    path: ['start', '200'],
    row: { start: ' completed', '180': ' completed', '200': ' completed', '486': ' completed', late: ' terminated' },
  },
  terminated: INVITE_TABLE.terminated!,
};

function check(make: () => ClientTransaction, table: typeof INVITE_TABLE): void {
  for (const [state, { path, row }] of Object.entries(table)) {
    for (const event of Object.keys(EVENTS) as Event[]) {
      const t = make();
      let now = 0;
      for (const step of path) {
        if (step === 'late') now += 40_000;
        t.receive(EVENTS[step], now);
      }
      outputs(t);
      expect(t.state).toBe(state as ClientState);
      t.receive(EVENTS[event], event === 'late' ? now + 40_000 : now);
      expect(`${outputs(t)} ${t.state}`, `${state} on ${event}`).toBe(row[event]);
    }
  }
}

describe('every state against every event', () => {
  it('INVITE client (RFC 3261 §17.1.1, RFC 6026)', () => check(() => invite(false), INVITE_TABLE));
  it('non-INVITE client (RFC 3261 §17.1.2)', () => check(() => other(false), OTHER_TABLE));

  it('on a reliable transport a final response ends at once what would only wait for retransmissions', () => {
    for (const [make, status, after] of [
      [invite, 486, 'terminated'],
      [invite, 200, 'accepted'],
      [other, 200, 'terminated'],
      [other, 486, 'terminated'],
    ] as const) {
      const t = make(true);
      t.receive(START, 0);
      t.receive(on(status), 0);
      expect(t.state).toBe(after);
    }
  });
});

/** Times at which something happens when only the clock runs. */
function schedule(t: ClientTransaction, until: number): string[] {
  const out: string[] = [];
  for (let d = t.deadline(); d !== undefined && d <= until; d = t.deadline()) {
    t.receive({ type: 'tick' }, d);
    out.push(`${d}:${outputs(t)}`);
  }
  return out;
}

describe('timers', () => {
  it('A doubles until B ends it', () => {
    const t = invite(false);
    t.receive(START, 0);
    outputs(t);
    expect(schedule(t, 99_999)).toEqual(['500:S', '1500:S', '3500:S', '7500:S', '15500:S', '31500:S', '32000:T']);
    expect(t.deadline()).toBeUndefined();
  });
  it('E doubles up to T2 until F ends it, and is T2 after a provisional response', () => {
    const t = other(false);
    t.receive(START, 0);
    outputs(t);
    expect(schedule(t, 12_000)).toEqual(['500:S', '1500:S', '3500:S', '7500:S', '11500:S']);
    t.receive(on(100), 12_000);
    outputs(t);
    expect(schedule(t, 99_999)).toEqual(['15500:S', '19500:S', '23500:S', '27500:S', '31500:S', '32000:T']);
  });
  it('a reliable transport repeats nothing', () => {
    for (const make of [invite, other]) {
      const t = make(true);
      t.receive(START, 0);
      expect(outputs(t)).toBe('S');
      expect(schedule(t, 99_999)).toEqual(['32000:T']);
    }
  });
  it('after a provisional response an INVITE waits without end', () => {
    const t = invite(false);
    t.receive(START, 0);
    t.receive(on(180), 100);
    expect(t.deadline()).toBeUndefined();
  });
  it('D is 32 s, K is T4, M is 64*T1', () => {
    const deadline = (t: ClientTransaction, status: number) => {
      t.receive(START, 0);
      t.receive(on(status), 1_000);
      return t.deadline();
    };
    expect(deadline(invite(false), 486)).toBe(33_000);
    expect(deadline(other(false), 200)).toBe(6_000);
    expect(deadline(invite(true), 200)).toBe(33_000);
  });
});
