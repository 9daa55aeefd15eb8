/**
 * The SIP user agent of the switch and of the endpoint: transactions, dialogs and calls as one pull machine without sockets.
 * Who drives it calls `receive`, sends what `poll` gives, and ticks at `deadline`.
 */
import type { Engine } from '../base/engine.js';
import type { ResponseDraft } from './build.js';
import { CallTable } from './call.js';
import { ClientHalf } from './client-half.js';
import type { CallNumber, SipCommand, UserAgentInput, UserAgentOptions, UserAgentOutput } from './contract.js';
import { OptionsProbes } from './options-probe.js';
import { sendProvisional } from './reliable.js';
import { ServerHalf } from './server-half.js';
import { Transfers } from './transfers.js';
import { Upkeep } from './upkeep.js';

export class UserAgent implements Engine<UserAgentInput, UserAgentOutput> {
  readonly #table: CallTable;
  readonly #server: ServerHalf;
  readonly #client: ClientHalf;
  readonly #probes: OptionsProbes;
  readonly #upkeep: Upkeep;
  readonly #transfers: Transfers;

  constructor(options: UserAgentOptions) {
    this.#table = new CallTable(options);
    this.#transfers = new Transfers(this.#table);
    this.#upkeep = new Upkeep(this.#table, (call, now) => this.#client.refresh(call, now));
    this.#server = new ServerHalf(this.#table, this.#upkeep, this.#transfers);
    this.#client = new ClientHalf(this.#table, this.#upkeep);
    this.#probes = new OptionsProbes(this.#table);
  }

  /** A call number for an `invite`, from the same row as those of incoming calls. */
  newCall(): CallNumber {
    return this.#table.newCall();
  }

  /** Live calls and transactions, for metrics. */
  get counts(): { readonly calls: number; readonly transactions: number } {
    return { calls: this.#table.calls.size, transactions: this.#table.layer.size };
  }

  /** Calls that we hung up and that still wait for the ACK to our 2xx before BYE goes out. */
  get hangingUp(): number {
    return [...this.#table.calls.values()].filter((c) => c.hangup !== undefined && c.unacked !== undefined).length;
  }

  /** Connections that carry a call, or that a registered endpoint is called on. */
  connectionsInUse(): ReadonlySet<number> {
    const flows = this.#table.options.registration?.registrar.connections() ?? [];
    return new Set([...flows, ...[...this.#table.calls.values()].map((call) => call.connection)]);
  }

  /** Throws only on a misuse that is our own bug: `invite` with the number of a live call. */
  receive(input: UserAgentInput, now: number): void {
    if (input.type === 'message') this.#upkeep.heard(input.connection, now);
    this.#table.now = now;
    switch (input.type) {
      case 'connected':
      case 'message':
      case 'refused':
      case 'disconnected':
        this.#table.layer.receive(input, now);
        break;
      case 'tick':
        this.#table.layer.receive(input, now);
        this.#drainLayer(now);
        this.#tickCalls(now);
        break;
      default:
        this.#command(input, now);
    }
    this.#drainLayer(now);
  }

  poll(): UserAgentOutput | undefined {
    return this.#table.outputs.shift();
  }

  deadline(): number | undefined {
    const layer = this.#table.layer.deadline();
    const calls = this.#table.timers.next();
    return layer === undefined || calls === undefined ? (layer ?? calls) : Math.min(layer, calls);
  }

  #command(command: SipCommand, now: number): void {
    if (command.type === 'stop') {
      this.#server.stop(command.retryAfterSeconds);
      return;
    }
    if (command.type === 'invite') {
      this.#client.invite(command, now);
      return;
    }
    if (command.type === 'options') {
      this.#probes.send(command, now);
      return;
    }
    // The call may have ended while the command was on its way.
    const call = this.#table.calls.get(command.call);
    if (call === undefined) return;
    switch (command.type) {
      case 'accept':
        this.#server.accept(call, command.sdp, now);
        return;
      case 'reject':
        this.#server.reject(call, rejection(command), now);
        return;
      case 'provisional':
        sendProvisional(this.#table, call, command.status, now);
        return;
      case 'reinvite':
        this.#client.reinvite(call, command.sdp, now);
        return;
      case 'refer-status':
        this.#transfers.notify(call, command.status, now);
        return;
      case 'hangup':
        if (call.phase !== 'incoming') {
          this.#client.hangup(call, command.reason, now);
          return;
        }
        this.#server.reject(
          call,
          {
            status: 480,
            headers: command.reason === undefined ? [] : [{ name: 'reason', value: command.reason }],
          },
          now,
        );
        this.#table.outputs.push({ type: 'ended', call: call.id, by: 'local' });
    }
  }

  #tickCalls(now: number): void {
    const { timers, calls } = this.#table;
    for (let id = timers.takeDue(now); id !== undefined; id = timers.takeDue(now)) {
      const call = calls.get(id);
      if (call === undefined) continue;
      this.#server.tick(call, now);
      if (calls.has(id)) this.#client.tick(call, now);
      if (calls.has(id)) this.#transfers.tick(call, now);
      if (calls.has(id)) this.#upkeep.tick(call, now);
    }
  }

  #drainLayer(now: number): void {
    const table = this.#table;
    for (let event = table.layer.poll(); event !== undefined; event = table.layer.poll()) {
      switch (event.type) {
        case 'send':
        case 'close':
          table.outputs.push(event);
          break;
        case 'request':
          this.#server.onRequest(event, now);
          break;
        case 'response':
          if (!this.#probes.onResponse(event.transaction, event.response.status)) {
            this.#client.onResponse(event.transaction, event.response, now);
          }
          break;
        case 'timeout':
          this.#probes.onTimeout(event.transaction);
          this.#client.onTimeout(event.transaction, now);
          break;
        case 'terminated':
          table.uses.delete(event.transaction);
          this.#server.onTerminated(event.transaction);
          break;
        case 'lost':
          this.#probes.onLost(event.connection);
          this.#server.onLost(event.connection);
          this.#upkeep.onLost(event.connection);
          for (const call of [...table.calls.values()]) {
            if (call.connection !== event.connection) continue;
            table.end(call, call.phase === 'leaving' ? 'local' : 'connection');
          }
      }
    }
  }
}

function rejection(command: SipCommand & { readonly type: 'reject' }): ResponseDraft {
  const { status, reasonPhrase, headers } = command;
  return {
    status: status >= 300 && status <= 699 ? status : 500,
    ...(reasonPhrase === undefined ? {} : { phrase: reasonPhrase }),
    ...(headers === undefined ? {} : { headers }),
  };
}
