import { existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, it } from 'vitest';

/** The one list of peers: package, then the commands that it brings. */
const PACKAGES = readFileSync(fileURLToPath(new URL('../../.ci/packages', import.meta.url)), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => line.split(' '));

function packageOf(command: string): string {
  const row = PACKAGES.find((words) => words.slice(1).includes(command));
  if (row === undefined) throw new Error(`${command} is missing in .ci/packages`);
  return row[0]!;
}

export function isInstalled(command: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => folder !== '' && existsSync(join(folder, command)));
}

/**
 * A group of tests against peers from Debian's packages: skipped with the reason in its title on a machine without them,
 * failing without them under CI.
 */
export function describeWithPeers(title: string, commands: readonly string[], tests: () => void): void {
  const missing = commands.filter((command) => !isInstalled(command));
  if (missing.length === 0) {
    describe(title, tests);
    return;
  }
  const reason = missing
    .map((command) => `${command} is not installed (Debian package ${packageOf(command)})`)
    .join(', ');
  if (process.env.CI) {
    describe(title, () => {
      it('has its peers', () => {
        throw new Error(reason);
      });
    });
    return;
  }
  describe.skip(`${title} [skipped: ${reason}]`, tests);
}
