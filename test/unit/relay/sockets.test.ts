/**
 * The relay as it runs: threads and UDP sockets, peers of node:dgram on the loopback. All of it once more with a conference
 * that is spread: every member's socket on another thread.
 */
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fromHex, readU16 } from '../../../src/base/bytes.js';
import { Secret } from '../../../src/base/secret.js';
import type { Relay, RelayEvent } from '../../../src/relay/contract.js';
import { openRelay } from '../../../src/relay/relay.js';
import { clientHello, cookieOf } from '../../support/hello.js';
import { counted, Inbox, LOOPBACK, Peer } from './peers.js';
import { bytesOf, CONFERENCE, localKeys, mesh, PARAMETERS, remoteKeys, testSet, WORD } from './room.js';
import { compound, protectControl, TestSender, unprotectControl } from './sender.js';

const vectors = JSON.parse(readFileSync('test/vectors/ekt-tag.json', 'utf8'));
const ids = [1, 2, 3];
let relay: Relay;
let events: Inbox<RelayEvent>;
let peers: Map<number, Peer>;
let ports: Map<number, number>;
const peer = (id: number): Peer => peers.get(id)!;
const port = (id: number): number => ports.get(id)!;

/** @param membersBeforeSpreading undefined: as many as there are */
async function setUp(threads: number, membersBeforeSpreading?: number): Promise<void> {
  events = new Inbox();
  peers = new Map();
  ports = new Map();
  const range = { portMin: 21_000 + (process.pid % 40) * 200, portMax: 31_999 };
  const spreading = membersBeforeSpreading === undefined ? {} : { membersBeforeSpreading };
  relay = openRelay({ threads, bindAddress: LOOPBACK, ...range, ...spreading }, (batch) => {
    for (const event of batch) events.push(event);
  });
  relay.setConference(CONFERENCE, { requiredLevel: 'end-to-end' });
  for (const id of ids) {
    const opened = relay.openChannel({
      channel: id,
      conference: CONFERENCE,
      member: id,
      media: 'audio',
      transport: 'dtls',
    });
    if (!opened.ok) throw new Error(opened.reason);
    ports.set(id, opened.value.port);
    peers.set(id, await Peer.open());
  }
}

afterEach(() => {
  relay.close();
  for (const p of peers.values()) p.socket.close();
});

const set = testSet(0x1235);
/** What is asked for is in force for every datagram that is sent later. */
function ready(theSet = set, payloadTypes = PARAMETERS.payloadTypes): void {
  relay.installSet(CONFERENCE, {
    ...{ spiWord: theSet.spiWord, suite: 1, cipher: 1 },
    ...{ kek: Secret.copyOf(theSet.kek), masterSalt: Secret.copyOf(theSet.masterSalt) },
  });
  for (const id of ids) {
    relay.provePeer(id, peer(id).address);
    relay.setChannelKeys(id, {
      ...{ profile: 1, local: Secret.copyOf(localKeys(id)), remote: Secret.copyOf(remoteKeys(id)) },
    });
    relay.setParameters(id, { ...PARAMETERS, payloadTypes });
    relay.setAcked(id, theSet.spiWord);
  }
  relay.setRoutes(CONFERENCE, 'audio', mesh(ids));
}

/** Sends a hello, and brings back the cookie that is asked for. */
async function helloTo(at: number, id: number): Promise<Uint8Array> {
  await peer(id).send(at, clientHello());
  const [request] = await peer(id).inbox.until((items) => items.length === 1);
  const hello = clientHello(cookieOf(request!));
  await peer(id).send(at, hello);
  return hello;
}

const full = { word: WORD, full: true, trailing: 42 };

describe.each([
  { conference: 'on one thread', threads: 2, membersBeforeSpreading: undefined, away: 0 },
  { conference: 'spread over three threads', threads: 3, membersBeforeSpreading: 1, away: 2 },
])('the relay on real sockets, a conference $conference', ({ threads, membersBeforeSpreading, away }) => {
  beforeEach(() => setUp(threads, membersBeforeSpreading));

  it('has its sockets where the test wants them', () => {
    const loads = relay.threadLoads();
    expect(loads.length).toBe(threads);
    const home = loads.findIndex((load) => load.conferences === 1);
    expect(loads.reduce((sum, load, i) => sum + (i === home ? 0 : load.channels), 0)).toBe(away);
  });

  it('carries DTLS to and from several candidates before the proof, and drops everything else as not ready', async () => {
    const answer = Uint8Array.of(22, 254, 253, 9);
    for (const id of [1, 2]) {
      const hello = await helloTo(port(1), id);
      const seen = await events.until((items) => items.length === id);
      expect(seen).toContainEqual({ type: 'dtls', channel: 1, from: peer(id).address, bytes: hello });
      relay.sendDatagram(1, peer(id).address, answer);
      expect((await peer(id).inbox.until((items) => items.length === 2)).at(-1)).toEqual(answer);
    }
    const media = new TestSender(0xa1, bytesOf(1, 16), set).rtp({ ...full, sequence: 1, isn: 1 });
    await peer(1).send(port(1), media);
    await counted(() => relay.counters().drops.not_ready === 1);
    relay.sendDatagram(1, peer(1).address, media); // not DTLS: media never leaves through here
    relay.sendDatagram(1, peer(1).address, answer);
    expect((await peer(1).inbox.until((items) => items.length === 3)).slice(1)).toEqual([answer, answer]);
  });

  it('gives the others exactly what the sender would have made for them', async () => {
    ready();
    const sender = new TestSender(0xa1, bytesOf(1, 16), set);
    const fields = Array.from({ length: 30 }, (_, i) => ({ ...full, sequence: i + 1, isn: 1, full: i % 3 === 0 }));
    for (const f of fields) await peer(1).send(port(1), sender.rtp(f));
    const expected = fields.map((f) => sender.switched(f, 1, 96));
    for (const id of [2, 3]) expect(await peer(id).inbox.until((items) => items.length === 30)).toEqual(expected);
    const sr = sender.rtcp({ isn: 1 });
    await peer(1).send(port(1), sr);
    for (const id of [2, 3]) expect((await peer(id).inbox.until((items) => items.length === 31)).at(-1)).toEqual(sr);
    expect(peer(1).inbox.items).toEqual([]);
    await counted(() => relay.counters().egress === 62);
    expect(relay.counters()).toMatchObject({
      ingress: 31,
      verified: 31,
      egress: 62,
      variants: 30,
      handedOver: 31 * away,
    });
    expect(relay.channelCounters(2)).toMatchObject({ packetsIn: 0, packetsOut: 31 });
    expect(relay.channelCounters(1)).toMatchObject({ packetsIn: 31, packetsOut: 0 });
    const seen = await events.until((items) => items.some((e) => e.type === 'activity'));
    expect(seen[0]).toEqual({ type: 'bound', channel: 1, ssrc: 0xa1, position: 1 });
    expect(seen).toContainEqual(expect.objectContaining({ type: 'activity', channel: 1, position: 1, energy: 42 }));
  });

  it('switches the packets of ekt-tag.json bit for bit', async () => {
    const [first] = vectors.switched;
    const kek = fromHex(vectors.kek);
    const payloadTypes = [{ payloadType: fromHex(first.in)[1]! & 0x7f, codec: 1 }];
    ready(
      { spiWord: readU16(fromHex(vectors.spiWord), 0), kek, masterSalt: fromHex(vectors.masterSalt) },
      payloadTypes,
    );
    for (const [i, sink] of [first.sink, vectors.switched[1].sink].entries()) {
      relay.setRoutes(CONFERENCE, 'audio', [{ source: 1, position: 1, receiver: 2, sink }]);
      await peer(1).send(port(1), fromHex(vectors.switched[i].in));
      const got = await peer(2).inbox.until((items) => items.length === i + 1);
      expect(got[i]).toEqual(fromHex(vectors.switched[i].out));
    }
  });

  it('a stranger changes nothing after the proof', async () => {
    const stranger = await Peer.open();
    const sender = new TestSender(0xa1, bytesOf(1, 16), set);
    const packet = sender.rtp({ ...full, sequence: 1, isn: 1 });
    ready();
    await stranger.send(port(1), packet);
    await stranger.send(port(1), Uint8Array.of(22, 254, 253));
    await peer(1).send(port(1), packet);
    for (const id of [2, 3]) {
      expect(await peer(id).inbox.until((items) => items.length === 1)).toEqual([
        sender.switched({ ...full, sequence: 1, isn: 1 }, 1, 96),
      ]);
    }
    expect(relay.counters().verified).toBe(1);
    expect(events.items.filter((e) => e.type === 'dtls')).toEqual([]);
    stranger.socket.close();
  });

  it('control RTCP goes both ways', async () => {
    ready();
    const plain = compound(0x55667700);
    await peer(2).send(port(2), protectControl(remoteKeys(2), plain, 7));
    const seen = await events.until((items) => items.length > 0);
    expect(seen).toEqual([{ type: 'control', channel: 2, tipAllowed: true, rtcp: plain }]);
    relay.sendControl(2, plain);
    const [sent] = await peer(2).inbox.until((items) => items.length === 1);
    expect(unprotectControl(localKeys(2), sent!)).toEqual({ plain, index: 1 });
  });

  it('a channel that closes frees its port, and its peer that has gone does not disturb the others', async () => {
    ready();
    const sender = new TestSender(0xa1, bytesOf(1, 16), set);
    peer(3).socket.close();
    peers.delete(3);
    for (let sequence = 1; sequence <= 5; sequence++) {
      await peer(1).send(port(1), sender.rtp({ ...full, sequence, isn: 1 }));
      await peer(2).inbox.until((items) => items.length === sequence);
    }
    relay.closeChannel(3);
    relay.closeChannel(3);
    expect(relay.channelCounters(3)).toBeUndefined();
    await peer(1).send(port(1), sender.rtp({ ...full, sequence: 6, isn: 1 }));
    await peer(2).inbox.until((items) => items.length === 6);
    relay.closeConference(CONFERENCE);
    expect(relay.channelCounters(1)).toBeUndefined();
  });

  it('says so when no port is left, and reuses one that was closed', async () => {
    const single = openRelay({ threads: 1, bindAddress: LOOPBACK, portMin: port(1), portMax: port(1) }, () => {});
    const channel = { conference: 1, member: 1, media: 'video', transport: 'dtls' } as const;
    expect(single.openChannel({ ...channel, channel: 1 })).toEqual({ ok: false, reason: 'no-port' });
    relay.closeChannel(1);
    await counted(() => single.openChannel({ ...channel, channel: 2 }).ok);
    expect(single.threadCpuNs().length).toBe(1);
    single.close();
    single.close();
    expect(() => single.openChannel({ ...channel, channel: 3 })).toThrow();
    expect(single.threadCpuNs()[0]).toBeGreaterThan(0n);
  });

  it('lets its callback close it, and calls nothing afterwards', async () => {
    let calls = 0;
    const own = openRelay({ threads: 2, bindAddress: LOOPBACK, portMin: 32_000, portMax: 32_767 }, () => {
      calls++;
      own.close();
    });
    const opened = own.openChannel({ channel: 1, conference: 1, member: 1, media: 'video', transport: 'dtls' });
    if (!opened.ok) throw new Error(opened.reason);
    await helloTo(opened.value.port, 1);
    await counted(() => calls > 0);
    await peer(1).send(opened.value.port, Uint8Array.of(22, 254, 253, 99));
    relay.sendDatagram(1, peer(1).address, Uint8Array.of(22));
    await peer(1).inbox.until((items) => items.length === 2);
    expect(calls).toBe(1);
  });
});
