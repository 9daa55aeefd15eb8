/** A bundle (RFC 9143) on real sockets, on its conference's thread and on another one. */
import { afterEach, describe, expect, it } from 'vitest';
import { concat } from '../../../src/base/bytes.js';
import { Secret } from '../../../src/base/secret.js';
import type { OpenChannel, Relay, RelayEvent } from '../../../src/relay/contract.js';
import { openRelay } from '../../../src/relay/relay.js';
import { ChannelCrypto } from '../../../src/srtp/channel-crypto.js';
import { ownSsrc } from '../../../src/wire/own-ssrc.js';
import { oneByteExtension, parseRtpHeader, writeRtpHeader } from '../../../src/wire/rtp.js';
import { Inbox, LOOPBACK, Peer } from './peers.js';
import { CONFERENCE, localKeys, remoteKeys } from './room.js';

const AUDIO = 111;
const VIDEO = 96;
const NAMES = new Map([
  [1, 'mic'],
  [2, 'cam'],
]);
let relay: Relay | undefined;
const peers: Peer[] = [];
afterEach(() => {
  relay?.close();
  for (const { socket } of peers.splice(0)) socket.close();
});

/** The peer's half of a channel's keys. */
function cryptoOf(id: number): ChannelCrypto {
  return new ChannelCrypto({
    profile: 1,
    local: Secret.copyOf(remoteKeys(id)),
    remote: Secret.copyOf(localKeys(id)),
  });
}

function packet(
  ssrc: number,
  payloadType: number,
  sequence: number,
  name: string | undefined,
  payload: string,
): Uint8Array {
  const extension = name === undefined ? {} : { extension: oneByteExtension(4, Buffer.from(name)) };
  return concat(
    writeRtpHeader({ payloadType, sequence, timestamp: sequence, ssrc, ...extension }),
    Buffer.from(payload),
  );
}

describe.each([
  { where: 'on one thread', options: { threads: 1 }, handedOver: false },
  {
    where: 'spread: its sockets on another thread',
    options: { threads: 2, membersBeforeSpreading: 1 },
    handedOver: true,
  },
])('a bundled member $where', ({ options, handedOver }) => {
  it('is heard on both lines and hears on both, by one port; the leader goes last', async () => {
    const events = new Inbox<RelayEvent>();
    const range = { portMin: 21_000 + (process.pid % 40) * 200, portMax: 31_999 };
    relay = openRelay({ bindAddress: LOOPBACK, ...range, ...options }, (batch) => {
      for (const event of batch) events.push(event);
    });
    relay.setConference(CONFERENCE, { requiredLevel: 'hop-by-hop' });
    const open = (o: Pick<OpenChannel, 'channel' | 'member' | 'media' | 'leader'>): number => {
      const opened = relay!.openChannel({ conference: CONFERENCE, transport: 'dtls', ...o });
      if (!opened.ok) throw new Error(opened.reason);
      return opened.value.port;
    };
    // Member 9 is there first, so that the bundled one is spread where anybody is.
    const otherPorts = [
      open({ channel: 3, member: 9, media: 'audio' }),
      open({ channel: 4, member: 9, media: 'video' }),
    ] as const;
    const port = open({ channel: 1, member: 5, media: 'audio' });
    expect(open({ channel: 2, member: 5, media: 'video', leader: 1 })).toBe(port);
    const peer = await Peer.open();
    const others = [await Peer.open(), await Peer.open()] as const;
    peers.push(peer, ...others);
    for (const [id, at] of [
      [1, peer],
      [3, others[0]],
      [4, others[1]],
    ] as const) {
      relay.provePeer(id, at.address);
      const keys = { profile: 1, local: Secret.copyOf(localKeys(id)), remote: Secret.copyOf(remoteKeys(id)) };
      relay.setChannelKeys(id, { ...keys, forMedia: true });
    }
    const seeds = new Map([1, 2, 3, 4].map((id) => [id, 0x5eed0001 + (id << 16)]));
    for (const id of [1, 2, 3, 4]) {
      const name = NAMES.get(id);
      relay.setParameters(id, {
        ...{ tip: false, transmitMask: 0, trailingByte: false, level: 'hop-by-hop', ready: true },
        payloadTypes: [{ payloadType: id % 2 === 1 ? AUDIO : VIDEO, codec: id % 2 }],
        endsHere: { seed: seeds.get(id)! },
        ...(name === undefined ? {} : { mid: { id: 4, name } }),
      });
    }
    const edge = (source: number, receiver: number) => ({ source, position: 1, receiver, sink: 1 });
    relay.setRoutes(CONFERENCE, 'audio', [edge(1, 3), edge(3, 1)]);
    relay.setRoutes(CONFERENCE, 'video', [edge(2, 4), edge(4, 2)]);

    const [ours, audio, video] = [1, 3, 4].map(cryptoOf) as [ChannelCrypto, ChannelCrypto, ChannelCrypto];
    const sealed = (crypto: ChannelCrypto, bytes: Uint8Array): Uint8Array => {
      const made = crypto.protectRtp(bytes);
      if (!made.ok) throw new Error(made.reason);
      return made.value;
    };
    // In: the one line by its payload type, the other by its name.
    await peer.send(port, sealed(ours, packet(0xa1, AUDIO, 1, undefined, 'a word')));
    await peer.send(port, sealed(ours, packet(0xb1, VIDEO, 1, 'cam', 'a picture')));
    for (const [at, crypto, text] of [
      [others[0], audio, 'a word'],
      [others[1], video, 'a picture'],
    ] as const) {
      const [first] = await at.inbox.until((items) => items.length > 0);
      const opened = crypto.unprotectRtp(first!);
      expect(opened.ok && Buffer.from(opened.value.subarray(-text.length)).toString()).toBe(text);
    }
    await events.until((items) => items.filter(({ type }) => type === 'bound').length >= 2);
    const bound = events.items.flatMap((e) => (e.type === 'bound' ? [[e.channel, e.ssrc]] : []));
    expect(bound).toEqual([
      [1, 0xa1],
      [2, 0xb1],
    ]);
    // Out.
    await others[0].send(otherPorts[0], sealed(audio, packet(0xc1, AUDIO, 1, undefined, 'an answer')));
    await others[1].send(otherPorts[1], sealed(video, packet(0xd1, VIDEO, 1, undefined, 'another')));
    const got = await peer.inbox.until((items) => items.length >= 2);
    const seen = got.slice(0, 2).map((bytes) => {
      const opened = ours.unprotectRtp(bytes);
      const header = opened.ok ? parseRtpHeader(opened.value) : opened;
      if (!opened.ok || !header.ok) throw new Error('not ours');
      const { ssrc, payloadType, length, extension } = header.value;
      const name = extension === undefined ? '' : Buffer.from(extension.data.subarray(1, 4)).toString();
      return [payloadType, ssrc, name, Buffer.from(opened.value.subarray(length)).toString()];
    });
    expect(seen.sort()).toEqual(
      [
        [AUDIO, ownSsrc(seeds.get(1)!, 1), 'mic', 'an answer'],
        [VIDEO, ownSsrc(seeds.get(2)!, 1), 'cam', 'another'],
      ].sort(),
    );
    expect(relay.counters().handedOver > 0).toBe(handedOver);
    expect([1, 2].map((id) => relay!.channelCounters(id)!.packetsOut)).toEqual([1, 1]);
    relay.closeChannel(1);
    relay.closeChannel(2); // gone with it
    expect(() => open({ channel: 7, member: 5, media: 'video', leader: 1 })).toThrow(/leads nobody/);
    // Its slots are free for others.
    expect(open({ channel: 8, member: 6, media: 'audio' })).toBeGreaterThan(0);
  });
});
