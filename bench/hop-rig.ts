/** A relay whose receivers' payloads end at the switch, beside a thread that protects for each receiver with libsrtp. */
import { randomBytes } from 'node:crypto';
import type { Media } from '../src/base/ids.js';
import { Secret } from '../src/base/secret.js';
import type { Relay } from '../src/relay/contract.js';
import { benchAddon, LIBRARY_MANNERS, MANNERS, type NativeReplicator } from './native.js';
import {
  everySourceToAll,
  RECEIVER_PAYLOAD_TYPE,
  type Room,
  randomSet,
  SOURCE_PAYLOAD_TYPE,
  SOURCE_POSITION,
} from './room.js';
import { type Count, counted, lossOf, type Outside, plainStream } from './rounds.js';
import { RTPENGINE_ADDED_BYTES, RTPENGINE_SUITE } from './rtpengine.js';
import { RtpEngineRig } from './rtpengine-rig.js';
import { type Peers, Stage, type StageOptions } from './stage.js';
import { difference32 } from './statistics.js';
import { SHAPES } from './traffic.js';

/** DTLS-SRTP's numbers (RFC 5764 §4.1.2, RFC 7714 §14.2), with what they add to a packet. */
export const HOP_PROFILES = [
  { profile: 1, name: 'AES_CM_128_HMAC_SHA1_80', keyBytes: 30, addedBytes: 10, manner: 'libsrtpCm' },
  { profile: 7, name: 'AEAD_AES_128_GCM', keyBytes: 28, addedBytes: 16, manner: 'libsrtpGcm' },
] as const;
export type HopProfile = (typeof HOP_PROFILES)[number];

export const HOP_CONTENDERS = ['relay', 'libsrtp'] as const;
export type HopContender = (typeof HOP_CONTENDERS)[number];

const CODEC = 7;
const SOURCE_SSRC = 0x52000000;
const WARM_UP_BURSTS = 12;

/** One source in clear, receivers under keys of their own: on the packet's way there is no other cryptography than theirs. */
export function furnishHop(
  relay: Relay,
  room: Room,
  profile: HopProfile,
  peers: Peers,
): ReturnType<Relay['openChannel']>[] {
  const { conference, media } = room;
  relay.setConference(conference, { requiredLevel: 'none' });
  const parameters = (payloadType: number) => ({
    tip: false,
    transmitMask: 1 << SOURCE_POSITION,
    trailingByte: false,
    ready: true,
    payloadTypes: [{ payloadType, codec: CODEC }],
  });
  const sources = room.sources.map((channel, i) => {
    const opened = relay.openChannel({
      channel,
      conference,
      member: channel,
      media,
      transport: 'plain',
      peer: peers.sources[i]!,
    });
    relay.setParameters(channel, { ...parameters(SOURCE_PAYLOAD_TYPE), level: 'none' });
    return opened;
  });
  const receivers = room.receivers.map((channel, i) => {
    const opened = relay.openChannel({ channel, conference, member: channel, media, transport: 'dtls' });
    relay.provePeer(channel, peers.receivers[i]!);
    const keys = {
      local: new Secret(randomBytes(profile.keyBytes)),
      remote: new Secret(randomBytes(profile.keyBytes)),
    };
    relay.setChannelKeys(channel, { profile: profile.profile, ...keys, forMedia: true });
    keys.local.wipe();
    keys.remote.wipe();
    const seed = randomBytes(4).readUInt32BE() | 0x100;
    relay.setParameters(channel, {
      ...parameters(RECEIVER_PAYLOAD_TYPE),
      level: 'hop-by-hop',
      endsHere: { seed: seed >>> 0 },
    });
    return opened;
  });
  relay.setRoutes(conference, media, everySourceToAll(room));
  return [...sources, ...receivers];
}

export class HopRig {
  readonly profile: HopProfile;
  readonly media: Media;
  readonly receivers: number;
  readonly #stage: Stage;
  /** Undefined: libsrtp is not installed. */
  readonly #library: NativeReplicator | undefined;
  /** rtpengine, where it is of use; a string: why it is not. */
  #engine: RtpEngineRig | string | undefined;
  readonly #sequence: Record<HopContender, number> = { relay: 0, libsrtp: 0 };

  private constructor(profile: HopProfile, stage: Stage) {
    this.profile = profile;
    this.media = stage.options.media;
    this.receivers = stage.options.receivers;
    this.#stage = stage;
    const manner = MANNERS.length + LIBRARY_MANNERS.indexOf(profile.manner);
    this.#library = benchAddon().hasLibSrtp() ? benchAddon().startReplicator(stage.ground, manner) : undefined;
  }

  /** Ready to be measured. Throws when the system refuses a socket or the relay does not come up. */
  static async open(profile: HopProfile, media: Media, receivers: number): Promise<HopRig> {
    const furnish: StageOptions['furnish'] = (relay, room, peers) => furnishHop(relay, room, profile, peers);
    const stage = await Stage.open({ media, set: randomSet(), sources: 1, receivers, furnish });
    const rig = new HopRig(profile, stage);
    try {
      for (const contender of rig.contenders) {
        const loss = lossOf(await rig.round(contender, WARM_UP_BURSTS * SHAPES[media].burst));
        if (loss !== undefined) throw new Error(`warming up ${contender}: ${loss}`);
      }
      // The suite that it answers subscriptions with.
      if (profile.name === RTPENGINE_SUITE) {
        const bytes = SHAPES[media].bytes - RTPENGINE_ADDED_BYTES;
        rig.#engine = await RtpEngineRig.invite(stage, bytes);
      }
      return rig;
    } catch (error) {
      await rig.close();
      throw error;
    }
  }

  get contenders(): readonly HopContender[] {
    return this.#library === undefined ? ['relay'] : HOP_CONTENDERS;
  }

  /** rtpengine; undefined: it is not there. */
  get outside(): Outside | undefined {
    return typeof this.#engine === 'string' ? undefined : this.#engine;
  }

  /** Why rtpengine is installed and yet not there. */
  get engineFault(): string | undefined {
    return typeof this.#engine === 'string' ? this.#engine : undefined;
  }

  idleNsPerMs(ms: number): Promise<number> {
    return this.#stage.idleNsPerMs(ms);
  }

  /** `packets` fresh packets in clear; what reaches the sinks is as long as the packets of {@link SHAPES}. */
  async round(contender: HopContender, packets: number): Promise<Count> {
    const { bytes, burst } = SHAPES[this.media];
    const plainBytes = bytes - this.profile.addedBytes;
    const stream = plainStream(SOURCE_SSRC, this.#sequence[contender], packets, plainBytes, SOURCE_PAYLOAD_TYPE);
    this.#sequence[contender] += packets;
    const load = benchAddon().createLoad([stream], plainBytes);
    const state = this.#stateOf(contender);
    const ports = contender === 'relay' ? this.#stage.lanes : [benchAddon().replicatorState(this.#library!).port];
    const before = state();
    const arrivedBefore = benchAddon().arrivals(this.#stage.ground);
    const began = performance.now();
    try {
      const { sent } = await this.#stage.send(load, packets, burst, burst, ports);
      const copies = sent * this.receivers;
      await counted(() => state().egress - before.egress >= copies && state().ingress - before.ingress >= sent);
      const elapsedMs = performance.now() - began;
      const after = state();
      const arrived = difference32(benchAddon().arrivals(this.#stage.ground), arrivedBefore);
      return {
        packets,
        receivers: this.receivers,
        sent,
        ingress: after.ingress - before.ingress,
        egress: after.egress - before.egress,
        // The relay's sender reports arrive besides, and one may have stood for the last copy while sending.
        arrived: Math.min(arrived, copies),
        drops: after.drops - before.drops,
        cpuNs: after.cpuNs - before.cpuNs,
        elapsedMs,
        calls: 0,
      };
    } finally {
      benchAddon().closeLoad(load);
    }
  }

  /** Ends a round that is under way. */
  abort(): void {
    this.#stage.abort();
  }

  /** Not while a round is under way. */
  async close(): Promise<void> {
    if (typeof this.#engine === 'object') await this.#engine.close();
    if (this.#library !== undefined) benchAddon().closeReplicator(this.#library);
    this.#stage.close();
  }

  #stateOf(contender: HopContender): () => { ingress: number; egress: number; drops: number; cpuNs: number } {
    if (contender === 'relay') {
      return () => {
        const { ingress, egress } = this.#stage.counters();
        return { ingress, egress, drops: this.#stage.drops(), cpuNs: this.#stage.cpuNs() };
      };
    }
    return () => {
      const { received, sent, cpuNs } = benchAddon().replicatorState(this.#library!);
      return { ingress: received, egress: sent, drops: 0, cpuNs };
    };
  }
}
