/**
 * Random traffic of a small conference from a seed, to be fed to the oracle and to the native relay alike: headers with every
 * CSRC count, extensions, paddings, payloads of 0 to 1,400 bytes, wraps of the sequence number, reordering, duplicates,
 * damage, foreign packets, rekeys, new sets, media RTCP, control RTCP and feedback under channel keys.
 */
import { equalBytes } from '../../src/base/bytes.js';
import type { Media } from '../../src/base/ids.js';
import { Secret } from '../../src/base/secret.js';
import { ChannelCrypto, type ChannelProfile } from '../../src/srtp/channel-crypto.js';
import { type EktSuite, type GroupSet, senderKeyBytes } from '../../src/srtp/group-set.js';
import { type OracleEdge, type OracleParameters, RelayOracle } from '../../src/srtp/relay-oracle.js';
import { buildControlCompound, writePli } from '../../src/wire/rtcp-write.js';
import { Random } from './random.js';
import { ScenarioSender, type Truth } from './scenario-sender.js';

export interface ScenarioChannel {
  readonly channel: number;
  readonly member: number;
  readonly media: Media;
  readonly profile: ChannelProfile;
  /** The switch's: what it sends with, and what the endpoint sends with. */
  readonly local: Uint8Array;
  readonly remote: Uint8Array;
  readonly parameters: OracleParameters;
}

export type Step =
  | {
      readonly type: 'packet';
      readonly channel: number;
      readonly bytes: Uint8Array;
      readonly now: number;
      /** What was sealed, for a packet that left a sender as it is here. */
      readonly truth?: Truth;
    }
  /** Before `acked`; the caller's copy of the secrets. */
  | { readonly type: 'installSet'; readonly set: GroupSet }
  | { readonly type: 'acked'; readonly channel: number; readonly spiWord: number }
  | { readonly type: 'dropSet'; readonly spiWord: number };

export interface Scenario {
  readonly conference: number;
  readonly channels: readonly ScenarioChannel[];
  readonly edges: Readonly<Record<Media, readonly OracleEdge[]>>;
  /** `packets` steps of type packet, between them the changes of sets. May be run once. */
  readonly steps: (packets: number) => Generator<Step>;
}

const PROFILE_BYTES: Readonly<Record<ChannelProfile, number>> = { 1: 30, 7: 28, 8: 44 };
const MEMBERS = [1, 2, 3, 4, 5];
/** Member 5 is below the conference's level: nothing of it is relayed, and nothing is sent to it. */
const LOW_MEMBER = 5;
/** Member 2 takes every payload type and lies at the required level: everything that is verified reaches it. */
export const COMPLETE_MEMBER = 2;
const PROFILES: readonly ChannelProfile[] = [1, 7, 8, 1, 7];
const SPI_STEP = 0x0102;

/** Steps between two sets, and until the older one is dropped. */
const SET_INTERVAL = 1500;
const SET_OVERLAP = 400;
/** Steps after which member 3 has installed a set; the others have it at once. */
const LATE_ACK = 80;
const isPrompt = (channel: ScenarioChannel) => channel.member !== 3;

/** @param suite 1, 17 or 18 (WIRE.md 4.3); the traffic is of the same kinds */
export function scenario(seed: number, suite: EktSuite = 1): Scenario {
  const random = new Random(seed);
  const channels = MEMBERS.flatMap((member) =>
    (['audio', 'video'] as const).map((media, i): ScenarioChannel => {
      const profile = PROFILES[member - 1]!;
      return {
        channel: 10 * member + i,
        member,
        media,
        profile,
        local: random.bytes(PROFILE_BYTES[profile]),
        remote: random.bytes(PROFILE_BYTES[profile]),
        parameters: {
          transmitMask: 0b1110,
          trailingByte: member !== 3,
          level: member === LOW_MEMBER ? 'hop-by-hop' : 'end-to-end',
          ready: true,
          payloadTypes: [
            { payloadType: 96, codec: 1 },
            { payloadType: 96 + member, codec: 2 },
            ...(member === 3 ? [] : [{ payloadType: 111, codec: 3 }]),
          ],
        },
      };
    }),
  );
  const edgesOf = (media: Media): OracleEdge[] => {
    const own = channels.filter((c) => c.media === media);
    const places = own.flatMap((source) => [1, 2, 3].map((position) => ({ source, position })));
    return own.flatMap((receiver) =>
      places
        .filter(({ source }) => source !== receiver)
        // A video display shows one picture: every place of every source has a sink of its own.
        .map(({ source, position }, i) => ({
          source: source.channel,
          position,
          receiver: receiver.channel,
          sink: 1 + ((i + receiver.member) % 15),
        })),
    );
  };
  return {
    conference: 1,
    channels,
    edges: { audio: edgesOf('audio'), video: edgesOf('video') },
    steps: (packets) => steps(random, channels, packets, suite),
  };
}

/** An oracle with the scenario's conference, channels and edges; sets come with the steps. */
export function oracleFor(s: Scenario): RelayOracle {
  const oracle = new RelayOracle();
  for (const c of s.channels) {
    const keys = { profile: c.profile, local: Secret.copyOf(c.local), remote: Secret.copyOf(c.remote) };
    oracle.openChannel({ ...c, conference: s.conference, keys });
  }
  oracle.setEdges(s.conference, 'audio', s.edges.audio);
  oracle.setEdges(s.conference, 'video', s.edges.video);
  return oracle;
}

interface Queued {
  readonly due: number;
  readonly channel: number;
  readonly bytes: Uint8Array;
  readonly truth?: Truth;
}

function* steps(
  random: Random,
  channels: readonly ScenarioChannel[],
  packets: number,
  suite: EktSuite,
): Generator<Step> {
  const endpoints = new Map(
    channels.map((c) => [
      c.channel,
      new ChannelCrypto({
        profile: c.profile,
        local: Secret.copyOf(c.remote),
        remote: Secret.copyOf(c.local),
      }),
    ]),
  );
  let spiWord = 0x0101;
  let set = newSet(random, spiWord, suite);
  yield* announce(set, channels);
  const senders = channels.flatMap((c) =>
    (c.member === LOW_MEMBER ? [1] : [1, 2]).map(
      (n) => new ScenarioSender(random, c, (c.channel << 8) | n | (random.below(0xff) << 24), set),
    ),
  );
  const queue: Queued[] = [];
  let now = 1_700_000_000_000;
  let previousSet: number | undefined;

  for (let emitted = 0, tick = 1; emitted < packets; tick++) {
    if (tick % SET_INTERVAL === 0) {
      previousSet = spiWord;
      spiWord += SPI_STEP;
      set = newSet(random, spiWord, suite);
      yield* announce(set, channels.filter(isPrompt));
    }
    if (tick > SET_INTERVAL && tick % SET_INTERVAL === LATE_ACK) {
      for (const c of channels) if (!isPrompt(c)) yield { type: 'acked', channel: c.channel, spiWord };
    }
    if (previousSet !== undefined && tick % SET_INTERVAL === SET_OVERLAP) {
      yield { type: 'dropSet', spiWord: previousSet };
      previousSet = undefined;
    }
    const sender = random.pick(senders);
    if (sender.spiWord !== spiWord ? random.oneIn(4) : random.oneIn(120)) sender.rekey(set);
    const { channel } = sender;
    for (const one of packetsOf(random, sender, endpoints.get(channel)!)) {
      const due = tick + (random.oneIn(200) ? 700 + random.below(700) : random.oneIn(4) ? random.below(12) : 0);
      queue.push({ due, channel, ...one });
      if (random.oneIn(40)) queue.push({ due: due + random.below(20), channel, bytes: one.bytes });
      if (random.oneIn(15)) {
        const bytes = damage(random, one.bytes);
        const damaged = {
          due,
          channel,
          bytes,
          ...(isStillGood(one.bytes, bytes, suite) && one.truth ? { truth: one.truth } : {}),
        };
        if (random.oneIn(3)) queue.push(damaged);
        else queue.splice(-1, 0, damaged);
      }
      if (random.oneIn(300)) queue.push({ due, channel: random.pick(channels).channel, bytes: one.bytes });
    }
    for (let i = 0; i < queue.length && emitted < packets; ) {
      const { due, ...packet } = queue[i]!;
      if (due > tick) {
        i++;
        continue;
      }
      queue.splice(i, 1);
      now += random.below(5);
      emitted++;
      yield { type: 'packet', now, ...packet };
    }
  }
}

function* announce(set: GroupSet, channels: readonly ScenarioChannel[]): Generator<Step> {
  yield { type: 'installSet', set };
  for (const { channel } of channels) yield { type: 'acked', channel, spiWord: set.spiWord };
}

const CIPHER_OF: Readonly<Record<EktSuite, number>> = { 1: 1, 17: 3, 18: 4 };

function newSet(random: Random, spiWord: number, suite: EktSuite): GroupSet {
  return {
    spiWord,
    suite,
    cipher: CIPHER_OF[suite],
    kek: new Secret(random.bytes(senderKeyBytes(suite))),
    masterSalt: new Secret(random.bytes(14)),
  };
}

function packetsOf(
  random: Random,
  sender: ScenarioSender,
  endpoint: ChannelCrypto,
): { bytes: Uint8Array; truth?: Truth }[] {
  switch (random.below(30)) {
    case 0: {
      // Control RTCP, and the feedback of a media SSRC, under the channel's keys.
      const ssrc = random.oneIn(2) ? (sender.channel << 8) >>> 0 : sender.ssrc;
      const compound = buildControlCompound({ ssrc, cname: `c${sender.channel}@test` }, [writePli(ssrc, 0x1001)]);
      return [{ bytes: endpoint.protectRtcp(compound) }];
    }
    case 1:
    case 2:
      return [sender.rtcp()];
    case 3:
      return [{ bytes: random.bytes(random.below(60)) }];
    default:
      return Array.from({ length: 1 + random.below(3) }, () => sender.rtp());
  }
}

/** What a network, or somebody on it, may do to a packet. */
function damage(random: Random, packet: Uint8Array): Uint8Array {
  const bytes = Uint8Array.from(packet);
  switch (random.below(6)) {
    case 0:
      return bytes.subarray(0, random.below(bytes.length + 1));
    case 1: {
      const longer = new Uint8Array(bytes.length + 1 + random.below(200));
      longer.set(bytes);
      return longer;
    }
    case 2: {
      // Header bits: version, padding, extension, CSRC count.
      if (bytes.length > 0) bytes[0]! ^= 1 << random.below(6);
      return bytes;
    }
    case 3: {
      // Somewhere in the tag, or the field.
      const at = bytes.length - 1 - random.below(Math.min(40, bytes.length));
      if (at >= 0) bytes[at]! ^= 1 << random.below(8);
      return bytes;
    }
    default: {
      const at = random.below(bytes.length + 1);
      if (at < bytes.length) bytes[at]! ^= 1 << random.below(8);
      return bytes;
    }
  }
}

/** Damage that changes nothing: none at all, or to the free bits of a Short tag's last byte (WIRE.md 5). */
function isStillGood(packet: Uint8Array, damaged: Uint8Array, suite: EktSuite): boolean {
  const last = packet.length - 1;
  if (damaged.length !== packet.length || last < 0) return false;
  if (!equalBytes(packet.subarray(0, last), damaged.subarray(0, last))) return false;
  if (packet[last] === damaged[last]) return true;
  return suite === 1 && ((packet[last]! | damaged[last]!) & 1) === 0;
}
