/** Peers that speak ICE, over real sockets: the switch is lite, they check, nominate, move and restart. */
import { afterEach, describe, expect, it } from 'vitest';
import type { CallOptions } from '../../src/endpoint/index.js';
import { type Caller, dial } from '../support/caller.js';
import { type IceGateway, iceGateway } from '../support/ice-gateway.js';
import { type RunningSwitch, startSwitch, until } from '../support/running-switch.js';

let host: RunningSwitch | undefined;
let gateway: IceGateway | undefined;
afterEach(async () => {
  await host?.stop();
  await gateway?.close();
  host = gateway = undefined;
});

const count = ({ received }: Caller): number => received.length;

type Security = NonNullable<CallOptions['security']>;

async function callers(security: Security, policy: string): Promise<readonly [Caller, Caller, IceGateway]> {
  host = await startSwitch({ 'conferences-policy': policy });
  const through = await iceGateway({ switchPort: host.running.sip.port });
  gateway = through;
  const ann = await dial({ target: through.target('8000'), caPem: through.caPem }, { name: 'ann', security });
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
});
