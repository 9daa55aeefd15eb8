/**
 * The JavaScript face of native/: places conferences on relay threads, names things, translates. Every decision about a
 * packet is in native/core. Commands for a channel or conference that is closed or was never opened are ignored: they are
 * the ordinary echo of a call that has just ended.
 */
import { randomInt } from 'node:crypto';
import type { Address, ChannelId, ConferenceId, Media } from '../base/ids.js';
import {
  MAX_CHANNELS,
  RELAY_AUDIO_PACKETS_PER_CHANNEL_SECOND,
  RELAY_VIDEO_PACKETS_PER_CHANNEL_SECOND,
} from '../base/limits.js';
import { ok, type Result, refuse } from '../base/result.js';
import { addon, type NativeRelay } from './addon.js';
import * as commands from './commands.js';
import type {
  ChannelCounters,
  ChannelKeys,
  ChannelParameters,
  Edge,
  GroupParameterSet,
  OpenChannel,
  Relay,
  RelayCounters,
  RelayEvent,
  RelayLevel,
  RelayOptions,
} from './contract.js';
import { CounterMemory } from './counters.js';
import { readEvents } from './events.js';

const INGRESS_PACKETS_PER_SECOND = {
  audio: RELAY_AUDIO_PACKETS_PER_CHANNEL_SECOND,
  video: RELAY_VIDEO_PACKETS_PER_CHANNEL_SECOND,
} as const;

interface Place {
  readonly thread: number;
  readonly slot: number;
  readonly conference: ConferenceId;
}

class NativeFace implements Relay {
  readonly #options: RelayOptions;
  readonly #native: NativeRelay;
  readonly #counters: CounterMemory;
  readonly #channels = new Map<ChannelId, Place>();
  readonly #conferences = new Map<ConferenceId, number>();
  /** Per thread: counter slots that are free again, and the first one that was never used. */
  readonly #freeSlots: number[][];
  readonly #nextSlot: number[];
  readonly #load: number[];
  readonly #bytesOfClosed = { in: 0, out: 0 };
  #closed = false;

  constructor(options: RelayOptions, onEvents: (batch: readonly RelayEvent[]) => void) {
    if (!Number.isInteger(options.threads) || options.threads < 1) throw new RangeError('at least one relay thread');
    if (options.portMin < 1 || options.portMax > 65_535 || options.portMin > options.portMax) {
      throw new RangeError('media port range');
    }
    this.#options = options;
    const limit = options.ingressPacketsPerSecond ?? INGRESS_PACKETS_PER_SECOND;
    this.#native = addon().createRelay(
      options.threads,
      options.bindAddress,
      (batch) => onEvents(readEvents(batch)),
      limit.audio,
      limit.video,
    );
    this.#counters = new CounterMemory(addon().counterMemory(this.#native), options.threads);
    this.#freeSlots = Array.from({ length: options.threads }, () => []);
    this.#nextSlot = new Array<number>(options.threads).fill(0);
    this.#load = new Array<number>(options.threads).fill(0);
  }

  openChannel(o: OpenChannel): Result<{ readonly port: number }, 'no-port' | 'channel-limit' | 'socket'> {
    this.#demandOpen();
    if (this.#channels.has(o.channel)) throw new Error(`channel ${o.channel} is open already`);
    if (this.#channels.size >= MAX_CHANNELS) return refuse('channel-limit');
    const thread = this.#threadOf(o.conference);
    const slot = this.#freeSlots[thread]!.pop() ?? this.#nextSlot[thread]!++;
    const bound = this.#bind();
    if (bound.socket < 0) {
      this.#freeSlots[thread]!.push(slot);
      return refuse(bound.socket === -1 ? 'no-port' : 'socket');
    }
    this.#channels.set(o.channel, { thread, slot, conference: o.conference });
    this.#post(thread, commands.openChannelCommand(o, slot, bound.socket));
    return ok({ port: bound.port });
  }

  closeChannel(channel: ChannelId): void {
    const place = this.#channels.get(channel);
    if (place === undefined) return;
    const { in: received, out: sent } = this.#counters.bytes(place.thread, place.slot, channel);
    this.#bytesOfClosed.in += received;
    this.#bytesOfClosed.out += sent;
    this.#post(place.thread, commands.closeChannelCommand(channel));
    this.#forget(channel, place);
  }

  sendDatagram(channel: ChannelId, to: Address, bytes: Uint8Array): void {
    this.#toChannel(channel, () => commands.sendDatagramCommand(channel, to, bytes));
  }

  provePeer(channel: ChannelId, peer: Address): void {
    this.#toChannel(channel, () => commands.provePeerCommand(channel, peer));
  }

  awaitPeer(channel: ChannelId, signalled: Address | undefined, calls: boolean): void {
    this.#toChannel(channel, () => commands.awaitPeerCommand(channel, signalled, calls));
  }

  setChannelKeys(channel: ChannelId, keys: ChannelKeys): void {
    this.#toChannel(channel, () => commands.channelKeysCommand(channel, keys));
  }

  setParameters(channel: ChannelId, parameters: ChannelParameters): void {
    this.#toChannel(channel, () => commands.parametersCommand(channel, parameters));
  }

  sendControl(channel: ChannelId, rtcp: Uint8Array): void {
    this.#toChannel(channel, () => commands.sendControlCommand(channel, rtcp));
  }

  setConference(conference: ConferenceId, options: { requiredLevel: Exclude<RelayLevel, 'unknown'> }): void {
    this.#demandOpen();
    const thread = this.#threadOf(conference);
    this.#post(thread, commands.setConferenceCommand(conference, options.requiredLevel));
  }

  closeConference(conference: ConferenceId): void {
    const thread = this.#conferences.get(conference);
    if (thread === undefined) return;
    this.#post(thread, commands.closeConferenceCommand(conference));
    for (const [channel, place] of this.#channels) if (place.conference === conference) this.#forget(channel, place);
    this.#conferences.delete(conference);
    this.#load[thread]!--;
  }

  installSet(conference: ConferenceId, set: GroupParameterSet): void {
    this.#toConference(conference, () => commands.installSetCommand(conference, set));
  }

  dropSet(conference: ConferenceId, spiWord: number): void {
    this.#toConference(conference, () => commands.dropSetCommand(conference, spiWord));
  }

  setAcked(channel: ChannelId, spiWord: number): void {
    this.#toChannel(channel, () => commands.setAckedCommand(channel, spiWord));
  }

  setRoutes(conference: ConferenceId, media: Media, edges: readonly Edge[]): void {
    this.#toConference(conference, () => commands.routesCommand(conference, media, edges));
  }

  counters(): RelayCounters {
    return this.#counters.total();
  }

  bytes(): { readonly in: number; readonly out: number } {
    const sum = { ...this.#bytesOfClosed };
    for (const [channel, { thread, slot }] of this.#channels) {
      const bytes = this.#counters.bytes(thread, slot, channel);
      sum.in += bytes.in;
      sum.out += bytes.out;
    }
    return sum;
  }

  channelCounters(channel: ChannelId): ChannelCounters | undefined {
    const place = this.#channels.get(channel);
    return place === undefined ? undefined : this.#counters.channel(place.thread, place.slot, channel);
  }

  threadCpuNs(): readonly bigint[] {
    return addon().threadCpuNs(this.#native);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    addon().closeRelay(this.#native);
    this.#channels.clear();
    this.#conferences.clear();
  }

  /** From a port of chance on: who cannot see a call's signalling is to guess where its media goes. */
  #bind(): { readonly socket: number; readonly port: number } {
    const { portMin, portMax } = this.#options;
    const first = randomInt(portMin, portMax + 1);
    const bound = addon().bindSocket(this.#native, first, portMax);
    return bound.socket === -1 ? addon().bindSocket(this.#native, portMin, first) : bound;
  }

  /** A conference lives on one thread: the one that has the fewest when it is first named. */
  #threadOf(conference: ConferenceId): number {
    const known = this.#conferences.get(conference);
    if (known !== undefined) return known;
    const thread = this.#load.indexOf(Math.min(...this.#load));
    this.#load[thread]!++;
    this.#conferences.set(conference, thread);
    return thread;
  }

  #toChannel(channel: ChannelId, command: () => Uint8Array): void {
    const place = this.#channels.get(channel);
    if (place !== undefined) this.#post(place.thread, command());
  }

  #toConference(conference: ConferenceId, command: () => Uint8Array): void {
    const thread = this.#conferences.get(conference);
    if (thread !== undefined) this.#post(thread, command());
  }

  /** The command may hold keys: it is wiped whether or not the thread took it. */
  #post(thread: number, command: Uint8Array): void {
    try {
      if (!addon().post(this.#native, thread, command)) throw new Error(`relay thread ${thread}: inbox full`);
    } finally {
      command.fill(0);
    }
  }

  #forget(channel: ChannelId, place: Place): void {
    this.#freeSlots[place.thread]!.push(place.slot);
    this.#channels.delete(channel);
  }

  #demandOpen(): void {
    if (this.#closed) throw new Error('the relay is closed');
  }
}

/** Starts `threads` relay threads. `onEvents` is called on the caller's thread with batches in order; never after close. */
export function openRelay(options: RelayOptions, onEvents: (batch: readonly RelayEvent[]) => void): Relay {
  return new NativeFace(options, onEvents);
}
