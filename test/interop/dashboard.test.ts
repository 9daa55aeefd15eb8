/** The operators' page, in Chromium. */
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { measurePageUpdate } from '../../bench/page-update.js';
import { makeEvent } from '../../src/security/events.js';
import { startApi, type TestApi } from '../support/admin-api.js';
import { conferenceAt, openBrowser, openPage } from '../support/page.js';
import { describeWithPeers } from '../support/peers.js';

const SCREENSHOTS = process.env.CLAVIGER_SCREENSHOTS;

describeWithPeers('the operators’ page', ['chromium'], () => {
  vi.setConfig({ testTimeout: 60_000 });
  let browser: Browser;
  let api: TestApi;
  let page: Page;
  const problems: string[] = [];
  beforeAll(async () => {
    browser = await openBrowser();
  }, 60_000);
  afterAll(() => browser.close());
  beforeEach(async () => {
    api = await startApi();
    for (const view of [
      conferenceAt('board', ['end-to-end', 'end-to-end', 'end-to-end']),
      conferenceAt('lobby', ['none', 'end-to-end']),
      conferenceAt('training', ['hop-by-hop', 'end-to-end']),
      conferenceAt('standby', []),
    ])
      api.views.set(view.name, view);
    problems.length = 0;
  });
  afterEach(async () => {
    await page?.context().close();
    await api.close();
  });

  async function signIn(
    role: 'viewer' | 'operator' | 'admin',
    look: { dark?: boolean; width?: number } = {},
  ): Promise<void> {
    page = await openPage(browser, { url: `https://127.0.0.1:${api.port}/`, ...look });
    page.on('pageerror', (error) => problems.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error' && !message.text().includes('401')) problems.push(message.text());
    });
    await page.getByLabel('Token').fill(api.tokens[role]);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Conferences' }).waitFor();
  }

  /** Further apart than the rate at which a cause is suppressed. */
  function happen(code: Parameters<typeof makeEvent>[0], conference: string, endpoint = 'sip:ann@example'): void {
    api.clock.now += 1_000;
    api.journal.record(
      makeEvent(code, { conference, endpoint, source: '192.0.2.7', channel: 12, cause: 'a cause' }),
      api.clock.now,
    );
  }

  const shot = async (name: string): Promise<void> => {
    if (SCREENSHOTS !== undefined) await page.screenshot({ path: `${SCREENSHOTS}/${name}.png`, fullPage: true });
  };

  it('lets nobody in without a token, says so, and keeps none that is wrong', async () => {
    page = await openPage(browser, { url: `https://127.0.0.1:${api.port}/` });
    await page.getByLabel('Token').fill('clv_wrong');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await expect.poll(() => page.getByRole('alert').first().textContent()).toBe('This token is not valid.');
    expect(await page.evaluate('sessionStorage.length')).toBe(0);
    expect(await page.getByRole('heading', { name: 'Conferences' }).isVisible()).toBe(false);
  });

  it('shows each conference with a lock that says in words what it is, and never more than is proven', async () => {
    await signIn('viewer');
    const rows = page.locator('#conference-rows tr');
    await expect.poll(() => rows.count()).toBe(4);
    const words = async (name: string) =>
      (
        await rows
          .filter({ has: page.getByRole('button', { name, exact: true }) })
          .locator('td')
          .first()
          .textContent()
      )?.trim();
    expect(await words('board')).toBe('Closed lock: end-to-end');
    expect(await words('training')).toBe('Half-closed lock: hop-by-hop');
    expect(await words('lobby')).toBe('Open lock: not secure');
    expect(await words('standby')).toBe('No lock: nobody is in it');
    expect(await page.locator('#counts').textContent()).toBe(
      '1 not secure, 1 hop-by-hop, 1 end-to-end, 1 not known or empty',
    );
    api.views.set('board', conferenceAt('board', ['end-to-end', 'none']));
    await expect.poll(() => words('board'), { timeout: 10_000 }).toBe('Open lock: not secure');
    await page.getByLabel('Level').selectOption('none');
    await expect.poll(() => rows.filter({ visible: true }).count()).toBe(2);
    await page.getByLabel('Find').fill('lob');
    await expect.poll(() => rows.filter({ visible: true }).count()).toBe(1);
    expect(problems).toEqual([]);
  });

  it('is used with the keyboard alone: choose a conference, read its members and channels, drop one', async () => {
    await signIn('operator');
    await page.getByLabel('Find').focus();
    for (let i = 0; i < 12; i++) {
      await page.keyboard.press('Tab');
      if ((await page.evaluate('document.activeElement.textContent')) === 'lobby') break;
    }
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Conference lobby' }).waitFor();
    await expect.poll(() => page.evaluate('document.activeElement.id')).toBe('detail');
    const table = page.getByRole('table', { name: 'Channels of sip:room1@example' });
    expect(await table.getByRole('row').count()).toBe(3);
    expect(await table.textContent()).toContain('1 kbit/s');
    expect(await page.locator('#detail').textContent()).toContain('speaks');
    expect(await page.getByRole('img', { name: /Level over time/ }).getAttribute('aria-label')).toContain(
      'now end-to-end',
    );
    const drop = page
      .getByRole('group', { name: 'Controls of sip:room2@example' })
      .getByRole('button', { name: 'Drop…' });
    await drop.focus();
    await page.keyboard.press('Enter');
    await page.getByRole('dialog', { name: 'Drop sip:room2@example?' }).waitFor();
    await page.keyboard.press('Escape');
    await expect.poll(() => page.getByRole('dialog').count()).toBe(0);
    expect(api.operated).toEqual([]);
    await drop.focus();
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Drop it' }).focus();
    await page.keyboard.press('Enter');
    await expect.poll(() => api.operated).toEqual([{ conference: 'lobby', event: { type: 'drop', member: 2 } }]);
    expect(problems).toEqual([]);
  });

  it('gives an operator the controls, an administrator the drain too, and a viewer none', async () => {
    await signIn('operator');
    await page.getByRole('button', { name: 'board', exact: true }).click();
    await page.getByRole('button', { name: 'Lock', exact: true }).click();
    await page.getByRole('button', { name: 'Switch to segment' }).click();
    await page.getByRole('button', { name: 'New group key' }).click();
    await page.getByRole('button', { name: 'Mute video' }).first().click();
    await expect
      .poll(() => api.operated.map(({ event }) => event.type))
      .toEqual(['lock', 'set-switching', 'rekey', 'mute']);
    await page.getByRole('button', { name: 'New conference…' }).click();
    await page.getByLabel('Name, as it is dialled').fill('board');
    await page.getByRole('button', { name: 'Make it' }).click();
    await expect.poll(() => page.locator('#ask-problem').textContent()).toBe('conference board exists');
    await page.getByRole('button', { name: 'Cancel' }).click();
    expect(await page.getByRole('button', { name: 'Drain…' }).isVisible()).toBe(false);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByLabel('Token').fill(api.tokens.admin);
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name: 'Drain…' }).click();
    await page.getByRole('button', { name: 'Drain', exact: true }).click();
    await expect.poll(() => page.locator('#state').textContent()).toContain('draining');
    expect(api.drained).toEqual(['on']);
    await page.context().close();
    await signIn('viewer');
    await page.getByRole('button', { name: 'board', exact: true }).click();
    await page.getByRole('heading', { name: 'Conference board' }).waitFor();
    await expect.poll(() => page.getByRole('img', { name: /Level over time/ }).count()).toBe(1);
    for (const name of ['Lock', 'Mute audio', 'Drop…', 'End…', 'New conference…', 'Drain…'])
      expect(await page.getByRole('button', { name, exact: true }).filter({ visible: true }).count()).toBe(0);
    expect(problems.filter((text) => !text.includes('409'))).toEqual([]);
  });

  it('lists events live with cause and remedy, filters them, and announces what is bad', async () => {
    happen('conference-started-low', 'lobby');
    await signIn('viewer');
    const list = page.getByRole('list', { name: 'Security events, the newest first' });
    await expect.poll(() => list.getByRole('listitem').count()).toBe(1);
    await expect.poll(() => page.locator('#events-state').textContent()).toBe('live');
    happen('fingerprint-mismatch', 'board', '<img src=x onerror=alert(1)>');
    await expect.poll(() => list.getByRole('listitem').count()).toBe(2);
    const first = list.getByRole('listitem').first();
    expect(await first.textContent()).toContain('somebody may be in the middle');
    expect(await first.textContent()).toContain('<img src=x onerror=alert(1)>');
    expect(await page.locator('#event-list img').count()).toBe(0);
    expect(await page.locator('#announce').textContent()).toContain('critical');
    happen('conference-downgraded', 'lobby');
    await expect.poll(() => list.getByRole('listitem').count()).toBe(3);
    await page.getByLabel('Severity').selectOption('warn');
    await expect.poll(() => list.getByRole('listitem').count()).toBe(2);
    await page.getByLabel('Code').selectOption('conference-downgraded');
    await expect.poll(() => list.getByRole('listitem').count()).toBe(1);
    await page.getByLabel('Code').selectOption('');
    await page.locator('#event-conference').fill('board');
    await expect.poll(() => list.getByRole('listitem').count()).toBe(1);
    await page.getByText('What the codes mean').click();
    expect(await page.locator('#catalogue dt').count()).toBeGreaterThan(20);
    expect(problems).toEqual([]);
  });

  it('has enough contrast, in light and dark, and fits a narrow screen', async () => {
    for (const dark of [false, true]) {
      await signIn('operator', { dark });
      happen('conference-downgraded', 'lobby');
      happen('fingerprint-mismatch', 'board');
      happen('dtls-failed', 'training');
      happen('conference-started-low', 'training');
      await page.getByRole('button', { name: 'lobby', exact: true }).click();
      await page.getByRole('heading', { name: 'Conference lobby' }).waitFor();
      await expect.poll(() => page.locator('#event-list li').count()).toBeGreaterThanOrEqual(4);
      await shot(dark ? 'dark' : 'light');
      const poor = await page.evaluate(LOW_CONTRAST);
      expect(poor).toEqual([]);
      await page.context().close();
    }
    await signIn('operator', { width: 360 });
    await page.getByRole('button', { name: 'lobby', exact: true }).click();
    await page.getByRole('heading', { name: 'Conference lobby' }).waitFor();
    await page.getByRole('table', { name: /room1/ }).waitFor();
    await shot('narrow');
    expect(await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth')).toBe(0);
    expect(problems).toEqual([]);
  });

  it('measures what an update costs, for the bench', async () => {
    const { firstMs, updateMs } = await measurePageUpdate(50, 3);
    expect(firstMs).toBeGreaterThan(0);
    expect(updateMs).toBeGreaterThan(0);
  });

  it('goes on showing what it knows when the switch is gone, and says so', async () => {
    await signIn('viewer');
    await expect.poll(() => page.locator('#conference-rows tr').count()).toBe(4);
    await api.close();
    await expect
      .poll(() => page.locator('#state').textContent(), { timeout: 15_000 })
      .toBe('Not up to date: the switch does not answer');
    await expect.poll(() => page.locator('#events-state').textContent()).toContain('not live');
    expect(await page.locator('#conference-rows tr').count()).toBe(4);
  });
});

/** Texts whose contrast is below 4.5 (WCAG 2.2, 1.4.3), each with its ratio. Runs in the page. */
const LOW_CONTRAST = `(() => {
  const parse = (color) => (color.match(/[\\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const backOf = (node) => {
    for (let n = node; n !== null; n = n.parentElement) {
      const back = parse(getComputedStyle(n).backgroundColor);
      if (back.length === 3 || back[3] > 0) return back;
    }
    return [255, 255, 255];
  };
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let t = walker.nextNode(); t !== null; t = walker.nextNode()) {
    const node = t.parentElement;
    if (t.textContent.trim() === '' || node.closest('svg, .unseen, [hidden], dialog:not([open])') || node.getClientRects().length === 0) continue;
    const style = getComputedStyle(node);
    const [a, b] = [light(parse(style.color)), light(backOf(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push(t.textContent.trim().slice(0, 40) + ' ' + ratio.toFixed(2));
  }
  return poor;
})()`;
