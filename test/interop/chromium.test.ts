/**
 * Headless Chromium with JsSIP, neither written here, calls by SIP over secure WebSocket: what its page decodes is the tone and
 * the colour of who sends, with every kind of endpoint at the other end.
 */
import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import type { Switch } from '../../src/server/switch.js';
import { hashCredentials } from '../../src/sip/digest.js';
import { type ChromiumPhone, chromiumPhone, openPhoneBrowser, type PhoneOptions } from '../support/chromium-phone.js';
import { makePlace, type Place } from '../support/configured-switch.js';
import { describeWithPeers } from '../support/peers.js';
import { killPrograms } from '../support/programs.js';
import { until } from '../support/running-switch.js';

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

describeWithPeers('Chromium over WebSocket', ['chromium'], () => {
  vi.setConfig({ testTimeout: 90_000 });
  let browser: Browser;
  let place: Place;
  let running: Switch;
  const phones: ChromiumPhone[] = [];
  beforeAll(async () => {
    browser = await openPhoneBrowser();
  }, 60_000);
  afterAll(() => browser.close());
  beforeEach(async () => {
    place = await makePlace();
    running = await place.start(CONFIG, '', 'wssPort = 0');
  });
  afterEach(async () => {
    for (const phone of phones.splice(0)) await phone.close();
    killPrograms();
    await place.close();
  });

  async function phone(options: Omit<PhoneOptions, 'wssPort'>): Promise<ChromiumPhone> {
    const made = await chromiumPhone(browser, { wssPort: running.sip.wssPort!, ...options });
    phones.push(made);
    return made;
  }

  it('a page of a stranger cannot call with it', async () => {
    const eve = await phone({ name: 'eve', hertz: 440, origin: 'https://evil.example' });
    await eve.call('sip:lobby@127.0.0.1');
    await until('the switch has refused', () => place.events.some(({ code }) => code === 'origin-refused'));
    expect(place.events.find(({ code }) => code === 'origin-refused')!.cause).toContain('https://evil.example');
    expect(running.conferenceLevel('lobby')).toBeUndefined();
  });

  it('registers with digest over WebSocket, and can be called', async () => {
    await phone({ name: 'ann', password: 'pw', hertz: 440 });
    await until('a flow', () => running.dial({ conference: 'lobby', target: 'ann' }).ok);
  });
});
