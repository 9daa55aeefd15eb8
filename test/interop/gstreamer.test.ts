/**
 * GStreamer pipelines in a conference with each other and with others: the tone and the colour of what they decode are those of
 * who sends.
 */
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Switch } from '../../src/server/switch.js';
import { splitCompound } from '../../src/wire/rtcp.js';
import { type Caller, dial } from '../support/caller.js';
import { BLUE, type Colour, PURPLE, RED, YELLOW } from '../support/colour.js';
import { makePlace, type Place } from '../support/configured-switch.js';
import { colourInput, decoded, toneInput } from '../support/decoded.js';
import { type GstCaller, type GstOptions, type GstSecurity, gstCaller } from '../support/gstreamer.js';
import { describeWithPeers } from '../support/peers.js';
import { issue, put } from '../support/pki.js';
import { killPrograms } from '../support/programs.js';
import { until } from '../support/running-switch.js';
import { baresip, hasHeard, hears, linphonec, sees as seesOn } from '../support/softphones.js';

/** Starting a pipeline takes its time on a loaded machine; each wait inside has its own limit. */
const LIMIT_MS = 90_000;

let place: Place;
let running: Switch;
const callers: GstCaller[] = [];
const endpoints: Caller[] = [];

beforeEach(async () => {
  place = await makePlace();
});
afterEach(async () => {
  for (const caller of callers.splice(0)) caller.close();
  for (const { call } of endpoints.splice(0)) call.kill();
  killPrograms();
  await place.close();
});

async function gst(
  name: string,
  security: GstSecurity,
  hertz: number,
  colour: Colour,
  more: Pick<GstOptions, 'rtcpApart' | 'picture'> = {},
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

/**
 * From here on every packet verifies. @param fromTheStart and did before: dtlssrtpenc begins with a key of chance (its
 * srtpenc's `random-key`), and what slips out under it before the handshake's key is there is nobody's to open.
 */
async function nothingIsRefused(fromTheStart: boolean): Promise<void> {
  const before = running.counters();
  if (fromTheStart) expect(before.drops.auth_failed).toBe(0);
  await until('more media', () => running.counters().verified > before.verified + 100);
  expect(running.counters().drops.auth_failed).toBe(before.drops.auth_failed);
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
      await nothingIsRefused(a !== 'dtls');
    },
    LIMIT_MS,
  );
});

/** An EKT endpoint with a tone and a colour of its own. */
async function ekt(hertz: number, colour: Colour): Promise<Caller> {
  const target = `sips:lobby@127.0.0.1:${running.sip.port}`;
  const media = { audio: [toneInput(place.folder, hertz)], video: [colourInput(place.folder, colour)] };
  const caller = await dial({ target, caPem: place.root.pem }, { name: 'ekt', ...media });
  endpoints.push(caller);
  await caller.call.ready;
  return caller;
}

/** What it has of the one other source there is, from now on. */
async function ektPerceives({ received }: Caller, hertz: number, colour: Colour): Promise<void> {
  const since = received.length;
  const count = (media: string): number => received.slice(since).filter((rtp) => rtp.media === media).length;
  await until('the EKT endpoint has two seconds', () => count('audio') > 100 && count('video') > 30, 20_000);
  const { hears: hearsTone, sees } = decoded(place.folder, received.slice(since));
  expect([hearsTone(hertz), sees(colour)]).toEqual([true, true]);
}

describeWithPeers('GStreamer and an EKT endpoint in a best-effort conference', ['gst-launch-1.0', 'ffmpeg'], () => {
  it.each([
    ['dtls', 'hop-by-hop'],
    ['sdes', 'hop-by-hop'],
    ['plain', 'none'],
  ] as const)(
    '%s: each hears and sees the other, at %s',
    async (security, level) => {
      running = await place.start('[conferences]\npolicy = "best-effort"');
      const secure = await ekt(1_700, YELLOW);
      await until('end-to-end', () => running.conferenceLevel('lobby') === 'end-to-end');
      const pipeline = await gst('pipeline', security, 440, RED);
      await perceives('the pipeline', pipeline, 1_700, YELLOW);
      expect(running.conferenceLevel('lobby')).toBe(level);
      await ektPerceives(secure, 440, RED);
    },
    LIMIT_MS,
  );

  it(
    'all kinds together: everybody hears and sees one of the others',
    async () => {
      running = await place.start('[conferences]\npolicy = "best-effort"');
      await ekt(1_700, YELLOW);
      const kinds = [
        { name: 'low', security: 'dtls', hertz: 440, colour: RED },
        { name: 'middle', security: 'sdes', hertz: 700, colour: PURPLE },
        { name: 'high', security: 'plain', hertz: 1_000, colour: BLUE },
      ] as const;
      const all: GstCaller[] = [];
      for (const { name, security, hertz, colour } of kinds) all.push(await gst(name, security, hertz, colour));
      const tones = [{ hertz: 1_700, colour: YELLOW }, ...kinds];
      for (const [i, caller] of all.entries()) {
        const others = tones.filter(({ hertz }) => hertz !== kinds[i]!.hertz);
        await until(`${kinds[i]!.name} hears`, () => others.some(({ hertz }) => caller.hears(hertz)), 20_000);
        await until(`${kinds[i]!.name} sees`, () => others.some(({ colour }) => caller.sees(colour)), 20_000);
        expect([caller.hears(kinds[i]!.hertz), caller.sees(kinds[i]!.colour)]).toEqual([false, false]);
      }
      expect(running.conferenceLevel('lobby')).toBe('none');
    },
    LIMIT_MS,
  );
});

describeWithPeers('GStreamer and baresip', ['gst-launch-1.0', 'baresip'], () => {
  it.each([
    ['dtls', 'srtp-mand', 'best-effort'],
    ['sdes', 'dtls_srtp', 'best-effort'],
    ['plain', undefined, 'non-secure'],
  ] as const)(
    '%s and %s hear each other in a %s conference',
    async (security, encryption, policy) => {
      running = await place.start(`[conferences]\npolicy = "${policy}"`);
      const pipeline = await gst('pipeline', security, 440, RED);
      const phone = baresip(place, 'phone', `sip:lobby@127.0.0.1:${running.sip.port}`, 1_000, encryption);
      await hears('baresip', phone, 440);
      await until('the pipeline hears baresip', () => pipeline.hears(1_000), 20_000);
      expect(running.conferenceLevel('lobby')).toBe(policy === 'non-secure' ? 'none' : 'hop-by-hop');
    },
    LIMIT_MS,
  );

  it.each([
    ['plain RTP', undefined, 'plain', 'non-secure'],
    ['keys in SDP', 'srtp-mand', 'sdes', 'best-effort'],
  ] as const)(
    'baresip without rtcp-mux, %s: RTCP apart, and both hear each other',
    async (_, encryption, security, policy) => {
      running = await place.start(`[conferences]\npolicy = "${policy}"`);
      const pipeline = await gst('pipeline', security, 440, RED);
      const to = `sip:lobby@127.0.0.1:${running.sip.port}`;
      const phone = baresip(place, 'phone', to, 1_000, encryption, { rtcpMux: false });
      await hears('baresip', phone, 440);
      await until('the pipeline hears baresip', () => pipeline.hears(1_000), 20_000);
      const { drops, verified } = running.counters();
      expect(verified).toBeGreaterThan(50);
      // baresip opens its pinhole (RTCP APP "PINGPONG") in clear, before its keys are set: that one is refused.
      expect(drops.malformed).toBeLessThanOrEqual(encryption === undefined ? 0 : 1);
      expect(drops).toMatchObject({ unknown_protocol: 0, unknown_source: 0, auth_failed: 0 });
    },
    LIMIT_MS,
  );
});

describeWithPeers('GStreamer and baresip with a picture', ['gst-launch-1.0', 'baresip', 'ffmpeg'], () => {
  it.each([
    ['dtls', 'srtp-mand'],
    ['sdes', 'dtls_srtp'],
  ] as const)(
    '%s and %s: baresip hears and sees the pipeline',
    async (security, encryption) => {
      running = await place.start('[conferences]\npolicy = "best-effort"');
      await gst('pipeline', security, 440, RED, { picture: 'VP8' });
      const to = `sip:lobby@127.0.0.1:${running.sip.port}`;
      const phone = baresip(place, 'phone', to, 1_000, encryption, { video: true });
      await hears('baresip', phone, 440);
      await seesOn(place, 'baresip', phone, RED);
      expect(running.conferenceLevel('lobby')).toBe('hop-by-hop');
    },
    LIMIT_MS,
  );
});

describeWithPeers('GStreamer and linphonec', ['gst-launch-1.0', 'linphonec'], () => {
  it.each([
    ['dtls', 'srtp', 'best-effort'],
    ['sdes', 'dtls', 'best-effort'],
    ['plain', 'none', 'non-secure'],
  ] as const)(
    '%s and %s hear each other in a %s conference',
    async (security, encryption, policy) => {
      running = await place.start(`[conferences]\npolicy = "${policy}"`);
      const pipeline = await gst('pipeline', security, 440, RED);
      // linphonec looks for a literal address in the common name only, and only where there are no alternative names.
      const named = await issue(place.root, { cn: '127.0.0.1' });
      put(place.folder, 'tls/server.pem', named.pem);
      put(place.folder, 'tls/key.pem', named.keyPem);
      expect(running.reloadCertificates()).toBe(true);
      const to = `sip:lobby@127.0.0.1:${running.sip.port};transport=tls`;
      const phone = await linphonec(place, to, 700, encryption);
      await until('the pipeline hears linphonec', () => pipeline.hears(700), 20_000);
      await hasHeard(phone, 440);
    },
    LIMIT_MS,
  );
});
