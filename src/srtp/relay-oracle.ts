/**
 * The switch's half of EKT in TypeScript: what the native relay does with a datagram of a DTLS channel (WIRE.md 9), one by
 * one and slowly, so that the two can be compared bit for bit. It has no sockets, no clock and no switch-over at refresh
 * points: edges hold from the moment they are set.
 */
import { readU32, writeU32 } from '../base/bytes.js';
import type { ChannelId, ConferenceId, Media, MemberId } from '../base/ids.js';
import { MAX_DATAGRAM_BYTES, MAX_STREAMS_PER_CHANNEL } from '../base/limits.js';
import type { Result } from '../base/result.js';
import { FIRST_CSRC_AT, parseMultiplexWord, withSink } from '../wire/csrc.js';
import { classify } from '../wire/demux.js';
import type { DropName } from '../wire/drop.js';
import { RTCP_PSFB, RTCP_RR, RTCP_RTPFB, RTCP_SDES, RTCP_SR, splitCompound } from '../wire/rtcp.js';
import { isControlSsrc, type RtpHeader } from '../wire/rtp.js';
import { ChannelCrypto, type ChannelKeys } from './channel-crypto.js';
import type { EktStreams, VerifiedRtcp, VerifiedRtp } from './ekt-streams.js';
import { type GroupSet, GroupSets, type SetRefusal } from './group-set.js';
import { streamsOf } from './streams-of.js';

export type OracleLevel = 'unknown' | 'none' | 'hop-by-hop' | 'end-to-end';

/** As in the relay's contract, for a TIP channel. */
export interface OracleParameters {
  /** 1 << position of every place that the endpoint may send from. */
  readonly transmitMask: number;
  readonly trailingByte: boolean;
  readonly level: OracleLevel;
  readonly ready: boolean;
  readonly payloadTypes: readonly { readonly payloadType: number; readonly codec: number }[];
}

export interface OracleEdge {
  readonly source: ChannelId;
  readonly position: number;
  readonly receiver: ChannelId;
  readonly sink: number;
}

export interface OracleOutput {
  readonly receiver: ChannelId;
  readonly bytes: Uint8Array;
}

export interface OracleVerdict {
  /** Why the datagram was refused; it then has no other effect. */
  readonly drop?: DropName;
  /** In the order of the edges; media RTCP in the order in which channels were opened. */
  readonly outputs: readonly OracleOutput[];
  /** Receivers that a route or the conference names and that did not get it. */
  readonly withheld: readonly { readonly receiver: ChannelId; readonly drop: DropName }[];
  /** Energy or refresh flag that was taken off (WIRE.md 7). */
  readonly trailingByte?: number;
  /** A compound under channel keys, decrypted. TIP is believed from a control SSRC only (WIRE.md 3). */
  readonly control?: { readonly rtcp: Uint8Array; readonly tipAllowed: boolean };
  /** A DTLS record: it goes to the negotiation. */
  readonly dtls?: true;
}

interface Conference {
  readonly sets: GroupSets;
  /** SSRC to the channel that it is bound to. */
  readonly owners: Map<number, ChannelId>;
  requiredLevel: OracleLevel;
  readonly edges: Record<Media, readonly OracleEdge[]>;
}

interface Channel {
  readonly id: ChannelId;
  readonly member: MemberId;
  readonly media: Media;
  readonly conference: Conference;
  readonly acked: Set<number>;
  streams: EktStreams;
  /** SSRC to the position fixed by its first SRTP packet. */
  readonly positions: Map<number, number>;
  parameters: OracleParameters;
  crypto: ChannelCrypto | undefined;
}

const RANK: Readonly<Record<OracleLevel, number>> = { unknown: -1, none: 0, 'hop-by-hop': 1, 'end-to-end': 2 };

export class RelayOracle {
  readonly #conferences = new Map<ConferenceId, Conference>();
  readonly #channels = new Map<ChannelId, Channel>();

  /** A conference is there from its first mention; it requires `end-to-end` until told otherwise. */
  setConference(conference: ConferenceId, options: { readonly requiredLevel: Exclude<OracleLevel, 'unknown'> }): void {
    this.#conference(conference).requiredLevel = options.requiredLevel;
  }

  openChannel(options: {
    readonly channel: ChannelId;
    readonly conference: ConferenceId;
    readonly member: MemberId;
    readonly media: Media;
    readonly parameters: OracleParameters;
    /** Without them every packet is `not_ready`. */
    readonly keys?: ChannelKeys;
  }): void {
    const conference = this.#conference(options.conference);
    const acked = new Set<number>();
    this.#channels.set(options.channel, {
      id: options.channel,
      member: options.member,
      media: options.media,
      conference,
      acked,
      streams: newStreams(conference, acked),
      positions: new Map(),
      parameters: options.parameters,
      crypto: options.keys && new ChannelCrypto(options.keys),
    });
  }

  /** The bindings of its SSRCs end with a channel (WIRE.md 10). */
  closeChannel(id: ChannelId): void {
    const channel = this.#channel(id);
    for (const [ssrc, owner] of channel.conference.owners) if (owner === id) channel.conference.owners.delete(ssrc);
    channel.streams.wipe();
    channel.crypto?.wipe();
    this.#channels.delete(id);
  }

  setParameters(id: ChannelId, parameters: OracleParameters): void {
    this.#channel(id).parameters = parameters;
  }

  setChannelKeys(id: ChannelId, keys: ChannelKeys): void {
    const channel = this.#channel(id);
    channel.crypto?.wipe();
    channel.crypto = new ChannelCrypto(keys);
  }

  installSet(conference: ConferenceId, set: GroupSet): Result<unknown, SetRefusal> {
    const where = this.#conference(conference);
    const first = where.sets.suite === undefined;
    const added = where.sets.add(set);
    if (!added.ok || !first) return added;
    for (const channel of this.#channels.values()) {
      if (channel.conference === where) channel.streams = newStreams(where, channel.acked);
    }
    return added;
  }

  dropSet(conference: ConferenceId, spiWord: number): void {
    const dropped = this.#conference(conference);
    for (const channel of this.#channels.values()) {
      if (channel.conference === dropped) channel.streams.dropSet(spiWord);
    }
    dropped.sets.drop(spiWord);
  }

  /** The channel has installed the set: streams under it may go there, and it may send under it. */
  setAcked(id: ChannelId, spiWord: number): void {
    this.#channel(id).acked.add(spiWord);
  }

  /** The whole plan of one media kind. A video display shows one picture: (receiver, sink) is named once. */
  setEdges(conference: ConferenceId, media: Media, edges: readonly OracleEdge[]): void {
    this.#conference(conference).edges[media] = edges;
  }

  /** A datagram from the proven peer of a channel. @param now ms */
  feed(id: ChannelId, datagram: Uint8Array, now: number): OracleVerdict {
    const channel = this.#channel(id);
    switch (classify(datagram)) {
      case 'other':
        return drop('unknown_protocol');
      case 'dtls':
        return { ...NOTHING, dtls: true };
      case 'rtp':
        return this.#rtp(channel, datagram, now);
      case 'rtcp':
        return this.#rtcp(channel, datagram, now);
    }
  }

  /** Lets replaced keys end whose time is over, also of streams that are silent. */
  expire(now: number): void {
    for (const channel of this.#channels.values()) channel.streams.expire(now);
  }

  /** The learnt state as text, for comparing states; holds no key. */
  describe(): string {
    const lines: string[] = [];
    for (const channel of this.#channels.values()) {
      lines.push(`channel ${channel.id} positions ${JSON.stringify([...channel.positions])}`);
      lines.push(channel.streams.describe(), channel.crypto?.describe() ?? '');
    }
    for (const [id, { owners }] of this.#conferences)
      lines.push(`conference ${id} owners ${JSON.stringify([...owners])}`);
    return lines.join('\n');
  }

  #rtp(channel: Channel, datagram: Uint8Array, now: number): OracleVerdict {
    const { parameters, streams, conference } = channel;
    const trailing = parameters.trailingByte ? 1 : 0;
    const parsed = streams.parseHeader(datagram, trailing);
    if (!parsed.ok) return drop(parsed.reason);
    if (!isReady(channel)) return drop('not_ready');
    const header = parsed.value;
    const { ssrc } = header;
    const verified = streams.verifyRtp(datagram, header, trailing, now);
    if (!verified.ok) return drop(verified.reason);
    const owner = conference.owners.get(ssrc);
    if (owner !== undefined && owner !== channel.id) return drop('ssrc_owned');
    const { source } = parseMultiplexWord(header.csrcs[0]!);
    if (source === 0 || ((parameters.transmitMask >>> source) & 1) === 0) return drop('bad_position');
    if ((channel.positions.get(ssrc) ?? source) !== source) return drop('bad_position');
    if (!streams.hasRoomFor(ssrc)) return drop('stream_limit');
    conference.owners.set(ssrc, channel.id);
    channel.positions.set(ssrc, source);
    verified.value.accept(now);
    const end = verified.value.at;
    const out = this.#forwardRtp(channel, datagram.subarray(0, end - trailing), header, source, verified.value);
    return trailing === 1 ? { ...out, trailingByte: datagram[end - 1]! } : out;
  }

  /** @param packet header and encrypted payload (with its AEAD tag), without trailing byte and tag */
  #forwardRtp(
    channel: Channel,
    packet: Uint8Array,
    header: RtpHeader,
    source: number,
    verified: VerifiedRtp,
  ): OracleVerdict {
    const outputs: OracleOutput[] = [];
    const withheld: { receiver: ChannelId; drop: DropName }[] = [];
    const codec = channel.parameters.payloadTypes.find((entry) => entry.payloadType === header.payloadType)?.codec;
    for (const edge of channel.conference.edges[channel.media]) {
      if (edge.source !== channel.id || edge.position !== source) continue;
      const receiver = this.#channels.get(edge.receiver);
      if (receiver === undefined) continue;
      const refusal = refusalOf(receiver, verified.spiWord);
      const renumbered = receiver.parameters.payloadTypes.find((entry) => entry.codec === codec)?.payloadType;
      if (refusal !== undefined) withheld.push({ receiver: edge.receiver, drop: refusal });
      else if (renumbered === undefined) withheld.push({ receiver: edge.receiver, drop: 'no_payload_type' });
      else {
        outputs.push({ receiver: edge.receiver, bytes: variant(packet, header, verified, edge.sink, renumbered) });
      }
    }
    return { outputs, withheld };
  }

  #rtcp(channel: Channel, datagram: Uint8Array, now: number): OracleVerdict {
    if (datagram.length < 8 || datagram.length > MAX_DATAGRAM_BYTES) return drop('malformed');
    const ssrc = readU32(datagram, 4);
    if (isControlSsrc(ssrc) || !isBareSenderReport(datagram)) return this.#controlRtcp(channel, ssrc, datagram);
    if (!isReady(channel)) return drop(channel.streams.looksLikeRtcp(datagram) ? 'not_ready' : 'malformed');
    const verified = channel.streams.verifyRtcp(datagram, now);
    return verified.ok ? this.#mediaRtcp(channel, verified.value) : drop(verified.reason);
  }

  #controlRtcp(channel: Channel, ssrc: number, datagram: Uint8Array): OracleVerdict {
    if (channel.crypto === undefined) return drop('not_ready');
    const tipAllowed = isControlSsrc(ssrc);
    const control = channel.crypto.unprotectRtcp(datagram, (compound) => {
      const packets = splitCompound(compound, { reducedSize: true });
      if (!packets.ok) return packets.reason;
      if (tipAllowed) return undefined;
      if (!packets.value.every((packet) => FEEDBACK_TYPES.has(packet[1]!))) return 'malformed';
      const owner = channel.conference.owners.get(ssrc);
      return owner === undefined || owner === channel.id ? undefined : 'ssrc_owned';
    });
    return control.ok ? { ...NOTHING, control: { rtcp: control.value, tipAllowed } } : drop(control.reason);
  }

  #mediaRtcp(channel: Channel, verified: VerifiedRtcp): OracleVerdict {
    const { conference, streams } = channel;
    const { ssrc, spiWord } = verified;
    const owner = conference.owners.get(ssrc);
    if (owner !== undefined && owner !== channel.id) return drop('ssrc_owned');
    if (!streams.hasRoomFor(ssrc)) return drop('stream_limit');
    conference.owners.set(ssrc, channel.id);
    verified.accept();
    const bytes = verified.onward();
    const outputs: OracleOutput[] = [];
    const withheld: { receiver: ChannelId; drop: DropName }[] = [];
    for (const receiver of this.#channels.values()) {
      if (receiver.conference !== conference || receiver.media !== channel.media) continue;
      if (receiver.member === channel.member) continue;
      const refusal = refusalOf(receiver, spiWord);
      if (refusal !== undefined) withheld.push({ receiver: receiver.id, drop: refusal });
      else outputs.push({ receiver: receiver.id, bytes });
    }
    return { outputs, withheld };
  }

  #conference(id: ConferenceId): Conference {
    let conference = this.#conferences.get(id);
    if (conference === undefined) {
      conference = {
        sets: new GroupSets(),
        owners: new Map(),
        requiredLevel: 'end-to-end',
        edges: { audio: [], video: [] },
      };
      this.#conferences.set(id, conference);
    }
    return conference;
  }

  #channel(id: ChannelId): Channel {
    const channel = this.#channels.get(id);
    if (channel === undefined) throw new Error(`channel ${id} is not open`);
    return channel;
  }
}

/** A channel may send under a set that it has ACKed, and under no other. Before a conference's first set, suite 1's shapes hold. */
function newStreams({ sets }: Conference, acked: ReadonlySet<number>): EktStreams {
  return streamsOf(
    sets.suite ?? 1,
    (spiWord) => (acked.has(spiWord) ? sets.get(spiWord) : undefined),
    MAX_STREAMS_PER_CHANNEL,
  );
}

const NOTHING = { outputs: [], withheld: [] } as const;

function drop(name: DropName): OracleVerdict {
  return { drop: name, ...NOTHING };
}

function meetsLevel(channel: Channel): boolean {
  return RANK[channel.parameters.level] >= RANK[channel.conference.requiredLevel];
}

/** WIRE.md 9 step 3: the channel has keys, and its endpoint is proven at the conference's level. */
function isReady(channel: Channel): boolean {
  return channel.crypto !== undefined && channel.parameters.ready && meetsLevel(channel);
}

/** Egress (WIRE.md 9): the level first, it holds whatever else is true of the receiver. */
function refusalOf(receiver: Channel, spiWord: number): DropName | undefined {
  if (!meetsLevel(receiver)) return 'below_level';
  if (!isReady(receiver)) return 'not_ready';
  return receiver.acked.has(spiWord) ? undefined : 'set_not_installed';
}

/**
 * Of a media SSRC's RTCP only this can be media RTCP, and under channel keys it may send receiver reports and feedback only
 * (WIRE.md 3): the first packet's header, which is in clear and authenticated either way, tells which keys to try.
 */
function isBareSenderReport(datagram: Uint8Array): boolean {
  return datagram[1] === RTCP_SR && (datagram[0]! & 0x1f) === 0;
}

/** SDES belongs to every compound (RFC 3550 §6.1). */
const FEEDBACK_TYPES: ReadonlySet<number> = new Set([RTCP_RR, RTCP_SDES, RTCP_RTPFB, RTCP_PSFB]);

/** The packet as receivers with this sink and payload type get it. */
function variant(
  packet: Uint8Array,
  header: RtpHeader,
  verified: VerifiedRtp,
  sink: number,
  payloadType: number,
): Uint8Array {
  const bytes = Uint8Array.from(packet);
  bytes[1] = (header.marker ? 0x80 : 0) | payloadType;
  writeU32(bytes, FIRST_CSRC_AT, withSink(header.csrcs[0]!, sink));
  return verified.reseal(bytes);
}
