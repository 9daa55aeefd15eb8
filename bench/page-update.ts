/** What an update of the operators' page costs in Chromium: its own modules, with conferences made up here. */
import { chromium } from 'playwright-core';
import { pageFiles } from '../src/server/page.js';
import { percentile } from './statistics.js';

const LEVELS = ['end-to-end', 'hop-by-hop', 'none', 'unknown'] as const;

/** As `GET /conferences` gives them; every tenth is another one in each round. */
function conferencesOf(count: number, round: number): object[] {
  return Array.from({ length: count }, (_, i) => ({
    name: `conference-${String(i).padStart(4, '0')}`,
    ...{ origin: 'dialled', policy: 'secure', requiredLevel: 'end-to-end', suite: 1, switching: 'site', locked: false },
    level: LEVELS[(i + (i % 10 === 0 ? round : 0)) % LEVELS.length],
    members: (i + round) % 48,
    speaker: `sip:room${(i * 7 + round) % 1_000}@example`,
  }));
}

/** Runs in the page. */
const MEASURE = `async (rounds) => {
  const { ConferenceList, UPDATE_MEASURE } = await import('/dashboard/conferences.js');
  document.getElementById('watch').hidden = false;
  const list = new ConferenceList(() => undefined);
  for (const conferences of rounds) {
    list.update(conferences);
    await new Promise((resolve) => requestAnimationFrame(resolve));
  }
  return performance.getEntriesByName(UPDATE_MEASURE).map((entry) => entry.duration);
}`;

/**
 * @param executablePath of Chromium.
 * @returns milliseconds, layout included: the first showing, and the median of the updates after it.
 */
export async function measurePageUpdate(
  conferences: number,
  rounds: number,
  executablePath = '/usr/bin/chromium',
): Promise<{ readonly firstMs: number; readonly updateMs: number }> {
  const args = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'];
  const offline = ['--disable-background-networking', '--disable-component-update'];
  const browser = await chromium.launch({ executablePath, args: [...args, ...offline] });
  try {
    const page = await browser.newPage();
    const files = pageFiles();
    await page.route('**/*', (route) => {
      const file = files.get(new URL(route.request().url()).pathname);
      // The page asks who it is; nobody answers, so that nothing but what is measured goes on.
      return file === undefined
        ? route.fulfill({ status: 401, json: {} })
        : route.fulfill({ contentType: file.type, body: file.body });
    });
    await page.goto('http://claviger.invalid/');
    const data = Array.from({ length: rounds + 1 }, (_, round) => conferencesOf(conferences, round));
    const durations = (await page.evaluate(`(${MEASURE})(${JSON.stringify(data)})`)) as number[];
    const [firstMs = Number.NaN, ...updates] = durations;
    return {
      firstMs,
      updateMs: percentile(
        updates.sort((a, b) => a - b),
        0.5,
      ),
    };
  } finally {
    await browser.close();
  }
}
