/**
 * The native core one packet at a time, without threads or sockets: what the tests and the TypeScript oracle compare
 * with. It is the same code that the relay threads run.
 */
import { readU16, readU32 } from '../base/bytes.js';
import type { Address, ChannelId, ConferenceId, Media } from '../base/ids.js';
import { addon, type NativeCore } from './addon.js';
import * as commands from './commands.js';
import {
  type ChannelCounters,
  type ChannelKeys,
  type ChannelParameters,
  DROP_NAMES,
  type DropName,
  type Edge,
  type GroupParameterSet,
  type IceCredentials,
  type OpenChannel,
  type RelayCounters,
  type RelayEvent,
  type RelayLevel,
} from './contract.js';
import { CounterMemory } from './counters.js';
import { readEvents } from './events.js';

export interface Datagram {
  readonly receiver: ChannelId;
  readonly bytes: Uint8Array;
}

export interface Outcome {
  /** Why the packet was refused on its way in; undefined: accepted (it may still have had no receiver). */
  readonly drop?: DropName;
  readonly events: readonly RelayEvent[];
  /** In the order of sending: media, media RTCP, control RTCP and DTLS datagrams alike. */
  readonly outputs: readonly Datagram[];
}

/** Commands take effect at once; what they send and report comes back from the next `feed`, `tick` or `take`. */
export class RelayCore {
  readonly #native: NativeCore = addon().createCore();
  readonly #slots = new Map<ChannelId, number>();
  readonly #counters = new CounterMemory(addon().coreCounters(this.#native), 1);
  #now = 0;
  #nextSlot = 0;

  /** A `dtls` channel still needs provePeer, keys and parameters before media flows. */
  openChannel(o: OpenChannel): boolean {
    const slot = this.#nextSlot++;
    this.#slots.set(o.channel, slot);
    return this.#apply(commands.openChannelCommand(o, slot, -1));
  }

  closeChannel(channel: ChannelId): boolean {
    return this.#apply(commands.closeChannelCommand(channel));
  }

  sendDatagram(channel: ChannelId, to: Address, bytes: Uint8Array): boolean {
    return this.#apply(commands.sendDatagramCommand(channel, to, bytes));
  }

  provePeer(channel: ChannelId, peer: Address): boolean {
    return this.#apply(commands.provePeerCommand(channel, peer));
  }

  awaitPeer(channel: ChannelId, signalled?: Address, calls = false): boolean {
    return this.#apply(commands.awaitPeerCommand(channel, signalled, calls));
  }

  setIce(channel: ChannelId, ice: IceCredentials | undefined): boolean {
    return this.#apply(commands.iceCommand(channel, ice));
  }

  setChannelKeys(channel: ChannelId, keys: ChannelKeys): boolean {
    return this.#apply(commands.channelKeysCommand(channel, keys));
  }

  setParameters(channel: ChannelId, parameters: ChannelParameters): boolean {
    return this.#apply(commands.parametersCommand(channel, parameters));
  }

  sendControl(channel: ChannelId, rtcp: Uint8Array): boolean {
    return this.#apply(commands.sendControlCommand(channel, rtcp));
  }

  setConference(conference: ConferenceId, options: { requiredLevel: Exclude<RelayLevel, 'unknown'> }): boolean {
    return this.#apply(commands.setConferenceCommand(conference, options.requiredLevel));
  }

  closeConference(conference: ConferenceId): boolean {
    return this.#apply(commands.closeConferenceCommand(conference));
  }

  installSet(conference: ConferenceId, set: GroupParameterSet): boolean {
    return this.#apply(commands.installSetCommand(conference, set));
  }

  dropSet(conference: ConferenceId, spiWord: number): boolean {
    return this.#apply(commands.dropSetCommand(conference, spiWord));
  }

  setAcked(channel: ChannelId, spiWord: number): boolean {
    return this.#apply(commands.setAckedCommand(channel, spiWord));
  }

  setRoutes(conference: ConferenceId, media: Media, edges: readonly Edge[]): boolean {
    return this.#apply(commands.routesCommand(conference, media, edges));
  }

  /** Any command bytes; false when refused. */
  command(bytes: Uint8Array): boolean {
    return addon().coreApply(this.#native, bytes, this.#now);
  }

  /** One datagram that arrived on `channel`, from its proven peer unless `from` says otherwise. */
  feed(channel: ChannelId, bytes: Uint8Array, nowMs: number, from?: Address): Outcome {
    this.#now = nowMs;
    const drop = addon().coreFeed(this.#native, channel, bytes, nowMs, from?.address ?? '', from?.port ?? 0);
    const name = drop < 0 ? undefined : DROP_NAMES[drop];
    return name === undefined ? this.take() : { drop: name, ...this.take() };
  }

  /** Lets time pass: activity, summaries of refusals. */
  tick(nowMs: number): Outcome {
    this.#now = nowMs;
    addon().coreTick(this.#native, nowMs);
    return this.take();
  }

  /** What was sent and reported since the last call of `feed`, `tick` or `take`. */
  take(): Outcome {
    const outputs: Datagram[] = [];
    const sent = addon().coreOutputs(this.#native);
    for (let at = 0; at < sent.length; ) {
      const end = at + 6 + readU16(sent, at + 4);
      outputs.push({ receiver: readU32(sent, at), bytes: sent.slice(at + 6, end) });
      at = end;
    }
    return { events: readEvents(addon().coreEvents(this.#native)), outputs };
  }

  /** Equal before and after a packet that was refused: everything but counters and rate limits goes into it. */
  stateHash(): bigint {
    return addon().coreStateHash(this.#native);
  }

  counters(): RelayCounters {
    return this.#counters.total();
  }

  channelCounters(channel: ChannelId): ChannelCounters | undefined {
    const slot = this.#slots.get(channel);
    return slot === undefined ? undefined : this.#counters.channel(channel, [{ thread: 0, slot }]);
  }

  close(): void {
    addon().closeCore(this.#native);
  }

  #apply(command: Uint8Array): boolean {
    try {
      return this.command(command);
    } finally {
      command.fill(0);
    }
  }
}
