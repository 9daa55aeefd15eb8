/**
 * The conferences that the benches measure: some sources, N receivers, end-to-end, one set in force, and every receiver
 * shows a source at the same sink with the same payload type, so that each packet takes on one variant.
 */
import { randomBytes } from 'node:crypto';
import type { Address, ChannelId, ConferenceId, Media } from '../src/base/ids.js';
import { Secret } from '../src/base/secret.js';
import * as commands from '../src/relay/commands.js';
import type { ChannelParameters, Edge, GroupParameterSet, OpenChannel, RelayLevel } from '../src/relay/contract.js';

const CONFERENCE: ConferenceId = 1;
const FIRST_CHANNEL: ChannelId = 1;
export const SOURCE_PAYLOAD_TYPE = 96;
/** Receivers number the codec differently and show it elsewhere: both rewrites of WIRE.md 8 are done on every packet. */
export const RECEIVER_PAYLOAD_TYPE = 109;
export const SOURCE_POSITION = 1;
/** The place where receivers show the first source; the next sources follow. */
export const SINK = 2;
const CODEC = 7;
const SPI_WORD = 0x1235;
/** Master key and salt of SRTP profile 1 (RFC 5764 §4.1.2). */
const CHANNEL_KEY_BYTES = 30;

/** What a relay, a core without sockets and a list of commands have in common. `Opened`: what opening a channel gives. */
export interface Furnishable<Opened> {
  setConference(conference: ConferenceId, options: { requiredLevel: Exclude<RelayLevel, 'unknown'> }): unknown;
  openChannel(o: OpenChannel): Opened;
  provePeer(channel: ChannelId, peer: Address): unknown;
  setChannelKeys(channel: ChannelId, keys: { profile: number; local: Secret; remote: Secret }): unknown;
  setParameters(channel: ChannelId, parameters: ChannelParameters): unknown;
  installSet(conference: ConferenceId, set: GroupParameterSet): unknown;
  setAcked(channel: ChannelId, spiWord: number): unknown;
}

/** One conference of a media kind: every source is routed to every receiver. */
export interface Room {
  readonly conference: ConferenceId;
  readonly media: Media;
  readonly sources: readonly ChannelId[];
  readonly receivers: readonly ChannelId[];
}

export function roomOf(
  media: Media,
  sources: number,
  receivers: number,
  from: { readonly conference: ConferenceId; readonly channel: ChannelId } = {
    conference: CONFERENCE,
    channel: FIRST_CHANNEL,
  },
): Room {
  const channels = Array.from({ length: sources + receivers }, (_, i) => from.channel + i);
  return {
    conference: from.conference,
    media,
    sources: channels.slice(0, sources),
    receivers: channels.slice(sources),
  };
}

/** EKT cipher and bytes of the KEK of each SRTP suite that is measured (WIRE.md 4.3). */
const CIPHERS: Readonly<Record<number, { readonly cipher: number; readonly kekBytes: number }>> = {
  1: { cipher: 1, kekBytes: 16 },
  17: { cipher: 3, kekBytes: 16 },
  18: { cipher: 4, kekBytes: 32 },
};

export function randomSet(suite = 1): GroupParameterSet {
  const known = CIPHERS[suite];
  if (known === undefined) throw new RangeError(`no suite ${suite}`);
  return {
    spiWord: SPI_WORD,
    suite,
    cipher: known.cipher,
    kek: new Secret(randomBytes(known.kekBytes)),
    masterSalt: new Secret(randomBytes(14)),
  };
}

function parametersOf(payloadType: number, trailingByte: boolean): ChannelParameters {
  return {
    tip: true,
    transmitMask: 1 << SOURCE_POSITION,
    trailingByte,
    level: 'end-to-end',
    ready: true,
    payloadTypes: [{ payloadType, codec: CODEC }],
  };
}

/** Routes the sources to all receivers from their very next packet on: where one has no refresh flag, none is waited for. */
export function routeAtOnce(
  target: {
    setParameters(channel: ChannelId, parameters: ChannelParameters): unknown;
    setRoutes(conference: ConferenceId, media: Media, edges: readonly Edge[]): unknown;
  },
  room: Room,
): void {
  for (const source of room.sources) target.setParameters(source, parametersOf(SOURCE_PAYLOAD_TYPE, false));
  target.setRoutes(room.conference, room.media, everySourceToAll(room));
  for (const source of room.sources) target.setParameters(source, parametersOf(SOURCE_PAYLOAD_TYPE, true));
}

/** Opens a channel as if it had been negotiated: proven, with keys, ready, the set acknowledged. */
export function openReady<Opened>(
  target: Furnishable<Opened>,
  room: Room,
  channel: ChannelId,
  peer: Address,
  set: GroupParameterSet,
): Opened {
  const { conference, media } = room;
  const opened = target.openChannel({ channel, conference, member: channel, media, transport: 'dtls' });
  target.provePeer(channel, peer);
  const local = new Secret(randomBytes(CHANNEL_KEY_BYTES));
  const remote = new Secret(randomBytes(CHANNEL_KEY_BYTES));
  target.setChannelKeys(channel, { profile: 1, local, remote });
  local.wipe();
  remote.wipe();
  const payloadType = room.sources.includes(channel) ? SOURCE_PAYLOAD_TYPE : RECEIVER_PAYLOAD_TYPE;
  target.setParameters(channel, parametersOf(payloadType, true));
  target.setAcked(channel, set.spiWord);
  return opened;
}

/** Opens the conference and all its channels, without routes. Gives what opening each channel gave, sources first. */
export function furnish<Opened>(
  target: Furnishable<Opened>,
  room: Room,
  set: GroupParameterSet,
  peers: { readonly sources: readonly Address[]; readonly receivers: readonly Address[] },
): Opened[] {
  target.setConference(room.conference, { requiredLevel: 'end-to-end' });
  target.installSet(room.conference, set);
  const all = [...peers.sources, ...peers.receivers];
  return [...room.sources, ...room.receivers].map((channel, i) => openReady(target, room, channel, all[i]!, set));
}

/** Every source at a sink of its own of each receiver. */
export function everySourceToAll(room: Room): Edge[] {
  return room.receivers.flatMap((receiver) =>
    room.sources.map((source, i) => ({ source, position: SOURCE_POSITION, receiver, sink: SINK + i })),
  );
}

/** Writes the commands down instead of having them carried out. */
export class CommandList implements Furnishable<void> {
  readonly list: Uint8Array[] = [];
  #slot = 0;

  setConference(conference: ConferenceId, options: { requiredLevel: Exclude<RelayLevel, 'unknown'> }): void {
    this.list.push(commands.setConferenceCommand(conference, options.requiredLevel));
  }

  openChannel(o: OpenChannel): void {
    this.list.push(commands.openChannelCommand(o, this.#slot++, -1));
  }

  provePeer(channel: ChannelId, peer: Address): void {
    this.list.push(commands.provePeerCommand(channel, peer));
  }

  setChannelKeys(channel: ChannelId, keys: { profile: number; local: Secret; remote: Secret }): void {
    this.list.push(commands.channelKeysCommand(channel, keys));
  }

  setParameters(channel: ChannelId, parameters: ChannelParameters): void {
    this.list.push(commands.parametersCommand(channel, parameters));
  }

  setRoutes(conference: ConferenceId, media: Media, edges: readonly Edge[]): void {
    this.list.push(commands.routesCommand(conference, media, edges));
  }

  installSet(conference: ConferenceId, set: GroupParameterSet): void {
    this.list.push(commands.installSetCommand(conference, set));
  }

  setAcked(channel: ChannelId, spiWord: number): void {
    this.list.push(commands.setAckedCommand(channel, spiWord));
  }
}
