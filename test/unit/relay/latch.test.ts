/** The latch window of plain RTP on real sockets, of a member on its conference's thread and of one whose socket is elsewhere. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { concat } from '../../../src/base/bytes.js';
import type { Relay } from '../../../src/relay/contract.js';
import { openRelay } from '../../../src/relay/relay.js';
import { writeRtpHeader } from '../../../src/wire/rtp.js';
import { LOOPBACK, Peer } from './peers.js';
import { CONFERENCE, mesh, PARAMETERS } from './room.js';

let relay: Relay;
let peers: Peer[];
beforeEach(async () => {
  peers = await Promise.all([0, 1, 2, 3].map(() => Peer.open()));
  const range = { portMin: 21_000 + (process.pid % 40) * 200, portMax: 31_999, membersBeforeSpreading: 1 };
  relay = openRelay({ threads: 2, bindAddress: LOOPBACK, ...range }, () => undefined);
  relay.setConference(CONFERENCE, { requiredLevel: 'none' });
});
afterEach(() => {
  relay.close();
  for (const { socket } of peers) socket.close();
});

/** Members 1 and 2 at the first two peers; gives their ports. */
function open(ms: number): readonly [number, number] {
  const ports = [1, 2].map((id) => {
    const peer = peers[id - 1]!.address;
    const channel = { channel: id, conference: CONFERENCE, member: id, media: 'audio', transport: 'plain' } as const;
    const opened = relay.openChannel({ ...channel, peer });
    if (!opened.ok) throw new Error(opened.reason);
    relay.setParameters(id, { ...PARAMETERS, tip: false, trailingByte: false, level: 'none' });
    relay.provePeer(id, peer);
    relay.latch(id, { ms, from: LOOPBACK });
    return opened.value.port;
  });
  relay.setRoutes(CONFERENCE, 'audio', mesh([1, 2]));
  return [ports[0]!, ports[1]!];
}

let sequence = 0;
const rtp = (ssrc: number, payload = 1): Uint8Array =>
  concat(writeRtpHeader({ payloadType: 96, sequence: ++sequence, timestamp: sequence, ssrc }), Uint8Array.of(payload));

/** Sends again and again: until a command is carried out the socket hears the signalled peer only. */
async function until(done: () => boolean, send: () => Promise<void>): Promise<void> {
  while (!done()) {
    await send();
    await new Promise((resolve) => setImmediate(resolve));
  }
}
const payloads = ({ inbox }: Peer): number[] => [...new Set(inbox.items.map((packet) => packet.at(-1)!))];

it.each([
  ['at home', 1],
  ['on another thread', 2],
])('what comes first within the window is the peer; a second source moves nothing: a socket %s', async (_, id) => {
  const ports = open(60_000);
  expect(relay.threadLoads().map(({ channels }) => channels)).toEqual([1, 1]);
  const [behindNat, stranger, signalled, other] = [peers[2]!, peers[3]!, peers[id - 1]!, peers[2 - id]!];
  const [here, there] = [ports[id - 1]!, ports[2 - id]!];
  await until(
    () => relay.counters().verified > 0,
    () => behindNat.send(here, rtp(0xa1, 1)),
  );
  await stranger.send(here, rtp(0xb1, 2));
  await signalled.send(here, rtp(0xa1, 3));
  await until(
    () => behindNat.inbox.items.length > 0,
    () => other.send(there, rtp(0xc1, 4)),
  );
  const heard = other.inbox.items.length;
  await until(
    () => other.inbox.items.length > heard,
    () => behindNat.send(here, rtp(0xa1, 1)),
  );
  expect([behindNat, other, stranger, signalled].map(payloads)).toEqual([[4], [1], [], []]);
});

it('attack: a late packet after the window moves nothing', async () => {
  const ports = open(0);
  const [late, signalled, other] = [peers[2]!, peers[0]!, peers[1]!];
  await until(
    () => relay.counters().drops.unknown_source > 0,
    () => late.send(ports[0], rtp(0xb1, 2)),
  );
  await until(
    () => other.inbox.items.length > 0,
    () => signalled.send(ports[0], rtp(0xa1, 1)),
  );
  await until(
    () => signalled.inbox.items.length > 0,
    () => other.send(ports[1], rtp(0xc1, 4)),
  );
  expect([signalled, other, late].map(payloads)).toEqual([[4], [1], []]);
});
