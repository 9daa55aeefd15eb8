/**
 * GStreamer pipelines in a conference with each other and with others: the tone and the colour of what they decode are those of
 * who sends.
 */
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Switch } from '../../src/server/switch.js';
import { splitCompound } from '../../src/wire/rtcp.js';
import { BLUE, type Colour, RED } from '../support/colour.js';
import { makePlace, type Place } from '../support/configured-switch.js';
import { type GstCaller, type GstSecurity, gstCaller } from '../support/gstreamer.js';
import { describeWithPeers } from '../support/peers.js';
import { killPrograms } from '../support/programs.js';
import { until } from '../support/running-switch.js';

/** Starting a pipeline takes its time on a loaded machine; each wait inside has its own limit. */
const LIMIT_MS = 90_000;

let place: Place;
let running: Switch;
const callers: GstCaller[] = [];

beforeEach(async () => {
  place = await makePlace();
});
afterEach(async () => {
  for (const caller of callers.splice(0)) caller.close();
  killPrograms();
  await place.close();
});

async function gst(
  name: string,
  security: GstSecurity,
  hertz: number,
  colour: Colour,
  more: { readonly rtcpApart?: boolean } = {},
): Promise<GstCaller> {
  const target = `sip:lobby@127.0.0.1:${running.sip.port};transport=tls`;
  const folder = place.file(name);
  const caPem = place.root.pem;
  const caller = await gstCaller({ name, folder, target, caPem, security, hertz, colour, ...more });
  callers.push(caller);
  return caller;
}

/** RFC 3550 §12.1, RFC 4585 §6.1. */
const [SR, RR, PSFB] = [200, 201, 206] as const;

function typesOf(compound: Uint8Array): number[] {
  const packets = splitCompound(compound, { reducedSize: true });
  return packets.ok ? packets.value.map((packet) => packet[1]!) : [];
}

async function perceives(who: string, caller: GstCaller, hertz: number, colour: Colour): Promise<void> {
  try {
    await until(`${who} hears ${hertz} Hz`, () => caller.hears(hertz), 20_000);
    await until(`${who} sees ${colour.name}`, () => caller.sees(colour), 20_000);
  } catch (error) {
    const said = caller.programs.map(({ output }) => output.text.slice(-2_000));
    throw new Error(`${String(error)}\n${said.join('\n')}`);
  }
}

describeWithPeers('GStreamer with RTCP on ports of its own', ['gst-launch-1.0'], () => {
  it(
    'hears and sees, gets our reports and is asked for its picture there; its reports and its PLI are heard',
    async () => {
      running = await place.start('[conferences]\npolicy = "non-secure"');
      const low = await gst('low', 'plain', 440, RED, { rtcpApart: true });
      const high = await gst('high', 'plain', 1_000, BLUE, { rtcpApart: true });
      await perceives('low', low, 1_000, BLUE);
      await perceives('high', high, 440, RED);
      const has = (caller: GstCaller, by: 'switch' | 'pipeline', type: number, kind = 'video'): boolean =>
        caller.rtcp.some((one) => one.kind === kind && one.by === by && typesOf(one.bytes).includes(type));
      await until('RR of the pipeline', () => has(low, 'pipeline', RR, 'audio') || has(low, 'pipeline', SR, 'audio'));
      await until('SR to the pipeline', () => has(low, 'switch', SR) && has(low, 'switch', SR, 'audio'));
      await until('RR to the pipeline', () => has(low, 'switch', RR) && has(low, 'switch', RR, 'audio'));
      // It is asked for a picture when it is first shown, too: what is lost now is asked for anew.
      const since = [low.rtcp.length, high.rtcp.length] as const;
      low.lose(3);
      const after = (caller: GstCaller, from: number, by: 'switch' | 'pipeline'): boolean =>
        caller.rtcp.slice(from).some((one) => one.by === by && typesOf(one.bytes).includes(PSFB));
      await until('PLI of the pipeline', () => after(low, since[0], 'pipeline'));
      await until('PLI to who sends the picture', () => after(high, since[1], 'switch'));
      expect(running.counters().drops).toMatchObject({ unknown_protocol: 0, unknown_source: 0, malformed: 0 });
    },
    LIMIT_MS,
  );
});

describeWithPeers('GStreamer in a best-effort conference', ['gst-launch-1.0'], () => {
  it.each([
    ['dtls', 'dtls', 'hop-by-hop'],
    ['sdes', 'sdes', 'hop-by-hop'],
    ['dtls', 'sdes', 'hop-by-hop'],
    ['plain', 'plain', 'none'],
  ] as const)(
    '%s and %s: each hears and sees the other, at %s',
    async (a, b, level) => {
      running = await place.start('[conferences]\npolicy = "best-effort"');
      const low = await gst('low', a, 440, RED);
      const high = await gst('high', b, 1_000, BLUE);
      await perceives('low', low, 1_000, BLUE);
      await perceives('high', high, 440, RED);
      expect(running.conferenceLevel('lobby')).toBe(level);
      expect(running.counters().drops.auth_failed).toBe(0);
    },
    LIMIT_MS,
  );
});
