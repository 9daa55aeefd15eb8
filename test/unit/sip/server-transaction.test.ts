import { describe, expect, it } from 'vitest';
import {
  InviteServerTransaction,
  NonInviteServerTransaction,
  type ServerInput,
  type ServerTransaction,
} from '../../../src/sip/server-transaction.js';

const respond = (status: number): ServerInput => ({ type: 'respond', status, bytes: Uint8Array.of(status / 100) });
const EVENTS = {
  request: { type: 'request' } as ServerInput,
  ack: { type: 'ack' } as ServerInput,
  '100': respond(100),
  '200': respond(200),
  '400': respond(400),
  late: { type: 'tick' } as ServerInput,
};
type Event = keyof typeof EVENTS;

/** The first digit of each response sent, T: timeout. */
function outputs(t: ServerTransaction): string {
  let out = '';
  for (let o = t.poll(); o !== undefined; o = t.poll()) out += o.type === 'send' ? String(o.bytes[0]) : 'T';
  return out;
}

type Table = Readonly<Record<string, readonly [path: readonly Event[], row: Readonly<Record<Event, string>>]>>;

const INVITE: Table = {
  proceeding: [
    ['100'],
    {
      request: '1 proceeding',
      ack: ' proceeding',
      '100': '1 proceeding',
      '200': '2 accepted',
      '400': '4 completed',
      late: ' proceeding',
    },
  ],
  completed: [
    ['100', '400'],
    {
      request: '4 completed',
      ack: ' confirmed',
      '100': ' completed',
      '200': ' completed',
      '400': ' completed',
      late: 'T terminated',
    },
  ],
  confirmed: [
    ['400', 'ack'],
    {
      request: ' confirmed',
      ack: ' confirmed',
      '100': ' confirmed',
      '200': ' confirmed',
      '400': ' confirmed',
      late: ' terminated',
    },
  ],
  accepted: [
    ['200'],
    {
      request: ' accepted',
      ack: ' accepted',
      '100': ' accepted',
      '200': '2 accepted',
      '400': ' accepted',
      late: ' terminated',
    },
  ],
  terminated: [
    ['200', 'late'],
    {
      request: ' terminated',
      ack: ' terminated',
      '100': ' terminated',
      '200': ' terminated',
      '400': ' terminated',
      late: ' terminated',
    },
  ],
};

const OTHER: Table = {
  trying: [
    [],
    {
      request: ' trying',
      ack: ' trying',
      '100': '1 proceeding',
      '200': '2 completed',
      '400': '4 completed',
      late: ' trying',
    },
  ],
  proceeding: [
    ['100'],
    {
      request: '1 proceeding',
      ack: ' proceeding',
      '100': '1 proceeding',
      '200': '2 completed',
      '400': '4 completed',
      late: ' proceeding',
    },
  ],
  completed: [
    ['400'],
    {
      request: '4 completed',
      ack: ' completed',
      '100': ' completed',
      '200': ' completed',
      '400': ' completed',
      late: ' terminated',
    },
  ],
  terminated: [['400', 'late'], INVITE.terminated![1]],
};

function check(make: () => ServerTransaction, table: Table): void {
  for (const [state, [path, row]] of Object.entries(table)) {
    for (const event of Object.keys(EVENTS) as Event[]) {
      const t = make();
      let now = 0;
      for (const step of path) {
        if (step === 'late') now += 40_000;
        t.receive(EVENTS[step], now);
      }
      outputs(t);
      expect(t.state).toBe(state);
      t.receive(EVENTS[event], event === 'late' ? now + 40_000 : now);
      expect(`${outputs(t)} ${t.state}`, `${state} on ${event}`).toBe(row[event]);
    }
  }
}

describe('every state against every event', () => {
  it('INVITE server (RFC 3261 §17.2.1, RFC 6026)', () => check(() => new InviteServerTransaction(false), INVITE));
  it('non-INVITE server (RFC 3261 §17.2.2)', () => check(() => new NonInviteServerTransaction(false), OTHER));
});

function schedule(t: ServerTransaction): string[] {
  const out: string[] = [];
  for (let d = t.deadline(); d !== undefined; d = t.deadline()) {
    t.receive({ type: 'tick' }, d);
    out.push(`${d}:${outputs(t)}`);
  }
  return out;
}

describe('timers', () => {
  it('G repeats a refusal, doubling up to T2, until H gives up', () => {
    const t = new InviteServerTransaction(false);
    t.receive(respond(400), 0);
    outputs(t);
    const sent = ['500:4', '1500:4', '3500:4', '7500:4', '11500:4', '15500:4', '19500:4', '23500:4', '27500:4'];
    expect(schedule(t)).toEqual([...sent, '31500:4', '32000:T']);
  });
  it('a reliable transport repeats nothing, H still runs, and the ACK ends it', () => {
    const t = new InviteServerTransaction(true);
    t.receive(respond(400), 0);
    outputs(t);
    expect(t.deadline()).toBe(32_000);
    t.receive({ type: 'ack' }, 1);
    expect(t.state).toBe('terminated');
    expect(t.deadline()).toBeUndefined();
  });
  it('I is T4, J and L are 64*T1, J is nothing on a reliable transport', () => {
    const i = new InviteServerTransaction(false);
    i.receive(respond(400), 0);
    i.receive({ type: 'ack' }, 1_000);
    expect(i.deadline()).toBe(6_000);
    const l = new InviteServerTransaction(true);
    l.receive(respond(200), 1_000);
    expect(l.deadline()).toBe(33_000);
    const j = new NonInviteServerTransaction(false);
    j.receive(respond(200), 1_000);
    expect(j.deadline()).toBe(33_000);
    const none = new NonInviteServerTransaction(true);
    none.receive(respond(200), 1_000);
    expect(none.state).toBe('terminated');
  });
});
