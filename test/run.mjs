// The whole check, in the order in which it is cheapest to fail. Its last line is `N passed, N failed, N skipped`.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(fileURLToPath(import.meta.url), '../..');
const total = { passed: 0, failed: 0, skipped: 0 };
const skipped = [];

function stage(title, run) {
  const started = Date.now();
  console.log(`\n== ${title}`);
  const counts = run();
  total.passed += counts.passed;
  total.failed += counts.failed;
  total.skipped += counts.skipped ?? 0;
  console.log(
    `== ${title}: ${counts.passed} passed, ${counts.failed} failed (${((Date.now() - started) / 1000).toFixed(1)} s)`,
  );
}

/** One command that passes or fails as a whole. */
function check(program, args) {
  const done = spawnSync(program, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  return done.status === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
}

const node = process.execPath;
stage('type check', () => check(node, ['node_modules/typescript/bin/tsc', '-p', '.']));
stage('lint and format', () =>
  check(node, ['node_modules/@biomejs/biome/bin/biome', 'check', '--error-on-warnings', '.']),
);

/** A target of native/Makefile: its last line is the verdict. */
function native(target) {
  const done = spawnSync('make', ['-s', '-C', 'native', target], { cwd: root, encoding: 'utf8', maxBuffer: 64 << 20 });
  process.stdout.write(done.stdout ?? '');
  process.stderr.write(done.stderr ?? '');
  const counts = /^native: (\d+) passed, (\d+) failed$/m.exec(done.stdout ?? '');
  if (counts === null) return { passed: 0, failed: 1 };
  const failed = Number(counts[2]);
  return { passed: Number(counts[1]), failed: failed === 0 && done.status !== 0 ? 1 : failed };
}

stage('native, under AddressSanitizer and UndefinedBehaviorSanitizer', () => native('test'));
stage('native threads, under ThreadSanitizer', () => native('tsan'));

stage('architecture, unit, integration, interop', () => {
  const folder = mkdtempSync(join(tmpdir(), 'claviger-test-'));
  const report = join(folder, 'report.json');
  const done = spawnSync(
    node,
    [
      'node_modules/vitest/vitest.mjs',
      'run',
      '--config',
      'test/vitest.config.ts',
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${report}`,
    ],
    { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] },
  );
  try {
    const json = JSON.parse(readFileSync(report, 'utf8'));
    for (const file of json.testResults) {
      for (const test of file.assertionResults) {
        if (test.status === 'pending' || test.status === 'skipped' || test.status === 'todo')
          skipped.push(test.fullName);
      }
    }
    // A file that does not load, or an unhandled error, has no failed test of its own and must count all the same.
    const unloaded = json.testResults.filter(
      (file) => file.status === 'failed' && file.assertionResults.length === 0,
    ).length;
    const failed = json.numFailedTests + unloaded;
    return {
      passed: json.numPassedTests,
      failed: failed === 0 && done.status !== 0 ? 1 : failed,
      skipped: json.numPendingTests + json.numTodoTests,
    };
  } catch (error) {
    console.error(`no report from vitest: ${error instanceof Error ? error.message : error}`);
    return { passed: 0, failed: 1 };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

if (skipped.length > 0)
  console.log(`\nSkipped, each with its reason:\n${skipped.map((name) => `  ${name}`).join('\n')}`);
process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1;
console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
