/** Every state of the machine against every input, for both roles: what comes out, and which state follows. */
import { describe, expect, it } from 'vitest';
import type { TipInput, TipOptions } from '../../../src/tip/index.js';
import type { TIP_SUBTYPES } from '../../../src/wire/tip.js';
import { options, parameterSet, Solo, summary } from './harness.js';

const SPI = 0x0101;

/** How each state is reached. */
const STATES = {
  idle: () => undefined,
  /** Our MUXCTRL is out. */
  asked: (s: Solo) => void s.do({ type: 'start' }),
  /** The peer's MUXCTRL is ACKed, ours is not. */
  heard: (s: Solo) => {
    s.do({ type: 'start' });
    s.hear(s.muxctrl());
  },
  /** Our MUXCTRL is ACKed, our MEDIAOPTS is out, and the peer has said nothing. */
  acked: (s: Solo) => {
    s.do({ type: 'start' });
    s.ack('muxctrl');
  },
  /** Only the ACK of our MEDIAOPTS is missing. */
  last: (s: Solo) => {
    s.do({ type: 'start' });
    s.hear(s.muxctrl());
    s.hear(s.mediaopts());
    s.ack('muxctrl');
  },
  done: (s: Solo) => void s.negotiate(),
  /** A SPIMAP waits: on the switch for its ACK, on the endpoint to be installed. */
  spimap: (s: Solo) => {
    s.negotiate();
    const set = parameterSet(SPI);
    if (s.own.role === 'switch') s.do({ type: 'spimap', set });
    else s.hear({ type: 'spimap', ...set });
  },
  ended: (s: Solo) => void s.do({ type: 'stop' }),
} as const satisfies Record<string, (solo: Solo) => void>;
type State = keyof typeof STATES;

const INPUTS = {
  start: { type: 'start' },
  tick: { type: 'tick' },
  stop: { type: 'stop' },
  spimap: { type: 'spimap', set: parameterSet(0x0103) },
  'set-installed': { type: 'set-installed', spiWord: SPI },
  'set-installed, another': { type: 'set-installed', spiWord: 0x0909 },
  notify: { type: 'notify', secure: true },
  refresh: { type: 'refresh', targetCsrc: 1, flags: 0 },
  flow: { type: 'flow', direction: 'transmit', opcode: 0, targetCsrc: 1 },
  'request-to-send': { type: 'request-to-send', start: true, videoMask: 1, audioMask: 0 },
  echo: { type: 'echo' },
} as const satisfies Record<string, TipInput>;

const PACKETS = {
  muxctrl: (s: Solo) => s.muxctrl(),
  'muxctrl, lower version': (s: Solo) => s.muxctrl({ version: 7 }),
  mediaopts: (s: Solo) => s.mediaopts(),
  notify: () => ({ type: 'notify', secure: true }),
  echo: () => ({ type: 'echo', receiveNtp: 0n }),
  txflowctrl: () => ({ type: 'txflowctrl', opcode: 0, targetCsrc: 1 }),
  rxflowctrl: () => ({ type: 'rxflowctrl', opcode: 0, targetCsrc: 1 }),
  refresh: () => ({ type: 'refresh', targetCsrc: 1, flags: 0 }),
  spimap: () => ({ type: 'spimap', ...parameterSet(0x0105) }),
  reqtosend: () => ({ type: 'reqtosend', start: true, videoMask: 1, audioMask: 0 }),
  'ack muxctrl': (s: Solo) => ({ type: 'ack', of: 'muxctrl', ntp: ntpOfLast(s, 'muxctrl') }),
  'ack mediaopts': (s: Solo) => ({ type: 'ack', of: 'mediaopts', ntp: ntpOfLast(s, 'mediaopts') }),
  'ack spimap': (s: Solo) => ({ type: 'ack', of: 'spimap', ntp: ntpOfLast(s, 'spimap') }),
  'ack notify': () => ({ type: 'ack', of: 'notify' }),
  'echo answer': () => ({ type: 'echo', receiveNtp: 1n }),
  'reqtosend-ack': () => ({ type: 'reqtosend-ack', start: true, videoMask: 1, audioMask: 0 }),
} as const;

function ntpOfLast(s: Solo, type: keyof typeof TIP_SUBTYPES): bigint {
  return s.sent.findLast((p) => p.type === type)?.ntp ?? 1n;
}

function reached(role: TipOptions['role'], state: State): Solo {
  const solo = new Solo(options(role));
  STATES[state](solo);
  return solo;
}

/** What an input gives in the states before `done`, from `done` on, and at the end. */
function row(idle: string, negotiating: string, done: string, ended: string): Row {
  const early = { asked: negotiating, heard: negotiating, acked: negotiating, last: negotiating };
  return { idle, ...early, done, spimap: done, ended };
}
type Row = Readonly<Record<State, string>>;

/** A request of our own: waits, is sent, is refused. */
const asks = (sent: string) => row('', '', `send ${sent}`, 'refused wrong-state');
/** A packet that means nothing before the negotiation is done. */
const told = (taken: string) => row('dropped not-running', 'dropped not-negotiated', taken, 'dropped not-running');
const always = (taken: string) => row('dropped not-running', taken, taken, 'dropped not-running');
const stray = always('dropped unexpected-ack');
const never = (why: string) => row(why, why, why, 'refused wrong-state');

const COMMON: Readonly<Record<string, Row>> = {
  start: { ...never('refused wrong-state'), idle: 'send muxctrl' },
  tick: row('', '', '', ''),
  stop: row('', '', '', ''),
  notify: asks('notify'),
  refresh: asks('refresh'),
  flow: asks('txflowctrl'),
  'request-to-send': asks('reqtosend'),
  echo: asks('echo'),
  '> muxctrl': row('dropped not-running', 'send ack muxctrl', 'send ack muxctrl, renegotiated', 'dropped not-running'),
  '> muxctrl, lower version': row(
    'dropped not-running',
    'send muxctrl, send ack muxctrl',
    'dropped other-version',
    'dropped not-running',
  ),
  '> mediaopts': {
    ...told('send ack mediaopts, renegotiated'),
    heard: 'send ack mediaopts',
    last: 'send ack mediaopts',
  },
  '> notify': told('send ack notify, notified'),
  '> echo': always('send echo'),
  '> txflowctrl': told('send ack txflowctrl, flow-requested'),
  '> rxflowctrl': told('send ack rxflowctrl, flow-requested'),
  '> refresh': told('send ack refresh, refresh-requested'),
  '> reqtosend': told('send reqtosend-ack, send-requested'),
  '> ack muxctrl': { ...stray, asked: 'send mediaopts', heard: 'send mediaopts' },
  '> ack mediaopts': { ...stray, acked: '', last: 'negotiated' },
  '> ack notify': stray,
  '> echo answer': stray,
  '> reqtosend-ack': stray,
};

const TABLE: Readonly<Record<TipOptions['role'], Readonly<Record<string, Row>>>> = {
  switch: {
    ...COMMON,
    // The second of two sets waits for the ACK of the first.
    spimap: { ...asks('spimap'), spimap: '' },
    'set-installed': never('refused wrong-role'),
    'set-installed, another': never('refused wrong-role'),
    '> spimap': always('dropped spimap-to-switch'),
    '> ack spimap': { ...stray, spimap: 'spimap-acked' },
  },
  endpoint: {
    ...COMMON,
    spimap: never('refused wrong-role'),
    'set-installed': { ...never('refused wrong-state'), spimap: 'send ack spimap' },
    'set-installed, another': never('refused wrong-state'),
    '> spimap': told('set'),
    '> ack spimap': stray,
  },
};

/** The state of the machine in each of ours, and where an input leads that leads anywhere. */
const MACHINE_STATE: Readonly<Record<State, string>> = {
  idle: 'idle',
  asked: 'negotiating',
  heard: 'negotiating',
  acked: 'negotiating',
  last: 'negotiating',
  done: 'done',
  spimap: 'done',
  ended: 'ended',
};
function stateAfter(state: State, input: string): string {
  if (input === 'stop') return 'ended';
  if (input === 'start' && state === 'idle') return 'negotiating';
  if (input === '> ack mediaopts' && state === 'last') return 'done';
  return MACHINE_STATE[state];
}

const EVENTS: Readonly<Record<string, (s: Solo) => ReturnType<Solo['do']>>> = {
  ...Object.fromEntries(Object.entries(INPUTS).map(([name, input]) => [name, (s: Solo) => s.do(input)])),
  ...Object.fromEntries(Object.entries(PACKETS).map(([name, make]) => [`> ${name}`, (s: Solo) => s.hear(make(s))])),
};

for (const role of ['switch', 'endpoint'] as const)
  describe(`the ${role} in every state against every input`, () => {
    it('has a row for every input', () => {
      expect(Object.keys(TABLE[role]).sort()).toEqual(Object.keys(EVENTS).sort());
    });
    for (const [name, event] of Object.entries(EVENTS))
      it(name, () => {
        for (const state of Object.keys(STATES) as State[]) {
          const solo = reached(role, state);
          expect(solo.machine.state).toBe(MACHINE_STATE[state]);
          const out = summary(event(solo)).join(', ');
          expect(`${state}: ${out} → ${solo.machine.state}`).toBe(
            `${state}: ${TABLE[role][name]?.[state]} → ${stateAfter(state, name)}`,
          );
        }
      });
  });
