/** A conference in the harness: three end-to-end endpoints, one video channel each, keys and a set in force. */
import type { Media } from '../../../src/base/ids.js';
import { Secret } from '../../../src/base/secret.js';
import type { ChannelParameters, Edge } from '../../../src/relay/contract.js';
import { RelayCore } from '../../../src/relay/harness.js';
import { TestSender, type TestSet } from './sender.js';

export const CONFERENCE = 7;
export const PEER = { address: '192.0.2.1', port: 4000 };
/** Source and sink at center. */
export const WORD = 0xabcde011;

export function bytesOf(seed: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (seed * 37 + i * 11) & 0xff);
}

export function testSet(spiWord: number): TestSet {
  return { spiWord, kek: bytesOf(spiWord, 16), masterSalt: bytesOf(spiWord + 1, 14) };
}

export function localKeys(channel: number): Uint8Array {
  return bytesOf(channel + 100, 30);
}

export function remoteKeys(channel: number): Uint8Array {
  return bytesOf(channel + 200, 30);
}

export const PARAMETERS: ChannelParameters = {
  tip: true,
  transmitMask: 0b1110,
  trailingByte: true,
  level: 'end-to-end',
  ready: true,
  payloadTypes: [{ payloadType: 96, codec: 1 }],
};

export function installSet(core: RelayCore, set: TestSet, channels: readonly number[]): void {
  const secret = { kek: Secret.copyOf(set.kek), masterSalt: Secret.copyOf(set.masterSalt) };
  core.installSet(CONFERENCE, { spiWord: set.spiWord, suite: 1, cipher: 1, ...secret });
  for (const channel of channels) core.setAcked(channel, set.spiWord);
}

export function addMember(
  core: RelayCore,
  id: number,
  media: Media,
  parameters: Partial<ChannelParameters> = {},
): void {
  core.openChannel({ channel: id, conference: CONFERENCE, member: id, media, transport: 'dtls' });
  core.provePeer(id, PEER);
  const keys = { local: Secret.copyOf(localKeys(id)), remote: Secret.copyOf(remoteKeys(id)) };
  core.setChannelKeys(id, { profile: 1, ...keys });
  core.setParameters(id, { ...PARAMETERS, ...parameters });
}

/** Everybody's center at everybody's center. */
export function mesh(channels: readonly number[]): Edge[] {
  const edges: Edge[] = [];
  for (const source of channels)
    for (const receiver of channels) if (source !== receiver) edges.push({ source, position: 1, receiver, sink: 1 });
  return edges;
}

export interface Room {
  readonly core: RelayCore;
  readonly set: TestSet;
  /** SSRC 0xa1: sent by channel 1 unless a test says otherwise. */
  readonly sender: TestSender;
}

export interface RoomOptions {
  readonly media?: Media;
  readonly parameters?: Partial<ChannelParameters>;
  readonly set?: TestSet;
}

/** Channels 1, 2, 3; audio has no switch-over, so that every packet goes to both others at once. */
export function room(options: RoomOptions = {}): Room {
  const media = options.media ?? 'audio';
  const core = new RelayCore();
  const set = options.set ?? testSet(0x1235);
  core.setConference(CONFERENCE, { requiredLevel: 'end-to-end' });
  for (const id of [1, 2, 3]) addMember(core, id, media, options.parameters);
  installSet(core, set, [1, 2, 3]);
  core.setRoutes(CONFERENCE, media, mesh([1, 2, 3]));
  core.take();
  return { core, set, sender: new TestSender(0xa1, bytesOf(1, 16), set) };
}
