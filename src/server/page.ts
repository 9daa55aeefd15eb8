/** The operators' page: static files, the same for everybody; what it shows it asks of the API, with the token of its user. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

export interface StaticFile {
  readonly type: string;
  readonly body: Buffer;
}

const ASSETS: Readonly<Record<string, string>> = {
  'index.html': 'text/html; charset=utf-8',
  'style.css': 'text/css; charset=utf-8',
  'icon.svg': 'image/svg+xml',
};
const MODULES = ['api', 'ask', 'conferences', 'detail', 'dom', 'events', 'main', 'timeline', 'words'] as const;

/** Nothing from elsewhere, nothing inline, in no frame. */
export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-cache',
};

/** By path. Throws when the page was not built (an incomplete installation). */
export function pageFiles(): ReadonlyMap<string, StaticFile> {
  const root = dirname(createRequire(import.meta.url).resolve('claviger/package.json'));
  const read = (folder: string, name: string): Buffer => readFileSync(join(root, folder, 'dashboard', name));
  const assets = Object.entries(ASSETS).map(([name, type]) => [name, { type, body: read('src', name) }] as const);
  const scripts = MODULES.map((name) => {
    const file = `${name}.js`;
    return [file, { type: 'text/javascript; charset=utf-8', body: read('dist/src', file) }] as const;
  });
  const files = new Map<string, StaticFile>(
    [...assets, ...scripts].map(([name, file]) => [`/dashboard/${name}`, file]),
  );
  files.set('/', files.get('/dashboard/index.html')!);
  return files;
}
