/** Worker threads run compiled files. The test runner builds before; alone, a test builds what is stale. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

function stale(folder: string): boolean {
  const files = readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' });
  return files
    .filter((file) => file.endsWith('.ts'))
    .some((file) => {
      const built = join(ROOT, 'dist', folder, file.replace(/ts$/, 'js'));
      return !existsSync(built) || statSync(built).mtimeMs < statSync(join(ROOT, folder, file)).mtimeMs;
    });
}

export function ensureBuilt(): void {
  if (!stale('src/dtls') && !stale('src/base')) return;
  const compiler = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  const build = spawnSync(process.execPath, [compiler, '-p', 'src/tsconfig.build.json'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  if (build.status !== 0) throw new Error(`the build failed:\n${build.stdout}${build.stderr}`);
}
