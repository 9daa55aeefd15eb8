/**
 * Random sequences of commands, losses, delays and forged messages against two user agents. `npm run fuzz` takes a million steps
 * (SIP_FUZZ_STEPS); the seed is printed, and SIP_FUZZ_SEED repeats a run.
 */
import { describe, expect, it } from 'vitest';
import { SIP_MAX_TRANSACTIONS_PER_CONNECTION } from '../../../src/base/limits.js';
import type { SipCommand, SipTransport } from '../../../src/sip/contract.js';
import { StreamFramer } from '../../../src/wire/sip-framing.js';
import { parseSipMessage } from '../../../src/wire/sip-message.js';
import { Random } from '../../support/random.js';
import { Line, NAMES, type Name, type SaidEvent } from './line.js';
import { SDP_A, SDP_B, text } from './support.js';

const STEPS = Number(process.env.SIP_FUZZ_STEPS ?? 20_000);
const SEED = Number(process.env.SIP_FUZZ_SEED ?? Date.now() % 2 ** 31);
const STEPS_OF_A_LINE = 60;

/** What a call of one side has been through, as its user heard it. */
type Heard = 'unknown' | 'incoming' | 'dialled' | 'up' | 'over';

/** Which event may follow what; anything else is a broken promise of the user agent. */
function after(heard: Heard, event: SaidEvent): Heard | undefined {
  switch (event.type) {
    case 'incoming':
      return heard === 'unknown' ? 'incoming' : undefined;
    case 'progress':
      return heard === 'dialled' ? heard : undefined;
    case 'answered':
      return heard === 'dialled' || heard === 'up' ? 'up' : undefined;
    case 'confirmed':
      return heard === 'incoming' || heard === 'up' ? 'up' : undefined;
    case 'offer-again':
    case 'offer-withdrawn':
    case 'offer-refused':
      return heard === 'up' || heard === 'incoming' ? heard : undefined;
    case 'failed':
      return heard === 'dialled' ? 'over' : undefined;
    case 'ended':
      return heard === 'over' || heard === 'unknown' ? undefined : 'over';
    default:
      return heard;
  }
}

class Run {
  readonly #random: Random;
  readonly #line: Line;
  readonly #transport: SipTransport;
  readonly #heard: Record<Name, Map<number, Heard>> = { ann: new Map(), switch: new Map() };
  readonly #seen: Uint8Array[] = [];
  ups = 0;

  constructor(random: Random) {
    this.#random = random;
    this.#transport = random.pick(['tls', 'tcp', 'udp'] as const);
    const lossy = this.#transport === 'udp';
    this.#line = new Line({
      transport: this.#transport,
      fate: () => (lossy ? this.#fate() : [random.below(3) * 20]),
      onSent: (_, bytes) => this.#sent(bytes),
    });
  }

  #fate(): readonly number[] {
    const kind = this.#random.below(12);
    if (kind === 0) return [];
    if (kind === 1) return [0, this.#random.below(2_000)];
    return [this.#random.below(3) * 40];
  }

  /** Everything sent is one well-formed message. */
  #sent(bytes: Uint8Array): void {
    const framed = new StreamFramer().feed(bytes);
    if (framed.length !== 1 || framed[0]!.type !== 'message') throw new Error(`not one message: ${text(bytes)}`);
    if (this.#seen.length < 64) this.#seen.push(bytes);
  }

  step(): void {
    const random = this.#random;
    const name = random.pick(NAMES);
    const kind = random.below(16);
    if (kind < 7) this.#line.command(name, this.#command(name, kind));
    else if (kind < 9) this.#forge(name);
    else this.#line.advance(random.below(kind === 15 ? 40_000 : 800));
    this.#check();
  }

  #command(name: Name, kind: number): SipCommand {
    const random = this.#random;
    const call = 1 + random.below(4);
    switch (kind) {
      case 0: {
        const mine = this.#line.ua[name].newCall();
        this.#heard[name].set(mine, 'dialled');
        const from = `sip:${name}@${name}.example`;
        return { type: 'invite', call: mine, connection: 1, target: 'sip:8000@there.example', from, sdp: SDP_A };
      }
      case 1:
      case 2:
        return { type: 'accept', call, sdp: SDP_B };
      case 3:
        return random.oneIn(3)
          ? { type: 'reject', call, status: random.pick([300, 404, 486, 488, 491, 603]) }
          : { type: 'accept', call, sdp: SDP_B };
      case 4:
        return { type: 'reinvite', call, sdp: random.pick([SDP_A, SDP_B]) };
      case 5:
        return { type: 'hangup', call, reason: 'SIP;cause=200' };
      default: {
        if (random.oneIn(2)) return { type: 'provisional', call, status: random.pick([180, 183]) };
        const to = { target: 'sip:there.example', from: 'sip:a@b.example' };
        return { type: 'options', probe: random.below(100), connection: 1, ...to };
      }
    }
  }

  /** A message of either side once more, to either side, as it was or with something of it changed. */
  #forge(to: Name): void {
    const random = this.#random;
    if (this.#seen.length === 0) return;
    let message = text(random.pick(this.#seen));
    const change = random.below(8);
    if (change === 0) message = message.replace(/CSeq: (\d+)/, (_, n) => `CSeq: ${Number(n) + random.below(5)}`);
    else if (change === 1) message = message.replace(/;tag=\w+/, `;tag=${random.pick(['a1', 's1', 'x'])}`);
    else if (change === 2)
      message = message.replace(/branch=z9hG4bK\w+/, `branch=z9hG4bK${random.pick(['a3', 's2', 'x'])}`);
    else if (change === 3)
      message = message.replace(
        /^(INVITE|BYE|ACK|CANCEL|OPTIONS|PRACK)/,
        random.pick(['INVITE', 'BYE', 'ACK', 'CANCEL', 'PRACK', 'UPDATE']),
      );
    else if (change === 4)
      message = message.replace(/^SIP\/2.0 \d+/, `SIP/2.0 ${random.pick([100, 180, 200, 302, 408, 481, 491, 500])}`);
    else if (change === 5)
      message = message.replace(/Contact: .*\r\n/, random.pick(['', 'Contact: *\r\n', 'Contact: <sip:x@y>\r\n']));
    const bytes = new TextEncoder().encode(message);
    // A stream must stay in step: what would not be parsed is for the parser's own fuzz run.
    if (this.#transport === 'udp' || parseSipMessage(bytes).ok) this.#line.inject(to, bytes);
  }

  #check(): void {
    for (const name of NAMES) {
      for (const event of this.#line.said[name].splice(0)) {
        if (!('call' in event)) continue;
        const before = this.#heard[name].get(event.call) ?? 'unknown';
        const now = after(before, event);
        if (now === undefined) throw new Error(`${name}: ${event.type} of call ${event.call}, which is ${before}`);
        if (now === 'up' && before !== 'up') this.ups++;
        this.#heard[name].set(event.call, now);
      }
      const { calls, transactions } = this.#line.ua[name].counts;
      if (transactions > 2 * SIP_MAX_TRANSACTIONS_PER_CONNECTION) throw new Error(`${transactions} transactions`);
      const alive = [...this.#heard[name].values()].filter((h) => h !== 'over').length;
      if (calls > alive) throw new Error(`${name}: ${calls} calls, of which its user knows ${alive}`);
    }
  }

  #rejectAll(): void {
    for (const name of NAMES) {
      for (const [call, heard] of this.#heard[name])
        if (heard === 'incoming') this.#line.command(name, { type: 'reject', call, status: 480 });
    }
  }

  /** Everybody hangs up and refuses whoever was still on his way; in the end nothing is left, whatever came before. */
  end(): void {
    this.#rejectAll();
    for (const name of NAMES)
      for (const call of this.#heard[name].keys()) this.#line.command(name, { type: 'hangup', call });
    this.#line.advance(300_000);
    this.#check();
    this.#rejectAll();
    this.#line.advance(300_000);
    this.#check();
    for (const name of NAMES) {
      const { calls, transactions } = this.#line.ua[name].counts;
      if (calls + transactions > 0)
        throw new Error(`${name}: ${calls} calls and ${transactions} transactions are left`);
    }
  }
}

describe(`${STEPS} random steps of two user agents, seed ${SEED}`, () => {
  it(
    'break no promise: no exception, well-formed messages, events in their order, nothing left',
    () => {
      console.log(`SIP_FUZZ_SEED=${SEED}`);
      let ups = 0;
      for (let done = 0, run = 0; done < STEPS; done += STEPS_OF_A_LINE, run++) {
        const one = new Run(new Random(SEED + run));
        try {
          for (let i = 0; i < STEPS_OF_A_LINE; i++) one.step();
          one.end();
        } catch (error) {
          throw new Error(`SIP_FUZZ_SEED=${SEED + run}: ${error instanceof Error ? error.message : error}`, {
            cause: error,
          });
        }
        ups += one.ups;
      }
      // The steps must lead somewhere, or nothing was tested.
      expect(ups).toBeGreaterThan(STEPS / 500);
    },
    20_000 + STEPS,
  );
});
