/**
 * Offers of the shape that browsers and GStreamer's webrtcbin make, and what they are answered with, as files that a person can
 * read: golden/bundle/NAME.offer.sdp and NAME.answer.sdp. UPDATE_GOLDEN=1 writes the answers anew.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { Bench } from './harness.js';

const FOLDER = fileURLToPath(new URL('golden/bundle/', import.meta.url));
const NAMES = readdirSync(FOLDER).flatMap((file) => /^(.*)\.offer\.sdp$/.exec(file)?.[1] ?? []);

/** What ICE adds is told apart in its own tests: it has chance in it. */
const ofIce = (line: string): boolean => /^a=(ice-|candidate|end-of-candidates)/.test(line);

function answerTo(offer: string): string {
  const bench = new Bench({ adHoc: { policy: 'best-effort', requiredLevel: 'none' } }, false);
  bench.dialSdp(offer);
  const answered = bench.heard.find((o) => o.type === 'answered');
  if (answered?.type !== 'answered') throw new Error(`no answer: ${JSON.stringify(bench.heard)}`);
  expect(bench.called('openChannel').filter(([o]) => o.leader === undefined)).toHaveLength(1);
  return `${answered.sdp
    .split('\r\n')
    .filter((line) => !ofIce(line))
    .join('\n')}`;
}

describe('offers of browsers and their kin', () => {
  it.each(NAMES)('%s: one transport for audio and video, and only of the offer what we use', (name) => {
    const answer = answerTo(readFileSync(`${FOLDER}${name}.offer.sdp`, 'utf8'));
    const golden = `${FOLDER}${name}.answer.sdp`;
    if (process.env.UPDATE_GOLDEN !== undefined) writeFileSync(golden, answer);
    expect(answer).toBe(readFileSync(golden, 'utf8'));
  });

  it('there are four of them', () => {
    expect(NAMES.sort()).toEqual(['chromium-balanced', 'chromium-max-bundle', 'firefox', 'webrtcbin']);
  });
});
