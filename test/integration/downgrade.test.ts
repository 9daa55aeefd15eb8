/** A best-effort conference over real sockets: who is told what, when, and what is on the wire (C4, C5, C7, C10). */
import { afterEach, describe, expect, it } from 'vitest';
import { type Caller, dial } from '../support/caller.js';
import { type RunningSwitch, startSwitch, until } from '../support/running-switch.js';

let host: RunningSwitch | undefined;
afterEach(async () => {
  await host?.stop();
  host = undefined;
});

const codes = () => host!.events.map((event) => event.code);
const hears = (caller: Caller, from: number) => caller.received.length > from + 20;
/** A datagram that is RTP without a tag or an encrypted payload cannot be told by its bytes; its payload can. */
const payloadsOf = (...callers: readonly Caller[]) =>
  new Set(callers.flatMap(({ sent }) => sent.map(({ payload }) => Buffer.from(payload).toString('hex'))));

describe('a plain RTP caller in a best-effort conference at end-to-end', () => {
  it('lowers it: the event, the icons, the re-INVITEs, then media in clear; nothing before', async () => {
    host = await startSwitch({ 'conferences-policy': 'best-effort' });
    const to = { target: host.target('8000'), caPem: host.caPem };
    const wire: { readonly at: number; readonly bytes: Uint8Array }[] = [];
    const moved: { readonly who: string; readonly to: string; readonly at: number }[] = [];
    const member = (name: string) =>
      dial(to, {
        name,
        onMoved: (security) => void moved.push({ who: name, to: security, at: performance.now() }),
        ...(name === 'ann' ? { onDatagram: (_, __, bytes) => void wire.push({ at: performance.now(), bytes }) } : {}),
      });
    const ann = await member('ann');
    const ben = await member('ben');
    await Promise.all([ann.call.ready, ben.call.ready]);
    await until('media at end-to-end', () => hears(ann, 0) && hears(ben, 0));
    expect(host.running.conferenceLevel('8000')).toBe('end-to-end');
    expect(codes()).toEqual([]);

    const guest = await dial(to, { name: 'guest', security: 'plain' });
    expect(codes()).toEqual(['conference-downgraded']);
    expect(host.running.conferenceLevel('8000')).toBe('none');
    expect(host.events[0]).toMatchObject({
      from: 'end-to-end',
      to: 'none',
      endpoint: expect.stringContaining('guest'),
    });
    expect(host.events[0]!.members).toHaveLength(2);
    await until('both are told and have moved', () => moved.length === 2);
    expect(ann.call.status().icon).toBe(false);
    expect(ben.call.status().icon).toBe(false);
    const from = [ann, ben, guest].map(({ received }) => received.length);
    await until('everybody hears on', () => [ann, ben, guest].every((caller, i) => hears(caller, from[i]!)));

    // What left Ann's sockets before she had answered the re-INVITE shows none of the payloads that were put in.
    const plain = payloadsOf(ann, ben, guest);
    const annMoved = moved.find(({ who }) => who === 'ann')!.at;
    const clear = (bytes: Uint8Array) => plain.has(Buffer.from(bytes.subarray(16)).toString('hex'));
    expect(wire.filter(({ at, bytes }) => at < annMoved && clear(bytes))).toEqual([]);
    expect(wire.filter(({ at, bytes }) => at > annMoved && clear(bytes)).length).toBeGreaterThan(20);
    expect(host.running.counters().drops.below_level).toBe(0);
    expect(codes()).toEqual(['conference-downgraded']);
  });

  it('a member that refuses the re-INVITE is dropped, and the others go on', async () => {
    host = await startSwitch({ 'conferences-policy': 'best-effort' });
    const to = { target: host.target('8000'), caPem: host.caPem };
    const ann = await dial(to, { name: 'ann', refuseDowngrade: true });
    const ben = await dial(to, { name: 'ben' });
    await Promise.all([ann.call.ready, ben.call.ready]);
    const guest = await dial(to, { name: 'guest', security: 'plain' });
    const end = await ann.call.ended;
    expect(end.cause).toMatch(/^SIP;cause=488;text=".*refused/);
    await until('the others hear each other', () => hears(guest, 0) && ben.call.status().icon === false);
    expect(codes()).toEqual(['conference-downgraded', 'member-lost']);
  });

  it('goes back up when the low endpoint has left, where the operator wants it (C7)', async () => {
    host = await startSwitch({ 'conferences-policy': 'best-effort', 'conferences-restore': 'automatic' });
    const to = { target: host.target('8000'), caPem: host.caPem };
    const moved: string[] = [];
    const ann = await dial(to, { name: 'ann', onMoved: (security) => void moved.push(security) });
    const ben = await dial(to, { name: 'ben', onMoved: (security) => void moved.push(security) });
    await Promise.all([ann.call.ready, ben.call.ready]);
    const guest = await dial(to, { name: 'guest', security: 'plain' });
    await until('both have moved', () => moved.length === 2);
    const sets = host.running.groupSetsMade('8000');
    await guest.call.hangup();
    await until('back at end-to-end', () => host!.running.conferenceLevel('8000') === 'end-to-end', 30_000);
    await until('the icons', () => ann.call.status().icon === true && ben.call.status().icon === true);
    const from = [ann, ben].map(({ received }) => received.length);
    await until('media at end-to-end', () => [ann, ben].every((caller, i) => hears(caller, from[i]!)));
    expect(moved.sort()).toEqual(['dtls', 'dtls', 'plain', 'plain']);
    expect(codes()).toEqual(['conference-downgraded', 'conference-restored']);
    expect(host.running.groupSetsMade('8000')).toBeGreaterThan(sets);
  });

  it('the first endpoint decides where it starts (C4); one that has DTLS is told and follows', async () => {
    host = await startSwitch({ 'conferences-policy': 'best-effort' });
    const to = { target: host.target('8000'), caPem: host.caPem };
    const guest = await dial(to, { name: 'guest', security: 'plain' });
    const ann = await dial(to, { name: 'ann' });
    await until('Ann is told and hears the guest', () => ann.call.status().icon === false && hears(ann, 0));
    await until('the guest hears Ann', () => hears(guest, 0));
    expect(codes()).toEqual(['conference-started-low']);
  });
});
