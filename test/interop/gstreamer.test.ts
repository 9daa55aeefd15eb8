/**
 * GStreamer pipelines in a conference with each other and with others: the tone and the colour of what they decode are those of
 * who sends.
 */
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Switch } from '../../src/server/switch.js';
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

async function gst(name: string, security: GstSecurity, hertz: number, colour: Colour): Promise<GstCaller> {
  const target = `sip:lobby@127.0.0.1:${running.sip.port};transport=tls`;
  const folder = place.file(name);
  const caller = await gstCaller({ name, folder, target, caPem: place.root.pem, security, hertz, colour });
  callers.push(caller);
  return caller;
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
