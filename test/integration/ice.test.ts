/** Peers that speak ICE, over real sockets: the switch is lite, they check, nominate, move and restart. */
import { createSocket } from 'node:dgram';
import { afterEach, describe, expect, it } from 'vitest';
import type { CallOptions } from '../../src/endpoint/index.js';
import { type Caller, dial } from '../support/caller.js';
import { clientHello } from '../support/hello.js';
import { type IceGateway, iceGateway } from '../support/ice-gateway.js';
import { type RunningSwitch, startSwitch, until } from '../support/running-switch.js';
import { check, readAnswer } from '../support/stun.js';

let host: RunningSwitch | undefined;
let gateway: IceGateway | undefined;
afterEach(async () => {
  await host?.stop();
  await gateway?.close();
  host = gateway = undefined;
});

const count = ({ received }: Caller): number => received.length;

type Security = NonNullable<CallOptions['security']>;

async function callers(
  security: Security,
  policy: string,
  bundle = false,
): Promise<readonly [Caller, Caller, IceGateway]> {
  host = await startSwitch({ 'conferences-policy': policy });
  const through = await iceGateway({ switchPort: host.running.sip.port });
  gateway = through;
  const ann = await dial({ target: through.target('8000'), caPem: through.caPem }, { name: 'ann', security, bundle });
  const ben = await dial({ target: host.target('8000'), caPem: host.caPem }, { name: 'ben', security });
  await Promise.all([ann.call.ready, ben.call.ready]);
  return [ann, ben, through];
}

describe('a peer that offers ICE', () => {
  it.each([
    ['dtls', 'secure'],
    ['dtls-srtp', 'best-effort'],
    ['sdes', 'best-effort'],
    ['plain', 'non-secure'],
  ] as const)(
    '%s: is answered as by a lite agent, heard and sent to where it has checked; and where its NAT binds anew',
    async (security, policy) => {
      const [ann, ben, { lines, fromSwitch }] = await callers(security, policy);
      expect(fromSwitch[0]).toMatch(/^a=ice-lite\r\na=ice-options:ice2\r$/m);
      await until('Ann is sent to', () => count(ann) > 20);
      await until('Ann is heard', () => count(ben) > 20);
      for (const line of lines) {
        expect(line.answers.every(({ authentic, error }) => authentic && error === undefined)).toBe(true);
        await line.rebind();
      }
      for (const line of lines) {
        await until('media follows', () => line.arrived.filter((socket) => socket === 1).length > 20);
        await until('the last answers', () => line.answers.at(-1)?.mapped?.port === line.port);
      }
      const since = [count(ann), count(ben)] as const;
      await until('both go on', () => count(ann) > since[0] + 20 && count(ben) > since[1] + 20);
      expect(host!.running.conferenceLevel('8000')).toBe(
        { secure: 'end-to-end', 'best-effort': 'hop-by-hop', 'non-secure': 'none' }[policy],
      );
    },
    60_000,
  );

  it('bundled: one transport has ICE, its checks move every line', async () => {
    const [ann, ben, { lines, fromSwitch }] = await callers('dtls-srtp', 'best-effort', true);
    const [line] = lines;
    expect(new Set(lines).size).toBe(1);
    expect(fromSwitch[0]).toMatch(/^a=group:BUNDLE /m);
    expect(fromSwitch[0]!.match(/^a=ice-ufrag:/gm)).toHaveLength(1);
    const of = ({ received }: Caller, media: 'audio' | 'video', since = 0) =>
      received.slice(since).filter((rtp) => rtp.media === media).length > 20;
    await until('both have everything', () => [ann, ben].every((c) => of(c, 'audio') && of(c, 'video')));
    await line!.rebind();
    await until('media follows', () => line!.arrived.filter((socket) => socket === 1).length > 20);
    const since = new Map([ann, ben].map((c) => [c, count(c)]));
    await until('and goes on', () =>
      [ann, ben].every((c) => of(c, 'audio', since.get(c)) && of(c, 'video', since.get(c))),
    );
  }, 60_000);

  it('an ICE restart by re-INVITE: other credentials of both, and the call goes on under them', async () => {
    const [ann, ben, { lines, restart, fromSwitch }] = await callers('dtls', 'secure');
    await until('Ann is sent to', () => count(ann) > 20);
    const before = lines.map(({ remote }) => remote!.ufrag);
    restart();
    for (const line of lines) await line.rebind();
    await ann.call.direct('sendrecv');
    for (const [i, line] of lines.entries()) {
      expect(line.remote!.ufrag).not.toBe(before[i]);
      await until('media follows', () => line.arrived.filter((socket) => socket === 1).length > 20);
    }
    expect(fromSwitch.at(-1)).toMatch(/^a=ice-lite\r$/m);
    const since = [count(ann), count(ben)] as const;
    await until('both go on', () => count(ann) > since[0] + 20 && count(ben) > since[1] + 20);
  }, 60_000);

  it('moved to plain RTP because another caller has no keys: the new ports have ICE of their own', async () => {
    const [ann, ben, { lines, fromSwitch }] = await callers('dtls', 'best-effort');
    await until('Ann is sent to', () => count(ann) > 20);
    const before = lines.map(({ remote }) => remote!.ufrag);
    const cyd = await dial({ target: host!.target('8000'), caPem: host!.caPem }, { name: 'cyd', security: 'plain' });
    await until('the conference is at none', () => host!.running.conferenceLevel('8000') === 'none');
    await until('Ann has moved', () =>
      lines.every(({ remote }, i) => remote !== undefined && remote.ufrag !== before[i]),
    );
    expect(fromSwitch.at(-1)).toMatch(/^m=audio \d+ RTP\/AVPF? /m);
    const since = [count(ann), count(ben), count(cyd)] as const;
    await until('all hear', () => [ann, ben, cyd].every((caller, i) => count(caller) > since[i]! + 20));
    for (const line of lines) {
      const heard = line.arrived.length;
      await line.rebind();
      await until('media follows', () => line.arrived.slice(heard).filter((socket) => socket === 1).length > 20);
    }
  }, 60_000);

  it('attack: who sees every check on its way, and sends them again from an address of its own, gets no media and takes none away', async () => {
    const [ann, , { lines }] = await callers('dtls', 'secure');
    const attacker = createSocket('udp4');
    const got: Buffer[] = [];
    attacker.on('message', (bytes) => got.push(bytes));
    try {
      for (const line of lines) await until('it has checked', () => line.answers.length > 3);
      const refused = host!.running.counters().drops;
      for (const line of lines) {
        const answered = line.checks.slice(0, line.answers.length);
        for (const captured of answered) line.send(captured, attacker);
        line.send(
          check({ remote: line.remote!, localUfrag: line.local.ufrag, pwd: 'made/up/by/the/attacker' }),
          attacker,
        );
        line.send(check({ remote: { ufrag: 'nobody', pwd: line.remote!.pwd }, localUfrag: 'x' }), attacker);
        line.send(clientHello(), attacker);
      }
      const drops = (name: 'replayed' | 'check_refused' | 'unknown_source') =>
        host!.running.counters().drops[name] - refused[name];
      await until(
        'all of it was seen',
        () => drops('replayed') >= 6 && drops('check_refused') >= 4 && drops('unknown_source') >= 2,
      );
      const since = count(ann);
      await until('Ann is still sent to', () => count(ann) > since + 50);
      // Two errors a line, and nothing else.
      expect(got.map((bytes) => readAnswer(bytes, '')?.error)).toEqual([401, 401, 401, 401]);
    } finally {
      attacker.close();
    }
  }, 60_000);

  it('what an ALG has rewritten: ice-mismatch is said, and the call is one without ICE', async () => {
    host = await startSwitch();
    gateway = await iceGateway({
      switchPort: host.running.sip.port,
      edit: (sdp) => sdp.replace(/^(a=candidate:.*) typ/gm, (_, head: string) => `${head.replace(/\d+$/, '9')} typ`),
    });
    const ann = await dial({ target: gateway.target('8000'), caPem: gateway.caPem }, { name: 'ann' });
    const ben = await dial({ target: host.target('8000'), caPem: host.caPem }, { name: 'ben' });
    await Promise.all([ann.call.ready, ben.call.ready]);
    expect(gateway.fromSwitch[0]).toMatch(/^a=ice-mismatch\r$/m);
    expect(gateway.fromSwitch[0]).not.toMatch(/ice-lite|ice-ufrag|candidate/);
    await until('both hear', () => count(ann) > 20 && count(ben) > 20);
    expect(gateway.lines.every(({ checks }) => checks.length === 0)).toBe(true);
  }, 60_000);
});
