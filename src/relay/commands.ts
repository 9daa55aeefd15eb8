/** Writes the commands of schema.ts. Illegal values are our own bug and throw; the native side checks lengths again. */

import type { Address, ChannelId, ConferenceId, Media } from '../base/ids.js';
import { MAX_DATAGRAM_BYTES, MAX_MID_BYTES } from '../base/limits.js';
import type { Secret } from '../base/secret.js';
import type {
  ChannelKeys,
  ChannelParameters,
  Edge,
  GroupParameterSet,
  IceCredentials,
  LatchWindow,
  OpenChannel,
  RelayLevel,
} from './contract.js';
import { ICE_MODES, LEVELS, MEDIA, OPCODES, PARAMETER_FLAGS, TRANSPORTS, VIDEO_CODECS } from './schema.js';

/**
 * Master key and salt lengths of the SRTP profiles (RFC 5764 §4.1.2, RFC 7714 §14.2); those above 0x1000 are numbers of our
 * own for what SDES alone can name (RFC 6188): AES_256_CM_HMAC_SHA1_80 and _32.
 */
const PROFILE_BYTES: Readonly<Record<number, number>> = { 1: 30, 2: 30, 7: 28, 8: 44, 4097: 46, 4098: 46 };

class Writer {
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView<ArrayBuffer>;
  #at = 0;

  constructor(opcode: number, bodyBytes: number) {
    this.#bytes = new Uint8Array(1 + bodyBytes);
    this.#view = new DataView(this.#bytes.buffer);
    this.u8(opcode);
  }

  u8(value: number): this {
    this.#view.setUint8(this.#at, value);
    this.#at += 1;
    return this;
  }

  u16(value: number): this {
    this.#view.setUint16(this.#at, value);
    this.#at += 2;
    return this;
  }

  u32(value: number): this {
    this.#view.setUint32(this.#at, value);
    this.#at += 4;
    return this;
  }

  bytes(value: Uint8Array): this {
    this.#bytes.set(value, this.#at);
    this.#at += value.length;
    return this;
  }

  secret(value: Secret): this {
    this.u8(value.length);
    value.use((bytes) => this.bytes(bytes));
    return this;
  }

  address(value: Address | undefined): this {
    if (value === undefined) return this.u8(0).u16(0);
    return this.u8(value.address.length).bytes(Buffer.from(value.address, 'latin1')).u16(value.port);
  }

  done(): Uint8Array<ArrayBuffer> {
    if (this.#at !== this.#bytes.length) throw new Error('command length does not fit its body');
    return this.#bytes;
  }
}

function addressBytes(value: Address | undefined): number {
  return 3 + (value?.address.length ?? 0);
}

function demand(condition: boolean, what: string): void {
  if (!condition) throw new RangeError(`relay command: ${what}`);
}

/** A counter slot of a relay thread. */
export interface Slot {
  readonly thread: number;
  readonly slot: number;
}

function peerOf(o: OpenChannel): Address | undefined {
  demand(o.transport === 'dtls' || o.peer !== undefined, 'a channel without DTLS needs the peer of its SDP');
  return o.transport === 'dtls' ? undefined : o.peer;
}

function transportOf(o: OpenChannel): number {
  demand(o.leader === undefined || o.transport === 'dtls', 'only DTLS channels are bundled');
  return o.leader === undefined ? TRANSPORTS[o.transport] : TRANSPORTS.bundled;
}

/**
 * @param slot counter slot of the channel on its thread
 * @param socket descriptor that the thread takes over; -1: none
 * @param branch the other thread that has the socket
 */
export function openChannelCommand(
  o: OpenChannel,
  slot: number,
  socket: number,
  branch?: Slot,
): Uint8Array<ArrayBuffer> {
  const peer = peerOf(o);
  const w = new Writer(
    OPCODES.openChannel,
    22 + addressBytes(peer) + (o.leader === undefined ? 0 : 4) + (branch === undefined ? 0 : 6),
  )
    .u32(o.channel)
    .u32(o.conference)
    .u32(o.member)
    .u8(MEDIA[o.media])
    .u8(transportOf(o))
    .u32(slot)
    .u32(socket >>> 0)
    .address(peer);
  if (o.leader !== undefined) w.u32(o.leader);
  if (branch !== undefined) w.u16(branch.thread).u32(branch.slot);
  return w.done();
}

/** For the thread that has the socket of a channel of another thread, `home`. */
export function openBranchCommand(o: OpenChannel, slot: number, socket: number, home: Slot): Uint8Array<ArrayBuffer> {
  const peer = peerOf(o);
  const w = new Writer(OPCODES.openBranch, 24 + addressBytes(peer) + (o.leader === undefined ? 0 : 4))
    .u32(o.channel)
    .u32(o.conference)
    .u8(MEDIA[o.media])
    .u8(transportOf(o))
    .u32(slot)
    .u32(socket >>> 0)
    .u16(home.thread)
    .u32(home.slot)
    .address(peer);
  if (o.leader !== undefined) w.u32(o.leader);
  return w.done();
}

/** For the same thread: what of the parameters it must know, to hold back what may not leave any more. */
export function branchCommand(channel: ChannelId, p: ChannelParameters): Uint8Array<ArrayBuffer> {
  return new Writer(OPCODES.setBranch, 6)
    .u32(channel)
    .u8(LEVELS[p.level])
    .u8(p.ready ? 1 : 0)
    .done();
}

export function closeChannelCommand(channel: ChannelId): Uint8Array<ArrayBuffer> {
  return new Writer(OPCODES.closeChannel, 4).u32(channel).done();
}

export function sendDatagramCommand(channel: ChannelId, to: Address, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  demand(bytes.length <= MAX_DATAGRAM_BYTES, 'datagram too long');
  return new Writer(OPCODES.sendDatagram, 6 + addressBytes(to) + bytes.length)
    .u32(channel)
    .address(to)
    .u16(bytes.length)
    .bytes(bytes)
    .done();
}

export function provePeerCommand(channel: ChannelId, peer: Address): Uint8Array<ArrayBuffer> {
  return new Writer(OPCODES.provePeer, 4 + addressBytes(peer)).u32(channel).address(peer).done();
}

/** @param socket descriptor that the thread takes over; -1: the one that it has */
export function rtcpPortCommand(
  channel: ChannelId,
  socket: number,
  peer: Address | undefined,
): Uint8Array<ArrayBuffer> {
  return new Writer(OPCODES.setRtcpPort, 8 + addressBytes(peer))
    .u32(channel)
    .u32(socket >>> 0)
    .address(peer)
    .done();
}

export function latchCommand(channel: ChannelId, { ms, from }: LatchWindow): Uint8Array<ArrayBuffer> {
  demand(Number.isInteger(ms) && ms >= 0 && ms <= 0xffffffff, 'latch window out of range');
  const address = from === undefined ? undefined : { address: from, port: 0 };
  return new Writer(OPCODES.setLatch, 8 + addressBytes(address)).u32(channel).u32(ms).address(address).done();
}

export function awaitPeerCommand(
  channel: ChannelId,
  signalled: Address | undefined,
  calls: boolean,
): Uint8Array<ArrayBuffer> {
  return new Writer(OPCODES.awaitPeer, 5 + addressBytes(signalled))
    .u32(channel)
    .u8(calls ? 1 : 0)
    .address(signalled)
    .done();
}

/** The result holds a password: the caller wipes it. `ice` undefined: not in force; `branch`: for the thread that has the socket. */
export function iceCommand(
  channel: ChannelId,
  ice: IceCredentials | undefined,
  branch = false,
): Uint8Array<ArrayBuffer> {
  const mode = ice === undefined ? 'off' : ice.lenient === true ? 'lenient' : 'checks';
  if (ice === undefined || branch) {
    return new Writer(OPCODES.setIce, 9).u32(channel).u8(ICE_MODES[mode]).u8(0).u8(0).u16(0).done();
  }
  const { ufrag, pwd, peerUfrag } = ice;
  demand(ufrag.length >= 4 && ufrag.length <= 255 && pwd.length >= 22 && pwd.length <= 64, 'ICE credentials of ours');
  demand(peerUfrag.length >= 4 && peerUfrag.length <= 256, "an ICE peer's ufrag is 4 to 256 characters");
  return new Writer(OPCODES.setIce, 9 + ufrag.length + pwd.length + peerUfrag.length)
    .u32(channel)
    .u8(ICE_MODES[mode])
    .u8(ufrag.length)
    .bytes(Buffer.from(ufrag, 'latin1'))
    .secret(pwd)
    .u16(peerUfrag.length)
    .bytes(Buffer.from(peerUfrag, 'latin1'))
    .done();
}

/** The result holds keys: the caller wipes it. */
export function channelKeysCommand(channel: ChannelId, keys: ChannelKeys): Uint8Array<ArrayBuffer> {
  const size = PROFILE_BYTES[keys.profile];
  demand(size !== undefined, `unknown SRTP profile ${keys.profile}`);
  demand(keys.local.length === size && keys.remote.length === size, 'channel key length does not fit its profile');
  return new Writer(OPCODES.setChannelKeys, 9 + keys.local.length + keys.remote.length)
    .u32(channel)
    .u16(keys.profile)
    .secret(keys.local)
    .secret(keys.remote)
    .u8(keys.forMedia === true ? 1 : 0)
    .done();
}

export function parametersCommand(channel: ChannelId, p: ChannelParameters): Uint8Array<ArrayBuffer> {
  demand(p.payloadTypes.length <= 128, 'more than 128 payload types');
  const flags =
    (p.tip ? PARAMETER_FLAGS.tip : 0) |
    (p.trailingByte ? PARAMETER_FLAGS.trailingByte : 0) |
    (p.ready ? PARAMETER_FLAGS.ready : 0);
  const seed = p.endsHere?.seed ?? 0;
  demand(p.endsHere === undefined || (Number.isInteger(seed) && seed > 0 && seed <= 0xffffffff), 'seed out of range');
  const mid = p.mid === undefined ? undefined : Buffer.from(p.mid.name, 'utf8');
  demand(mid === undefined || (mid.length > 0 && mid.length <= MAX_MID_BYTES), 'the name of an m-line is too long');
  const midBytes = mid === undefined ? 0 : 2 + mid.length;
  const w = new Writer(OPCODES.setParameters, 14 + 7 * p.payloadTypes.length + midBytes)
    .u32(channel)
    .u8(flags)
    .u8(LEVELS[p.level])
    .u16(p.transmitMask)
    .u8(p.payloadTypes.length);
  for (const { payloadType, codec } of p.payloadTypes) {
    demand(payloadType >= 0 && payloadType <= 127 && codec >= 0 && codec <= 255, 'payload type or codec out of range');
    w.u8(payloadType).u8(codec);
  }
  for (const { clockRateHz = 0 } of p.payloadTypes) {
    demand(Number.isInteger(clockRateHz) && clockRateHz >= 0 && clockRateHz <= 0xffffffff, 'clock rate out of range');
    w.u32(clockRateHz);
  }
  for (const { video = 'other' } of p.payloadTypes) w.u8(VIDEO_CODECS[video]);
  w.u8(p.endsHere?.audioLevelId ?? 0).u32(seed);
  if (mid !== undefined) w.u8(p.mid!.id).u8(mid.length).bytes(mid);
  return w.done();
}

export function sendControlCommand(channel: ChannelId, rtcp: Uint8Array): Uint8Array<ArrayBuffer> {
  demand(rtcp.length <= MAX_DATAGRAM_BYTES, 'compound too long');
  return new Writer(OPCODES.sendControl, 6 + rtcp.length).u32(channel).u16(rtcp.length).bytes(rtcp).done();
}

export function setConferenceCommand(
  conference: ConferenceId,
  requiredLevel: Exclude<RelayLevel, 'unknown'>,
): Uint8Array<ArrayBuffer> {
  return new Writer(OPCODES.setConference, 5).u32(conference).u8(LEVELS[requiredLevel]).done();
}

export function closeConferenceCommand(conference: ConferenceId): Uint8Array<ArrayBuffer> {
  return new Writer(OPCODES.closeConference, 4).u32(conference).done();
}

/** KEK bytes of the pairs of SRTP suite and EKT cipher that the relay knows (WIRE.md 4.3; cipher 2 is not built). */
const KEK_BYTES = new Map([
  ['1/1', 16],
  ['17/3', 16],
  ['18/4', 32],
]);

/** The result holds keys: the caller wipes it. */
export function installSetCommand(conference: ConferenceId, set: GroupParameterSet): Uint8Array<ArrayBuffer> {
  const kekBytes = KEK_BYTES.get(`${set.suite}/${set.cipher}`);
  demand(kekBytes !== undefined, `suite ${set.suite} with EKT cipher ${set.cipher} is not supported`);
  demand((set.spiWord & 1) === 1 && set.spiWord <= 0xffff, 'the lowest bit of an SPI word is 1');
  demand(set.kek.length === kekBytes && set.masterSalt.length === 14, 'KEK or salt length does not fit the suite');
  return new Writer(OPCODES.installSet, 10 + set.kek.length + set.masterSalt.length)
    .u32(conference)
    .u16(set.spiWord)
    .u8(set.suite)
    .u8(set.cipher)
    .secret(set.kek)
    .secret(set.masterSalt)
    .done();
}

export function dropSetCommand(conference: ConferenceId, spiWord: number): Uint8Array<ArrayBuffer> {
  return new Writer(OPCODES.dropSet, 6).u32(conference).u16(spiWord).done();
}

export function setAckedCommand(channel: ChannelId, spiWord: number): Uint8Array<ArrayBuffer> {
  return new Writer(OPCODES.setAcked, 6).u32(channel).u16(spiWord).done();
}

export function routesCommand(conference: ConferenceId, media: Media, edges: readonly Edge[]): Uint8Array<ArrayBuffer> {
  const w = new Writer(OPCODES.setRoutes, 9 + 10 * edges.length).u32(conference).u8(MEDIA[media]).u32(edges.length);
  for (const e of edges) {
    demand(e.position >= 1 && e.position <= 15 && e.sink >= 1 && e.sink <= 15, 'positions and sinks are 1 to 15');
    w.u32(e.source).u8(e.position).u32(e.receiver).u8(e.sink);
  }
  return w.done();
}
