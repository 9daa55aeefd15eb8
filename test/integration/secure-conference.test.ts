import { createSocket } from 'node:dgram';
import { afterEach, describe, expect, it } from 'vitest';
import { equalBytes } from '../../src/base/bytes.js';
import { type Caller, dial } from '../support/caller.js';
import { type RunningSwitch, startSwitch, until } from '../support/running-switch.js';

let host: RunningSwitch | undefined;
afterEach(async () => {
  await host?.stop();
  host = undefined;
});

/** Every payload that `to` received from `from` is one that `from` sent under that SSRC and sequence number. */
function mismatches(from: Caller, to: Caller): number {
  const sent = new Map(from.sent.map((p) => [`${p.ssrc}/${p.sequence}`, p.payload]));
  const ssrcs = new Set(from.sent.map((p) => p.ssrc));
  return to.received.filter((rtp) => {
    const original = sent.get(`${rtp.ssrc}/${rtp.sequence}`);
    return ssrcs.has(rtp.ssrc) && (original === undefined || !equalBytes(original, rtp.payload));
  }).length;
}

const from = (caller: Caller, media: 'audio' | 'video', of: Caller): number => {
  const ssrcs = new Set(of.sent.map((p) => p.ssrc));
  return caller.received.filter((rtp) => rtp.media === media && ssrcs.has(rtp.ssrc)).length;
};

describe('a secure conference of three endpoints', () => {
  it('brings everybody the others’ media unaltered, and nobody their own', async () => {
    host = await startSwitch();
    const to = { target: host.target('8000'), caPem: host.caPem };
    const room = await dial(to, { name: 'room', screens: 3, energy: () => 20 });
    const alice = await dial(to, { name: 'alice', energy: () => 80 });
    const bob = await dial(to, { name: 'bob', energy: () => 5 });
    const all = [room, alice, bob];
    await Promise.all(all.map((c) => c.call.ready));
    // Alice is the loudest: everybody else sees her; she sees the one before her, who filled the displays till then.
    await until('alice on both other screens, and alice sees somebody', () => {
      const seen = from(room, 'video', alice) > 50 && from(bob, 'video', alice) > 50;
      return seen && alice.received.filter((r) => r.media === 'video').length > 50;
    });
    await until('audio both ways', () => from(bob, 'audio', room) > 20 && from(room, 'audio', alice) > 20);
    expect(host.running.conferenceLevel('8000')).toBe('end-to-end');
    for (const a of all) {
      for (const b of all) expect(a === b ? from(a, 'audio', a) + from(a, 'video', a) : mismatches(a, b)).toBe(0);
      const { drops } = a.call.status();
      expect({ auth: drops.auth_failed ?? 0, replayed: drops.replayed ?? 0 }).toEqual({ auth: 0, replayed: 0 });
    }
    // One-screen endpoints have a center only.
    for (const c of [alice, bob]) expect(new Set(c.received.map((r) => r.sink))).toEqual(new Set([1]));
    const { drops } = host.running.counters();
    expect({ below: drops.below_level, auth: drops.auth_failed, owned: drops.ssrc_owned }).toEqual({
      below: 0,
      auth: 0,
      owned: 0,
    });
    await Promise.all(all.map((c) => c.call.hangup()));
    await until('the conference ends with its last member', () => host?.running.conferenceLevel('8000') === undefined);
  });

  it('changes the picture when another becomes the loudest', async () => {
    host = await startSwitch();
    const to = { target: host.target('8000'), caPem: host.caPem };
    let loud = 'alice';
    const alice = await dial(to, { name: 'alice', energy: () => (loud === 'alice' ? 80 : 5) });
    const bob = await dial(to, { name: 'bob', energy: () => (loud === 'bob' ? 80 : 5) });
    const carol = await dial(to, { name: 'carol', energy: () => 5 });
    await Promise.all([alice, bob, carol].map((c) => c.call.ready));
    await until('carol sees alice', () => from(carol, 'video', alice) > 30);
    loud = 'bob';
    await until('carol sees bob', () => from(carol, 'video', bob) > 30);
    // A switch-over takes effect at a refresh point (S3): the first packet of bob that carol got opens an IDR.
    const first = carol.received.find((r) => r.media === 'video' && bob.sent.some((s) => s.ssrc === r.ssrc))!;
    const nalType = first.payload[0]! & 0x1f;
    expect([7, 24]).toContain(nalType); // SPS, or a STAP-A that begins with one (RFC 6184 §5.7.1)
    if (nalType === 24) expect(first.payload[3]! & 0x1f).toBe(7);
  });

  it('goes on for the others when one endpoint is killed', async () => {
    host = await startSwitch();
    const to = { target: host.target('8000'), caPem: host.caPem };
    const alice = await dial(to, { name: 'alice', energy: () => 80 });
    const bob = await dial(to, { name: 'bob' });
    const carol = await dial(to, { name: 'carol' });
    await Promise.all([alice, bob, carol].map((c) => c.call.ready));
    await until('bob sees alice', () => from(bob, 'video', alice) > 10);
    alice.call.kill();
    await until('bob sees carol instead', () => from(bob, 'video', carol) > 30);
    expect(host.running.conferenceLevel('8000')).toBe('end-to-end');
    expect([bob.call.status().ready, carol.call.status().ready]).toEqual([true, true]);
  });

  it('is not changed by a stranger’s datagrams on its ports', async () => {
    host = await startSwitch();
    const to = { target: host.target('8000'), caPem: host.caPem };
    const ports = new Set<number>();
    const onDatagram = (_: unknown, remote: { port: number }): void => void ports.add(remote.port);
    const alice = await dial(to, { name: 'alice', energy: () => 80, onDatagram });
    const bob = await dial(to, { name: 'bob', onDatagram });
    await Promise.all([alice.call.ready, bob.call.ready]);
    await until('bob sees alice', () => from(bob, 'video', alice) > 10);
    const stranger = createSocket('udp4');
    const heard: number[] = [];
    stranger.on('message', (m) => heard.push(m.length));
    const junk = [
      Buffer.from([22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0]), // the beginning of a ClientHello
      Buffer.concat([Buffer.from([0x81, 0xe0]), Buffer.alloc(200, 7)]),
      Buffer.concat([Buffer.from([0x81, 204, 0, 8]), Buffer.alloc(60, 9)]),
      Buffer.from([21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40]), // a plaintext fatal alert
      Buffer.alloc(0),
    ];
    const before = host.running.counters().verified;
    for (let i = 0; i < 50; i++)
      for (const port of ports) for (const bytes of junk) stranger.send(bytes, port, '127.0.0.1');
    const mark = from(bob, 'video', alice);
    await until('media goes on', () => from(bob, 'video', alice) > mark + 50);
    expect(host.running.counters().verified).toBeGreaterThan(before);
    expect(heard).toEqual([]);
    expect(mismatches(alice, bob)).toBe(0);
    expect(host.events).toEqual([]);
    stranger.close();
  });
});
