/** Headless Chromium as a softphone: JsSIP over WebSocket, the browser's WebRTC, and what it decodes judged in the page. */
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { build } from 'vite';
import type { Colour } from './colour.js';
import { SHARE } from './colour.js';
import { openBrowser } from './page.js';
import { until } from './running-switch.js';

/** Media between tabs and switch on loopback, tones without a click, and timers that run though nobody looks. */
const FLAGS = [
  '--ignore-certificate-errors', // a certificate of the test's own authority is no event at the switch then
  '--allow-loopback-in-peer-connection',
  '--disable-features=WebRtcHideLocalIpsWithMdns,LocalNetworkAccessChecks',
  '--autoplay-policy=no-user-gesture-required',
  '--disable-background-timer-throttling',
  '--disable-renderer-backgrounding',
  '--disable-backgrounding-occluded-windows',
];

export const openPhoneBrowser = (): Promise<Browser> => openBrowser(FLAGS);

let bundled: Promise<string> | undefined;

/** The page's script, made once. */
function script(): Promise<string> {
  bundled ??= (async () => {
    const entry = fileURLToPath(new URL('browser/phone.js', import.meta.url));
    const lib = { entry, formats: ['iife' as const], name: 'page' };
    const made = await build({ configFile: false, logLevel: 'error', build: { write: false, minify: false, lib } });
    const [output] = Array.isArray(made) ? made : [];
    const chunk = output?.output[0];
    if (chunk === undefined) throw new Error('the page was not bundled');
    return chunk.code;
  })();
  return bundled;
}

export interface PhoneState {
  readonly log: readonly string[];
  readonly registered: boolean;
  readonly ended: string | undefined;
  readonly offers: number;
  readonly sdp: readonly { readonly originator: string; readonly type: string; readonly sdp: string }[];
  readonly ice: string | undefined;
  readonly dtls: string | undefined;
}

export interface PhoneOptions {
  readonly wssPort: number;
  readonly name: string;
  readonly hertz: number;
  /** Undefined: no video. */
  readonly colour?: Colour;
  /** Registers. */
  readonly password?: string;
  readonly bundlePolicy?: 'balanced' | 'max-compat' | 'max-bundle';
  /** Where the page comes from; default: the switch's own host. */
  readonly origin?: string;
}

export interface ChromiumPhone {
  readonly page: Page;
  readonly call: (target: string) => Promise<void>;
  readonly hangup: () => Promise<void>;
  readonly hold: (on: boolean) => Promise<void>;
  /** How loud its tone is, 0 to 1; it begins at 0.25. */
  readonly speak: (gain: number) => Promise<void>;
  readonly state: () => Promise<PhoneState>;
  /** What it decoded last is this tone, this picture; rejects with what it knows. */
  readonly hears: (hertz: number) => Promise<void>;
  readonly sees: (colour: Colour) => Promise<void>;
  /** Nothing is heard at all. */
  readonly isSilent: () => Promise<void>;
  /** Of SRTP, as the browser's DTLS agreed it. */
  readonly cipher: () => Promise<string>;
  /** What is sent and received: `audio/opus`. */
  readonly codecs: () => Promise<readonly string[]>;
  readonly close: () => Promise<void>;
}

export async function chromiumPhone(browser: Browser, options: PhoneOptions): Promise<ChromiumPhone> {
  const { wssPort, name, hertz, colour, password, bundlePolicy, origin = 'https://127.0.0.1' } = options;
  const context = await browser.newContext({ permissions: ['microphone', 'camera'] });
  const page = await context.newPage();
  // No server: the page is where its address says, and the browser sends that as its origin.
  await page.route(`${origin}/`, (route) =>
    route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>phone</title><body>' }),
  );
  const said: string[] = [];
  page.on('console', (message) => said.push(message.text()));
  await page.goto(`${origin}/`);
  await page.addScriptTag({ content: await script() });
  const ask = <T>(expression: string): Promise<T> => page.evaluate(`window.phone.${expression}`);
  const wss = `wss://127.0.0.1:${wssPort}/`;
  await ask(`start(${JSON.stringify({ wss, name, password, hertz, rgb: colour?.rgb, bundlePolicy })})`);
  const state = (): Promise<PhoneState> => ask('state()');
  const perceives = async (what: string, enough: number, expression: string): Promise<void> => {
    let share = 0;
    try {
      const judged = async (): Promise<boolean> => {
        share = await ask<number>(expression);
        return share > enough;
      };
      await until(`${name} ${what}`, judged, 20_000);
    } catch (error) {
      const { sdp, ...rest } = await state();
      const stats = await ask<unknown>('stats()');
      const told = JSON.stringify({ share, ...rest, said, stats }, undefined, 1);
      throw new Error(
        `${String(error)}\n${told}\n${sdp.map((one) => `${one.originator} ${one.type}\n${one.sdp}`).join('\n')}`,
      );
    }
  };
  return {
    page,
    call: (target) => ask(`call(${JSON.stringify(target)})`),
    hangup: () => ask('hangup()'),
    hold: (on) => ask(`hold(${on})`),
    speak: (gain) => ask(`speak(${gain})`),
    state,
    isSilent: () => until(`${name} hears nothing`, async () => (await ask<number>('loudness()')) < 1e-4, 20_000),
    hears: (wanted) => perceives(`hears ${wanted} Hz`, 0.9, `hears(${wanted})`),
    sees: (wanted) => perceives(`sees ${wanted.name}`, SHARE, `sees(${JSON.stringify(wanted.rgb)})`),
    cipher: () => ask('cipher()'),
    codecs: () => ask('codecs()'),
    close: () => context.close(),
  };
}
