import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

describe('the package', () => {
  it('gives the reference endpoint as claviger/endpoint, and nothing else of its inside', () => {
    const script = `
      const { call, CallRefused } = await import('claviger/endpoint');
      const inside = await import('claviger/dist/src/server/switch.js').then(() => 'open', (e) => e.code);
      console.log(typeof call, typeof CallRefused, inside);`;
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      cwd: fileURLToPath(new URL('../..', import.meta.url)),
      encoding: 'utf8',
    });
    expect(stdout.trim()).toBe('function function ERR_PACKAGE_PATH_NOT_EXPORTED');
  });
});
