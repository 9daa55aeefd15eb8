/** RTCP on a port of its own (RFC 3550 §11, RFC 3605), on real sockets: plain RTP with peers from before rtcp-mux. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { concat } from '../../../src/base/bytes.js';
import type { Relay, RelayEvent } from '../../../src/relay/contract.js';
import { openRelay } from '../../../src/relay/relay.js';
import { buildControlCompound } from '../../../src/wire/rtcp-write.js';
import { writeRtpHeader } from '../../../src/wire/rtp.js';
import { counted, Inbox, LOOPBACK, Peer } from './peers.js';
import { CONFERENCE, mesh, PARAMETERS } from './room.js';

let relay: Relay;
let events: Inbox<RelayEvent>;
let peers: Peer[];
beforeEach(async () => {
  events = new Inbox();
  peers = [await Peer.open(), await Peer.open(), await Peer.open(), await Peer.open()];
  // From the second member on sockets go to the other thread, unless RTCP is apart.
  const range = { portMin: 21_000 + (process.pid % 40) * 200, portMax: 31_999, membersBeforeSpreading: 1 };
  relay = openRelay({ threads: 2, bindAddress: LOOPBACK, ...range }, (batch) => {
    for (const event of batch) events.push(event);
  });
  relay.setConference(CONFERENCE, { requiredLevel: 'none' });
});
afterEach(() => {
  relay.close();
  for (const { socket } of peers) socket.close();
});

/** Member `id`: RTP at one peer, RTCP at another. @returns the port for RTP. */
function open(id: number, rtp: Peer, rtcp: Peer | undefined): number {
  const channel = { channel: id, conference: CONFERENCE, member: id, media: 'audio', transport: 'plain' } as const;
  const opened = relay.openChannel({
    ...channel,
    peer: rtp.address,
    ...(rtcp === undefined ? {} : { rtcp: rtcp.address }),
  });
  if (!opened.ok) throw new Error(opened.reason);
  relay.setParameters(id, { ...PARAMETERS, tip: false, trailingByte: false, level: 'none' });
  return opened.value.port;
}

const report = (ssrc = 0x1234): Uint8Array => buildControlCompound({ ssrc, cname: 'old' }, []);

it('RTP and RTCP go both ways on a pair of ports, and RTCP from elsewhere is not taken', async () => {
  const [rtp, rtcp, stranger, other] = peers as [Peer, Peer, Peer, Peer];
  const theirs = open(2, other, undefined);
  const port = open(1, rtp, rtcp);
  expect(port % 2).toBe(0);
  relay.setRoutes(CONFERENCE, 'audio', mesh([1, 2]));

  // The socket is connected: what is not the peer's does not even reach us.
  await stranger.send(port + 1, report(1));
  await rtp.send(port + 1, report(2));
  await rtp.send(port, report(3));
  await counted(() => relay.counters().drops.unknown_protocol === 1);
  await rtcp.send(port + 1, report());
  const heard = await events.until((items) => items.some((e) => e.type === 'control'));
  expect(heard).toMatchObject([{ type: 'control', channel: 1, rtcp: report() }]);

  relay.sendControl(1, report());
  expect(await rtcp.inbox.until((items) => items.length === 1)).toEqual([report()]);
  const media = concat(writeRtpHeader({ payloadType: 96, sequence: 1, timestamp: 1, ssrc: 7 }), Uint8Array.of(1, 2, 3));
  await other.send(theirs, media);
  const [copy] = await rtp.inbox.until((items) => items.length === 1);
  expect(copy!.subarray(12)).toEqual(Uint8Array.of(1, 2, 3));
  expect(rtcp.inbox.items).toHaveLength(1);

  relay.setRtcpPort(1, stranger.address); // a later SDP names another
  relay.sendControl(1, report());
  expect(await stranger.inbox.until((items) => items.length === 1)).toEqual([report()]);
  relay.setRtcpPort(1, undefined);
  relay.sendControl(1, report());
  expect((await rtp.inbox.until((items) => items.length === 2)).at(-1)).toEqual(report());
});
