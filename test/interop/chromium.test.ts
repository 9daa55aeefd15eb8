/**
 * Headless Chromium with JsSIP, neither written here, calls by SIP over secure WebSocket: what its page decodes is the tone and
 * the colour of who sends, with every kind of endpoint at the other end.
 */
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import type { CallOptions } from '../../src/endpoint/index.js';
import type { Switch } from '../../src/server/switch.js';
import { hashCredentials } from '../../src/sip/digest.js';
import { type ChromiumPhone, chromiumPhone, openPhoneBrowser, type PhoneOptions } from '../support/chromium-phone.js';
import { BLUE, type Colour, RED, YELLOW } from '../support/colour.js';
import { makePlace, type Place } from '../support/configured-switch.js';
import { type GstCaller, type GstSecurity, gstCaller } from '../support/gstreamer.js';
import { describeWithPeers } from '../support/peers.js';
import { issue, put } from '../support/pki.js';
import { playingCaller } from '../support/playing-caller.js';
import { killPrograms, stop } from '../support/programs.js';
import { until } from '../support/running-switch.js';
import { baresip, hasHeard, hears, linphonec } from '../support/softphones.js';

/** JsSIP knows MD5 only. */
const MD5 = hashCredentials('MD5', 'ann', 'claviger', 'pw');
const CONFIG = `[conferences]
policy = "best-effort"
[registrar]
enabled = true
[digest]
algorithms = ["MD5"]
[[digest.users]]
name = "ann"
md5 = "${MD5}"
`;

const WSS = 'wssPort = 0';

describeWithPeers('Chromium over WebSocket', ['chromium', 'gst-launch-1.0', 'ffmpeg', 'baresip', 'linphonec'], () => {
  vi.setConfig({ testTimeout: 90_000 });
  let browser: Browser;
  let place: Place;
  let running: Switch;
  const phones: ChromiumPhone[] = [];
  const callers: GstCaller[] = [];
  beforeAll(async () => {
    browser = await openPhoneBrowser();
  }, 60_000);
  afterAll(() => browser.close());
  beforeEach(async () => {
    place = await makePlace();
    running = await place.start(CONFIG, '', WSS);
  });
  afterEach(async () => {
    for (const phone of phones.splice(0)) await phone.close();
    for (const caller of callers.splice(0)) caller.close();
    killPrograms();
    await place.close();
  });

  async function phone(options: Omit<PhoneOptions, 'wssPort'>): Promise<ChromiumPhone> {
    const made = await chromiumPhone(browser, { wssPort: running.sip.wssPort!, ...options });
    phones.push(made);
    return made;
  }

  it('a page of a stranger cannot call with it', async () => {
    await phone({ name: 'eve', hertz: 440, origin: 'https://evil.example' });
    await until('the switch has refused', () => place.events.some(({ code }) => code === 'origin-refused'));
    expect(place.events.find(({ code }) => code === 'origin-refused')!.cause).toContain('https://evil.example');
    expect(running.conferenceLevel('lobby')).toBeUndefined();
  });

  /** Everybody hears and sees, in whatever way it can be asked. */
  interface Party {
    readonly hears: (hertz: number) => Promise<void>;
    readonly sees: (colour: Colour) => Promise<void>;
  }

  const asked = (name: string, one: { hears(hertz: number): boolean; sees(colour: Colour): boolean }): Party => ({
    hears: (hertz) => until(`${name} hears ${hertz} Hz`, () => one.hears(hertz), 20_000),
    sees: (colour) => until(`${name} sees ${colour.name}`, () => one.sees(colour), 20_000),
  });

  const [LOW, HIGH] = [440, 1_000];
  const codes = (): string[] => place.events.map(({ code }) => code).filter((code) => code !== 'certificate-expiring');

  async function chromium(name: string, hertz: number, colour: Colour): Promise<ChromiumPhone> {
    const made = await phone({ name, hertz, colour });
    await made.call('sip:lobby@127.0.0.1');
    return made;
  }

  async function reference(
    name: string,
    security: NonNullable<CallOptions['security']>,
  ): Promise<Party & { readonly leave: () => Promise<unknown> }> {
    const to = { target: `sips:lobby@127.0.0.1:${running.sip.port}`, caPem: place.root.pem, folder: place.file(name) };
    const made = await playingCaller(to, { name, security, hertz: HIGH, colour: BLUE });
    return { ...asked(name, made), leave: () => made.caller.call.hangup() };
  }

  async function gstreamer(name: string, security: GstSecurity, hertz = HIGH, colour = BLUE): Promise<Party> {
    const target = `sip:lobby@127.0.0.1:${running.sip.port};transport=tls`;
    const folder = place.file(name);
    const made = await gstCaller({
      ...{ name, folder, target, caPem: place.root.pem, security, hertz, colour },
      // A receiver that cannot ask for a picture would have to be shown one by chance.
      ...(security === 'plain' ? { rtcpApart: true } : {}),
    });
    callers.push(made);
    return asked(name, made);
  }

  it.each([
    ['another', () => chromium('high', HIGH, BLUE), 'hop-by-hop'],
    ['the reference endpoint with EKT', () => reference('high', 'dtls'), 'hop-by-hop'],
    ['the reference endpoint with SDES', () => reference('high', 'sdes'), 'hop-by-hop'],
    ['GStreamer with DTLS-SRTP', () => gstreamer('high', 'dtls'), 'hop-by-hop'],
    ['GStreamer with plain RTP', () => gstreamer('high', 'plain'), 'none'],
  ] as const)('it and %s hear and see each other', async (_, other, level) => {
    const low = await chromium('low', LOW, RED);
    const high = await other();
    await low.hears(HIGH);
    await low.sees(BLUE);
    await high.hears(LOW);
    await high.sees(RED);
    expect(running.conferenceLevel('lobby')).toBe(level);
  });

  it('registers with digest over WebSocket, and is called: our offer is one that a browser takes', async () => {
    const ann = await phone({ name: 'ann', password: 'pw', hertz: LOW, colour: RED });
    const high = await chromium('high', HIGH, BLUE);
    await until('ann has registered', async () => (await ann.state()).registered);
    expect(running.dial({ conference: 'lobby', target: 'ann' }).ok).toBe(true);
    await ann.hears(HIGH);
    await ann.sees(BLUE);
    await high.hears(LOW);
    await high.sees(RED);
    expect(running.dialled('lobby', 1)).toMatchObject({ state: 'answered', trunk: undefined });
    expect(running.conferenceLevel('lobby')).toBe('hop-by-hop');
  });

  it.each(['dtls_srtp', 'srtp-mand', 'srtp'] as const)('it and baresip with %s hear each other', async (encryption) => {
    const low = await phone({ name: 'low', hertz: LOW });
    await low.call('sip:lobby@127.0.0.1');
    const high = baresip(place, 'high', `sip:lobby@127.0.0.1:${running.sip.port}`, HIGH, encryption);
    await low.hears(HIGH);
    await hears('high', high, LOW);
    expect(running.conferenceLevel('lobby')).toBe('hop-by-hop');
    stop(high.program);
  });

  it.each(['srtp', 'dtls'] as const)('it and linphonec with %s hear each other', async (encryption) => {
    const low = await phone({ name: 'low', hertz: LOW });
    await low.call('sip:lobby@127.0.0.1');
    // linphonec looks for a literal address in the common name only, and only where there are no alternative names.
    const named = await issue(place.root, { cn: '127.0.0.1' });
    put(place.folder, 'tls/server.pem', named.pem);
    put(place.folder, 'tls/key.pem', named.keyPem);
    expect(running.reloadCertificates()).toBe(true);
    const to = `sip:lobby@127.0.0.1:${running.sip.port};transport=tls`;
    const high = await linphonec(place, to, 700, encryption);
    await low.hears(700);
    await hasHeard(high, LOW);
  });

  it.each(['VP8', 'VP9', 'AV1'])('two of them see each other in %s', async (codec) => {
    await running.stop();
    running = await place.start(CONFIG.replace('[registrar]', `videoCodecs = ["${codec}"]\n[registrar]`), '', WSS);
    const low = await chromium('low', LOW, RED);
    const high = await chromium('high', HIGH, BLUE);
    await low.sees(BLUE);
    await high.sees(RED);
    expect(await low.codecs()).toContain(`video/${codec}`);
  });

  it('holds and goes on, by re-INVITEs of a bundle; a tab that is closed has left', async () => {
    const low = await phone({ name: 'low', hertz: LOW, colour: RED, bundlePolicy: 'max-bundle' });
    await low.call('sip:lobby@127.0.0.1');
    const high = await phone({ name: 'high', hertz: HIGH, colour: BLUE, bundlePolicy: 'max-compat' });
    await high.call('sip:lobby@127.0.0.1');
    await low.hears(HIGH);
    await low.hold(true);
    await low.isSilent();
    await low.hold(false);
    await low.hears(HIGH);
    await low.sees(BLUE);
    await high.sees(RED);
    await high.hears(LOW);
    for (const one of phones.splice(0)) await one.close();
    await until('nobody', () => running.conferenceLevel('lobby') === undefined);
  });

  it('three of them: each hears and sees who is loudest, in one stream that goes over from one to the other', async () => {
    const low = await chromium('low', LOW, RED);
    const high = await chromium('high', HIGH, BLUE);
    const third = await chromium('third', 1_700, YELLOW);
    for (const [speaks, hertz, colour] of [
      [high, HIGH, BLUE],
      [third, 1_700, YELLOW],
      [high, HIGH, BLUE],
    ] as const) {
      for (const one of [high, third]) await one.speak(one === speaks ? 0.5 : 0);
      await low.speak(0);
      await low.hears(hertz);
      await low.sees(colour);
    }
  });

  it('lowers an end-to-end conference to hop-by-hop, and keeps SRTP when a plain one lowers it to none', async () => {
    const ann = await reference('ann', 'dtls');
    await until('end-to-end', () => running.conferenceLevel('lobby') === 'end-to-end');
    const low = await phone({ name: 'low', hertz: LOW, colour: RED });
    await low.call('sip:lobby@127.0.0.1');
    await until('hop-by-hop', () => running.conferenceLevel('lobby') === 'hop-by-hop');
    await low.hears(HIGH);
    await ann.sees(RED);
    const plain = await gstreamer('plain', 'plain', 1_700, YELLOW);
    await until('none', () => running.conferenceLevel('lobby') === 'none');
    await ann.leave();
    await low.hears(1_700);
    await low.sees(YELLOW);
    await plain.sees(RED);
    expect(await low.cipher()).toBe('SRTP_AES128_CM_HMAC_SHA1_80');
    expect(codes()).toEqual(['endpoint-not-capable', 'conference-downgraded', 'conference-downgraded']);
    await low.hangup();
    await until('the page hears of the end', async () => (await low.state()).ended !== undefined);
  });
});
