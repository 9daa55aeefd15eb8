/**
 * The conference that the benches measure: one source, N receivers, end-to-end, one set in force, and every receiver at
 * the same sink with the same payload type, so that each packet takes on one variant.
 */
import { randomBytes } from 'node:crypto';
import type { Address, ChannelId, ConferenceId, Media } from '../src/base/ids.js';
import { Secret } from '../src/base/secret.js';
import * as commands from '../src/relay/commands.js';
import type { ChannelParameters, Edge, GroupParameterSet, OpenChannel, RelayLevel } from '../src/relay/contract.js';

export const CONFERENCE: ConferenceId = 1;
export const SOURCE: ChannelId = 1;
/** Receivers have the channels FIRST_RECEIVER, FIRST_RECEIVER + 1, ... */
export const FIRST_RECEIVER: ChannelId = 2;
export const SOURCE_PAYLOAD_TYPE = 96;
/** Receivers number the codec differently and show it elsewhere: both rewrites of WIRE.md 8 are done on every packet. */
export const RECEIVER_PAYLOAD_TYPE = 109;
export const SOURCE_POSITION = 1;
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

export function randomSet(): GroupParameterSet {
  return {
    spiWord: SPI_WORD,
    suite: 1,
    cipher: 1,
    kek: new Secret(randomBytes(16)),
    masterSalt: new Secret(randomBytes(14)),
  };
}

function parametersOf(channel: ChannelId, trailingByte: boolean): ChannelParameters {
  const payloadType = channel === SOURCE ? SOURCE_PAYLOAD_TYPE : RECEIVER_PAYLOAD_TYPE;
  return {
    tip: true,
    transmitMask: 1 << SOURCE_POSITION,
    trailingByte,
    level: 'end-to-end',
    ready: true,
    payloadTypes: [{ payloadType, codec: CODEC }],
  };
}

/** Routes the source to all receivers from its very next packet on: where it has no refresh flag, none is waited for. */
export function routeAtOnce(
  target: {
    setParameters(channel: ChannelId, parameters: ChannelParameters): unknown;
    setRoutes(conference: ConferenceId, media: Media, edges: readonly Edge[]): unknown;
  },
  media: Media,
  receivers: number,
): void {
  target.setParameters(SOURCE, parametersOf(SOURCE, false));
  target.setRoutes(CONFERENCE, media, fanOut(receivers));
  target.setParameters(SOURCE, parametersOf(SOURCE, true));
}

/** Opens the source's channel and one a receiver, all proven and ready, without routes. Gives what opening each one gave. */
export function furnish<Opened>(
  target: Furnishable<Opened>,
  media: Media,
  set: GroupParameterSet,
  peers: { readonly source: Address; readonly receivers: readonly Address[] },
): Opened[] {
  target.setConference(CONFERENCE, { requiredLevel: 'end-to-end' });
  const opened = [peers.source, ...peers.receivers].map((peer, i) => {
    const channel = SOURCE + i;
    const result = target.openChannel({ channel, conference: CONFERENCE, member: channel, media, transport: 'dtls' });
    target.provePeer(channel, peer);
    const local = new Secret(randomBytes(CHANNEL_KEY_BYTES));
    const remote = new Secret(randomBytes(CHANNEL_KEY_BYTES));
    target.setChannelKeys(channel, { profile: 1, local, remote });
    local.wipe();
    remote.wipe();
    target.setParameters(channel, parametersOf(channel, true));
    return result;
  });
  target.installSet(CONFERENCE, set);
  opened.forEach((_, i) => {
    target.setAcked(SOURCE + i, set.spiWord);
  });
  return opened;
}

/** The source at the same sink of each receiver. */
export function fanOut(receivers: number): Edge[] {
  return Array.from({ length: receivers }, (_, i) => ({
    source: SOURCE,
    position: SOURCE_POSITION,
    receiver: FIRST_RECEIVER + i,
    sink: SINK,
  }));
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
