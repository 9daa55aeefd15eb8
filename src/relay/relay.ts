/**
 * The JavaScript face of native/: places conferences on relay threads, names things, translates. Every decision about a
 * packet is in native/core. Commands for a channel or conference that is closed or was never opened are ignored: they are
 * the ordinary echo of a call that has just ended.
 */
import { randomInt } from 'node:crypto';
import type { Address, ChannelId, ConferenceId, Media, MemberId } from '../base/ids.js';
import {
  MAX_CHANNELS,
  RELAY_AUDIO_PACKETS_PER_CHANNEL_SECOND,
  RELAY_MEMBERS_BEFORE_SPREADING,
  RELAY_VIDEO_PACKETS_PER_CHANNEL_SECOND,
} from '../base/limits.js';
import { ok, type Result, refuse } from '../base/result.js';
import { type Addon, addon, type NativeRelay } from './addon.js';
import * as commands from './commands.js';
import type {
  ChannelCounters,
  ChannelKeys,
  ChannelParameters,
  Edge,
  GroupParameterSet,
  IceCredentials,
  LatchWindow,
  OpenChannel,
  Relay,
  RelayCounters,
  RelayEvent,
  RelayLevel,
  RelayOptions,
} from './contract.js';
import { CounterMemory } from './counters.js';
import { readEvents } from './events.js';
import { Placement, type ThreadLoad } from './placement.js';

const INGRESS_PACKETS_PER_SECOND = {
  audio: RELAY_AUDIO_PACKETS_PER_CHANNEL_SECOND,
  video: RELAY_VIDEO_PACKETS_PER_CHANNEL_SECOND,
} as const;

interface Place {
  readonly conference: ConferenceId;
  readonly member: MemberId;
  /** Where the channel is judged: its conference's thread. */
  readonly home: commands.Slot;
  /** Where its socket is when that is another thread. */
  readonly branch: commands.Slot | undefined;
  /** Of its socket, which in a bundle is its leader's. */
  readonly port: number;
}

function slotsOf({ home, branch }: Place): readonly commands.Slot[] {
  return branch === undefined ? [home] : [home, branch];
}

class NativeFace implements Relay {
  readonly #options: RelayOptions;
  readonly #native: NativeRelay;
  readonly #counters: CounterMemory;
  readonly #placement: Placement;
  readonly #channels = new Map<ChannelId, Place>();
  /** What each conference requires, and the threads beside its own that have or had sockets of it. */
  readonly #required = new Map<ConferenceId, Exclude<RelayLevel, 'unknown'>>();
  readonly #branches = new Map<ConferenceId, Set<number>>();
  /** Per thread: counter slots that are free again, and the first one that was never used. */
  readonly #freeSlots: number[][];
  readonly #nextSlot: number[];
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
    this.#placement = new Placement({
      threads: options.threads,
      membersBeforeSpreading: options.membersBeforeSpreading ?? RELAY_MEMBERS_BEFORE_SPREADING,
      measuredPermille: (thread) => this.#counters.loadPermille(thread),
    });
  }

  openChannel(o: OpenChannel): Result<{ readonly port: number }, 'no-port' | 'channel-limit' | 'socket'> {
    this.#demandOpen();
    if (this.#channels.has(o.channel)) throw new Error(`channel ${o.channel} is open already`);
    if (this.#channels.size >= MAX_CHANNELS) return refuse('channel-limit');
    const leader = o.leader === undefined ? undefined : this.#channels.get(o.leader);
    if (o.leader !== undefined && leader === undefined)
      throw new Error(`channel ${o.leader} leads nobody: it is closed`);
    const bound =
      leader === undefined ? this.#bind(o.rtcp !== undefined) : { socket: -1, port: leader.port, above: -1 };
    if (leader === undefined && bound.socket < 0) return refuse(bound.socket === -1 ? 'no-port' : 'socket');
    const { conference, member } = o;
    const homeThread = this.#placement.settle(conference);
    const spread = this.#placement.add(conference, member);
    // Few peers are that old: their sockets stay at home.
    const socketThread = o.rtcp === undefined ? spread : homeThread;
    const home = this.#takeSlot(homeThread);
    if (socketThread === homeThread) {
      this.#channels.set(o.channel, { conference, member, home, branch: undefined, port: bound.port });
      this.#post(homeThread, commands.openChannelCommand(o, home.slot, bound.socket));
      if (o.rtcp !== undefined) this.#post(homeThread, commands.rtcpPortCommand(o.channel, bound.above, o.rtcp));
      return ok({ port: bound.port });
    }
    const branch = this.#takeSlot(socketThread);
    this.#channels.set(o.channel, { conference, member, home, branch, port: bound.port });
    // Here and below the branch is told first: what the home then hands over finds it prepared.
    this.#branchOut(conference, socketThread);
    this.#post(socketThread, commands.openBranchCommand(o, branch.slot, bound.socket, home));
    this.#post(homeThread, commands.openChannelCommand(o, home.slot, -1, branch));
    return ok({ port: bound.port });
  }

  closeChannel(channel: ChannelId): void {
    const place = this.#channels.get(channel);
    if (place === undefined) return;
    const { in: received, out: sent } = this.#counters.bytes(channel, slotsOf(place));
    this.#bytesOfClosed.in += received;
    this.#bytesOfClosed.out += sent;
    this.#toBoth(channel, () => commands.closeChannelCommand(channel));
    this.#forget(channel, place);
    this.#placement.remove(place.conference, place.member);
  }

  sendDatagram(channel: ChannelId, to: Address, bytes: Uint8Array): void {
    const place = this.#channels.get(channel);
    if (place === undefined) return;
    this.#post((place.branch ?? place.home).thread, commands.sendDatagramCommand(channel, to, bytes));
  }

  provePeer(channel: ChannelId, peer: Address): void {
    this.#toBoth(channel, () => commands.provePeerCommand(channel, peer));
  }

  latch(channel: ChannelId, window: LatchWindow): void {
    this.#toBoth(channel, () => commands.latchCommand(channel, window));
  }

  setRtcpPort(channel: ChannelId, peer: Address | undefined): void {
    this.#toChannel(channel, () => commands.rtcpPortCommand(channel, -1, peer));
  }

  awaitPeer(channel: ChannelId, signalled: Address | undefined, calls: boolean): void {
    this.#toBoth(channel, () => commands.awaitPeerCommand(channel, signalled, calls));
  }

  setIce(channel: ChannelId, ice: IceCredentials | undefined): void {
    const branch = this.#channels.get(channel)?.branch;
    if (branch !== undefined) this.#post(branch.thread, commands.iceCommand(channel, ice, true));
    this.#toChannel(channel, () => commands.iceCommand(channel, ice));
  }

  setChannelKeys(channel: ChannelId, keys: ChannelKeys): void {
    this.#toChannel(channel, () => commands.channelKeysCommand(channel, keys));
  }

  setParameters(channel: ChannelId, parameters: ChannelParameters): void {
    const branch = this.#channels.get(channel)?.branch;
    if (branch !== undefined) this.#post(branch.thread, commands.branchCommand(channel, parameters));
    this.#toChannel(channel, () => commands.parametersCommand(channel, parameters));
  }

  sendControl(channel: ChannelId, rtcp: Uint8Array): void {
    this.#toChannel(channel, () => commands.sendControlCommand(channel, rtcp));
  }

  setConference(conference: ConferenceId, options: { requiredLevel: Exclude<RelayLevel, 'unknown'> }): void {
    this.#demandOpen();
    this.#placement.settle(conference);
    this.#required.set(conference, options.requiredLevel);
    this.#toEvery(conference, () => commands.setConferenceCommand(conference, options.requiredLevel));
  }

  closeConference(conference: ConferenceId): void {
    this.#toEvery(conference, () => commands.closeConferenceCommand(conference));
    for (const [channel, place] of this.#channels) if (place.conference === conference) this.#forget(channel, place);
    this.#placement.close(conference);
    this.#required.delete(conference);
    this.#branches.delete(conference);
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
    for (const [channel, place] of this.#channels) {
      const bytes = this.#counters.bytes(channel, slotsOf(place));
      sum.in += bytes.in;
      sum.out += bytes.out;
    }
    return sum;
  }

  channelCounters(channel: ChannelId): ChannelCounters | undefined {
    const place = this.#channels.get(channel);
    return place === undefined ? undefined : this.#counters.channel(channel, slotsOf(place));
  }

  threadCpuNs(): readonly bigint[] {
    return addon().threadCpuNs(this.#native);
  }

  threadLoads(): readonly ThreadLoad[] {
    return this.#placement.loads();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    addon().closeRelay(this.#native);
    this.#channels.clear();
  }

  /** From a port of chance on: who cannot see a call's signalling is to guess where its media goes. */
  #bind(withRtcp: boolean): ReturnType<Addon['bindSocket']> {
    const { portMin, portMax } = this.#options;
    const first = randomInt(portMin, portMax + 1);
    const pair = withRtcp ? 1 : 0;
    const bound = addon().bindSocket(this.#native, first, portMax, pair);
    return bound.socket === -1 ? addon().bindSocket(this.#native, portMin, first, pair) : bound;
  }

  #takeSlot(thread: number): commands.Slot {
    return { thread, slot: this.#freeSlots[thread]!.pop() ?? this.#nextSlot[thread]!++ };
  }

  /** The first socket of a conference on another thread than its own brings along what the conference requires. */
  #branchOut(conference: ConferenceId, thread: number): void {
    const threads = this.#branches.get(conference) ?? new Set<number>();
    if (threads.has(thread)) return;
    this.#branches.set(conference, threads.add(thread));
    const required = this.#required.get(conference);
    if (required !== undefined) this.#post(thread, commands.setConferenceCommand(conference, required));
  }

  /** To the thread that judges the channel. */
  #toChannel(channel: ChannelId, command: () => Uint8Array): void {
    const place = this.#channels.get(channel);
    if (place !== undefined) this.#post(place.home.thread, command());
  }

  /** To the thread that has its socket as well. */
  #toBoth(channel: ChannelId, command: () => Uint8Array): void {
    const place = this.#channels.get(channel);
    if (place?.branch !== undefined) this.#post(place.branch.thread, command());
    this.#toChannel(channel, command);
  }

  #toConference(conference: ConferenceId, command: () => Uint8Array): void {
    const thread = this.#placement.home(conference);
    if (thread !== undefined) this.#post(thread, command());
  }

  /** To the threads that have sockets of the conference as well. */
  #toEvery(conference: ConferenceId, command: () => Uint8Array): void {
    for (const thread of this.#branches.get(conference) ?? []) this.#post(thread, command());
    this.#toConference(conference, command);
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
    for (const { thread, slot } of slotsOf(place)) {
      this.#freeSlots[thread]!.push(slot);
    }
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
