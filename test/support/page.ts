/** The operators' page in headless Chromium, in front of an API with conferences that a test makes. */
import { type Browser, chromium, type Page } from 'playwright-core';
import type { Channel, Member, State } from '../../src/conference/contract.js';
import { createConference, reduce } from '../../src/conference/reduce.js';
import type { ConferenceView } from '../../src/control/administration.js';
import type { Level } from '../../src/security/levels.js';

/** Offline in every respect but the page itself. */
const FLAGS = [
  ...['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'],
  ...['--disable-background-networking', '--disable-component-update'],
];

/** @param flags further ones. */
export function openBrowser(flags: readonly string[] = []): Promise<Browser> {
  return chromium.launch({ executablePath: '/usr/bin/chromium', args: [...FLAGS, ...flags] });
}

export async function openPage(
  browser: Browser,
  options: { readonly url: string; readonly dark?: boolean; readonly width?: number },
): Promise<Page> {
  const context = await browser.newContext({
    ignoreHTTPSErrors: true,
    colorScheme: options.dark === true ? 'dark' : 'light',
    viewport: { width: options.width ?? 1_280, height: 900 },
  });
  const page = await context.newPage();
  await page.goto(options.url);
  return page;
}

/** A conference with members at these levels, as the API sees it. */
export function conferenceAt(name: string, levels: readonly Level[]): ConferenceView {
  const settings = { policy: 'secure', requiredLevel: 'end-to-end', suite: 1 } as const;
  const created = createConference({ id: 1, name, ...settings });
  if (!created.ok) throw new Error(created.reason);
  let state: State = created.value;
  for (const [i] of levels.entries()) {
    const channels = (['audio', 'video'] as const).map((media, n) => ({
      ...{ channel: 10 * (i + 1) + n, media, security: 'dtls' as const },
    }));
    state = reduce(state, { type: 'join', member: i + 1, name: `sip:room${i + 1}@example`, channels }, 0).state;
  }
  const at = (member: Member, level: Level): Member => ({
    ...member,
    level,
    ready: level !== 'unknown',
    channels: member.channels.map((channel): Channel => ({ ...channel, level })),
  });
  const members = new Map([...state.members].map(([id, member], i) => [id, at(member, levels[i]!)]));
  const order: readonly Level[] = ['none', 'hop-by-hop', 'end-to-end', 'unknown'];
  const level = order.find((one) => levels.includes(one)) ?? 'unknown';
  const shown: State = { ...state, members, level, shownSpeaker: levels.length > 0 ? 1 : undefined };
  return { name, origin: 'dialled', settings, state: levels.length === 0 ? undefined : shown };
}
