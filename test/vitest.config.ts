import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  root: fileURLToPath(new URL('..', import.meta.url)),
  test: {
    include: ['test/{architecture,unit,integration,interop}/**/*.test.ts'],
    testTimeout: 20_000,
    hookTimeout: 30_000,
    // What is polled comes when it comes: a second is short on a loaded machine.
    expect: { poll: { timeout: 15_000 } },
    pool: 'forks',
    maxWorkers: 2,
  },
});
