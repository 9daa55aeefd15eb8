/** The relay's way out on real sockets: bursts of mixed sizes, receivers that are gone or too slow, sources that are too fast. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readU16 } from '../../../src/base/bytes.js';
import { Secret } from '../../../src/base/secret.js';
import type { Relay, RelayOptions } from '../../../src/relay/contract.js';
import { openRelay } from '../../../src/relay/relay.js';
import { counted, LOOPBACK, Peer } from './peers.js';
import { bytesOf, CONFERENCE, localKeys, PARAMETERS, remoteKeys, testSet, WORD } from './room.js';
import { type RtpFields, TestSender } from './sender.js';

const SOURCE = 1;
const RECEIVERS = [2, 3, 4, 5, 6];
const set = testSet(0x1235);
let relay: Relay;
let peers: Map<number, Peer>;
let sourcePort: number;
let sender: TestSender;

/** Sizes as a frame has them and as nobody has them: equal ones, a shorter last one, rising, falling, one by itself. */
const SIZES = [900, 900, 900, 900, 120, 900, 40, 41, 42, 43, 43, 43, 500, 400, 300, 300, 1300, 1300, 1300, 20];

async function start(options: Partial<RelayOptions> = {}, media: 'audio' | 'video' = 'video'): Promise<void> {
  const range = { portMin: 21_000 + (process.pid % 40) * 200, portMax: 31_999 };
  relay = openRelay({ threads: 1, bindAddress: LOOPBACK, ...range, ...options }, () => undefined);
  relay.setConference(CONFERENCE, { requiredLevel: 'end-to-end' });
  const secrets = { kek: Secret.copyOf(set.kek), masterSalt: Secret.copyOf(set.masterSalt) };
  relay.installSet(CONFERENCE, { spiWord: set.spiWord, suite: 1, cipher: 1, ...secrets });
  for (const id of [SOURCE, ...RECEIVERS]) {
    const opened = relay.openChannel({ channel: id, conference: CONFERENCE, member: id, media, transport: 'dtls' });
    if (!opened.ok) throw new Error(opened.reason);
    if (id === SOURCE) sourcePort = opened.value.port;
    const own = await Peer.open();
    peers.set(id, own);
    relay.provePeer(id, own.address);
    relay.setChannelKeys(id, {
      profile: 1,
      local: Secret.copyOf(localKeys(id)),
      remote: Secret.copyOf(remoteKeys(id)),
    });
    relay.setParameters(id, PARAMETERS);
    relay.setAcked(id, set.spiWord);
  }
  const edges = RECEIVERS.map((receiver) => ({ source: SOURCE, position: 1, receiver, sink: 1 + (receiver % 2) }));
  relay.setRoutes(CONFERENCE, media, edges);
}

/** Packets of the sizes, as fields; the first is a refresh point, so that video shows from there. */
function burst(sizes: readonly number[], first: number): RtpFields[] {
  return sizes.map((size, i) => ({
    sequence: first + i,
    timestamp: first,
    isn: 1,
    full: i % 3 === 0,
    word: WORD,
    trailing: i === 0 ? 1 : 0,
    payload: bytesOf(first + i, size),
  }));
}

/** All in one go, as far as the event loop lets them. */
async function send(fields: readonly RtpFields[]): Promise<void> {
  await Promise.all(fields.map((f) => peers.get(SOURCE)!.send(sourcePort, sender.rtp(f))));
}

const at = (id: number): Peer => peers.get(id)!;

beforeEach(() => {
  peers = new Map();
  sender = new TestSender(0xa1, bytesOf(1, 16), set);
});

afterEach(() => {
  relay.close();
  for (const p of peers.values()) p.socket.close();
});

describe('what leaves the relay', () => {
  it('bursts of mixed sizes: every receiver gets every packet, bit for bit and in order', async () => {
    await start();
    const fields = Array.from({ length: 6 }, (_, i) => burst(SIZES, 1 + i * SIZES.length)).flat();
    for (let i = 0; i < fields.length; i += SIZES.length) await send(fields.slice(i, i + SIZES.length));
    for (const id of RECEIVERS) {
      const got = await at(id).inbox.until((items) => items.length === fields.length);
      expect(got).toEqual(fields.map((f) => sender.switched(f, 1 + (id % 2), 96)));
    }
    await counted(() => relay.counters().egress === fields.length * RECEIVERS.length);
    const { packetsOut, bytesOut } = relay.channelCounters(2)!;
    const bytes = at(2).inbox.items.reduce((sum, p) => sum + p.length, 0);
    expect({ packetsOut, bytesOut }).toEqual({ packetsOut: fields.length, bytesOut: bytes });
    expect(relay.counters()).toMatchObject({ unsegmented: 0, drops: { queue_full: 0, unreachable: 0 } });
  });

  it('a receiver whose port is closed and one that takes nothing in cost the others nothing', async () => {
    await start();
    at(3).socket.close();
    peers.delete(3);
    at(4).socket.setRecvBufferSize(1);
    const fields = burst(Array.from({ length: 30 }, () => SIZES).flat(), 1);
    for (let i = 10; i <= fields.length; i += 10) {
      await send(fields.slice(i - 10, i));
      for (const id of [2, 5, 6]) await at(id).inbox.until((items) => items.length === i);
    }
    for (const id of [2, 5, 6])
      expect(at(id).inbox.items.map((p) => readU16(p, 2))).toEqual(fields.map((f) => f.sequence));
    const drops = (id: number) => relay.channelCounters(id)!.drops;
    await counted(() => relay.channelCounters(3)!.packetsOut + drops(3).unreachable === fields.length);
    for (const id of [2, 4, 5, 6]) expect(drops(id)).toEqual({ ...drops(id), unreachable: 0, queue_full: 0 });
    // The kernel takes a datagram for a socket that is full, and then drops it.
    expect(relay.channelCounters(4)!.packetsOut).toBe(fields.length);
    const there = at(4).inbox.items.map((p) => readU16(p, 2));
    expect(there).toEqual([...there].sort((a, b) => a - b));
  });

  it('a source that is faster than its limit is refused beyond it, by name; nothing else of it changes', async () => {
    await start({ ingressPacketsPerSecond: { audio: 0, video: 2 } });
    const fields = burst(Array<number>(8).fill(100), 1);
    for (const f of fields) await send([f]);
    await counted(() => relay.counters().ingress === fields.length);
    const refused = relay.channelCounters(SOURCE)!.drops.rate_limited;
    expect(refused).toBeGreaterThan(0);
    expect(relay.counters().verified).toBe(fields.length - refused);
    for (const id of RECEIVERS) await at(id).inbox.until((items) => items.length === fields.length - refused);
    // A refused packet was not remembered: it is welcome later.
    const last = fields.at(-1)!;
    for (let tries = 0; relay.counters().verified === fields.length - refused; tries++) {
      expect(tries).toBeLessThan(100);
      await send([last]);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(relay.counters().drops.replayed).toBe(0);
  });
});
