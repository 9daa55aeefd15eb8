/** Connections that the switch opens to trunk peers: pings, pongs, and what a dead one means for its calls (RFC 5626 §4.4.1). */
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Switch } from '../../src/server/switch.js';
import { freePort, makePlace, type Place } from '../support/configured-switch.js';
import { issue } from '../support/pki.js';
import { until } from '../support/running-switch.js';
import { openSipPeer, plainAnswer, type SipPeer } from '../support/sip-peer.js';

let place: Place;
let running: Switch;
let peer: SipPeer;

beforeEach(async () => {
  place = await makePlace();
});
afterEach(async () => {
  await place.close();
  await peer.close();
});

/** A switch with a call that the peer answered with plain RTP. */
async function withCall(pongs: () => boolean, timeoutMs: number): Promise<void> {
  const identity = await issue(place.root, { cn: 'peer.example', names: ['127.0.0.1'] });
  peer = await openSipPeer({
    transport: 'tls',
    tls: { identity, ca: place.root.pem },
    get pongs() {
      return pongs();
    },
    reply: (request) => (request.startsWith('INVITE') ? plainAnswer(request, 'tls') : undefined),
  });
  const trunk = `[[trunks]]\nname = "peer"\nport = ${await freePort()}\nx509Names = ["peer.example"]\npeers = ["127.0.0.1:${peer.port}"]\n`;
  running = await place.start(`[conferences]\npolicy = "non-secure"\n${trunk}`, '', '', {
    keepAlive: { intervalMs: 200, timeoutMs },
  });
  running.dial({ conference: 'board', target: '4711' });
  await until('the answer', () => running.dialled('board', 1)?.state === 'answered');
}

const unreachable = () => place.events.filter((e) => e.code === 'peer-unreachable');

it('a peer that answered pings and does not any more is dead: the connection and its calls end, and the operator is told', async () => {
  let alive = true;
  await withCall(() => alive, 1_000);
  await until('pings that are answered', () => peer.pings >= 3);
  expect(running.conferenceLevel('board')).toBe('none');
  expect(peer.sockets).toHaveLength(1);
  alive = false;
  await until('the end of the connection', () => peer.sockets.length === 0);
  await until('the end of the call', () => running.conferenceLevel('board') === undefined);
  expect(unreachable()).toHaveLength(1);
  expect(unreachable()[0]).toMatchObject({ endpoint: `trunk peer (127.0.0.1:${peer.port})` });
  expect(unreachable()[0]!.cause).toContain('answers no keep-alive any more');
  running.dial({ conference: 'board', target: '4711' });
  await until('another connection', () => peer.sockets.length === 1);
});

it('a peer that has never answered one is asked on, and its call goes on', async () => {
  await withCall(() => false, 100);
  await until('many pings', () => peer.pings >= 3);
  expect(running.conferenceLevel('board')).toBe('none');
  expect(peer.sockets).toHaveLength(1);
  expect(unreachable()).toEqual([]);
});
