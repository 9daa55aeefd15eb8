import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'claviger-setup-'));
  for (const name of ['package.json', 'package-lock.json', 'src/setup.mjs', 'native/binding.gyp']) {
    cpSync(join(ROOT, name), join(folder, name));
  }
  mkdirSync(join(folder, 'bin'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A machine on which only these commands exist. */
function setup(commands: readonly string[], env: Record<string, string> = {}) {
  for (const command of commands) {
    writeFileSync(join(folder, 'bin', command), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
  }
  symlinkSync(process.execPath, join(folder, 'bin', 'node'));
  return spawnSync(process.execPath, [join(folder, 'src/setup.mjs')], {
    encoding: 'utf8',
    env: { PATH: join(folder, 'bin'), ...env },
  });
}

describe('set-up on a machine that lacks something says in one line what to install, before it begins', () => {
  it.each([
    [
      'a compiler',
      ['make', 'python3'],
      {},
      'claviger: no C++ compiler found: install one (Debian: apt-get install g++)\n',
    ],
    ['make', ['g++', 'python3'], {}, 'claviger: make not found: install it (Debian: apt-get install make)\n'],
    ['Python', ['c++', 'make'], {}, 'claviger: python3 not found: install it (Debian: apt-get install python3)\n'],
    [
      'the compiler that CXX names',
      ['g++', 'make', 'python3'],
      { CXX: 'no-such-cxx' },
      /^claviger: no C\+\+ compiler found at CXX=no-such-cxx: .*\n$/,
    ],
  ] as const)('%s', (_, commands, env, line) => {
    const { status, stderr } = setup(commands, env);
    expect(status).toBe(1);
    if (typeof line === 'string') expect(stderr).toBe(line);
    else expect(stderr).toMatch(line);
  });
});
