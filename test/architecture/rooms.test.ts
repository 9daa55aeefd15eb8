import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SRC = join(ROOT, 'src');

/** Who may import whom; `base` is open to all. `relay (types)` for control: it is given a Relay, it never opens one. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  base: [],
  wire: [],
  srtp: ['wire'],
  dtls: ['wire'],
  sip: ['wire'],
  tip: ['wire'],
  security: [],
  conference: ['security'],
  control: ['wire', 'sip', 'tip', 'security', 'conference', 'relay'],
  relay: ['wire'],
  server: ['wire', 'srtp', 'dtls', 'sip', 'tip', 'security', 'conference', 'control', 'relay', 'dashboard'],
  dashboard: [],
  endpoint: ['wire', 'srtp', 'dtls', 'sip', 'tip'],
  cli: ['server', 'endpoint'],
};

/** Rooms that may touch the world: sockets, files, timers, clock, environment; the dashboard's world is a browser. */
const WORLDLY = new Set(['server', 'endpoint', 'cli', 'dashboard']);
/** Single files elsewhere that may, each with its reason. */
const WORLDLY_FILES: Readonly<Record<string, { readonly modules: readonly string[]; readonly reason: string }>> = {
  'dtls/worker.ts': {
    modules: ['node:worker_threads'],
    reason: 'the thread that drives associations owns their clock and timers',
  },
  'dtls/pool.ts': { modules: ['node:worker_threads', 'node:url', 'node:fs'], reason: 'starts the worker threads' },
  'dtls/pool-messages.ts': {
    modules: ['node:worker_threads'],
    reason: 'names the port type that workers and pool share',
  },
  'dtls/werift/library.ts': {
    modules: ['node:module', 'node:path'],
    reason: 'werift exports none of its DTLS codecs: they are loaded by path from the package',
  },
  'dtls/openssl/addon.ts': {
    modules: ['node:module'],
    reason: 'finds and loads the native DTLS engine',
  },
  'relay/addon.ts': {
    modules: ['node:module', 'node:url', 'node:path', 'node:fs'],
    reason: 'finds and loads the native relay',
  },
};
/** Node modules that are pure computation and allowed everywhere they are named. */
const PURE_MODULES: Readonly<Record<string, readonly string[]>> = {
  srtp: ['node:crypto'],
  dtls: ['node:crypto'],
  relay: ['node:crypto'],
  sip: ['node:crypto'],
};

/** Files over 400 lines, each with its reason. */
const LONG_FILES: Readonly<Record<string, string>> = {
  'native/binding/addon.cc': 'the one file that may include node_api.h: dull, and whole in one place',
};

const FORBIDDEN =
  /\b(Date\.now|performance\.now|new Date\(\)|setTimeout|setInterval|setImmediate|process\.|Math\.random|fetch\()/;

function filesBelow(folder: string, pattern: RegExp): string[] {
  return readdirSync(folder).flatMap((name) => {
    if (name === 'build' || name === 'node_modules') return [];
    const path = join(folder, name);
    return statSync(path).isDirectory() ? filesBelow(path, pattern) : pattern.test(name) ? [path] : [];
  });
}

interface Source {
  readonly path: string;
  readonly room: string;
  readonly text: string;
  readonly imports: readonly string[];
  /** Those that are there at run time; the rest is types only. */
  readonly valueImports: ReadonlySet<string>;
}

const sources: readonly Source[] = filesBelow(SRC, /\.ts$/).map((file) => {
  const text = readFileSync(file, 'utf8');
  const imports: string[] = [];
  const valueImports = new Set<string>();
  for (const m of text.matchAll(/^\s*(?:import|export)\s+(type\s)?(?:[^'";]*?\sfrom\s+)?'([^']+)'/gm)) {
    imports.push(m[2]!);
    if (m[1] === undefined) valueImports.add(m[2]!);
  }
  for (const m of text.matchAll(/\bimport\(\s*'([^']+)'\s*\)/g)) imports.push(m[1]!);
  const path = relative(SRC, file);
  return { path, room: path.split('/')[0]!, text, imports, valueImports };
});

function roomOf(source: Source, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) return undefined;
  const target = relative(SRC, resolve(dirname(join(SRC, source.path)), specifier));
  return target.startsWith('..') ? `outside of src: ${specifier}` : target.split('/')[0];
}

/** Comments may name a clock; code may not. */
function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '$1');
}

describe('the rooms of src', () => {
  it('are the rooms that the design names, and each is there', () => {
    const found = new Set(sources.map((s) => s.room));
    expect([...found].filter((room) => !(room in ROOMS))).toEqual([]);
  });

  it('import only whom they may', () => {
    const wrong: string[] = [];
    for (const source of sources) {
      for (const specifier of source.imports) {
        const target = roomOf(source, specifier);
        if (target === undefined || target === source.room || target === 'base') continue;
        if (!ROOMS[source.room]?.includes(target)) wrong.push(`${source.path} imports ${specifier}`);
        if (source.room === 'control' && target === 'relay' && source.valueImports.has(specifier)) {
          wrong.push(`${source.path} imports more than types from ${specifier}`);
        }
      }
    }
    expect(wrong).toEqual([]);
  });

  it('have no circle between files', () => {
    const graph = new Map(
      sources.map((s) => [
        s.path,
        s.imports
          .filter((i) => i.startsWith('.') && s.valueImports.has(i))
          .map((i) => relative(SRC, resolve(dirname(join(SRC, s.path)), i)).replace(/\.js$/, '.ts')),
      ]),
    );
    const done = new Set<string>();
    const circles: string[] = [];
    const visit = (path: string, trail: readonly string[]): void => {
      if (trail.includes(path)) {
        circles.push([...trail.slice(trail.indexOf(path)), path].join(' -> '));
        return;
      }
      if (done.has(path)) return;
      for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
      done.add(path);
    };
    for (const path of graph.keys()) visit(path, []);
    expect(circles).toEqual([]);
  });

  it('touch clock, timers, chance, environment and Node only where they may', () => {
    const wrong: string[] = [];
    for (const source of sources) {
      if (WORLDLY.has(source.room)) continue;
      const exception = WORLDLY_FILES[source.path];
      for (const specifier of source.imports) {
        if (!specifier.startsWith('node:')) continue;
        const allowed = [...(PURE_MODULES[source.room] ?? []), ...(exception?.modules ?? [])];
        if (!allowed.includes(specifier)) wrong.push(`${source.path} imports ${specifier}`);
      }
      const use = FORBIDDEN.exec(withoutComments(source.text));
      if (use !== null && exception === undefined) wrong.push(`${source.path} uses ${use[1]}`);
    }
    expect(wrong).toEqual([]);
  });

  it('have files of 400 lines at most', () => {
    const files = [
      ...filesBelow(SRC, /\.(ts|mjs)$/),
      ...filesBelow(join(ROOT, 'native'), /\.(cc|h)$/),
      ...filesBelow(join(ROOT, 'bench'), /\.(ts|cc|h)$/),
    ];
    const long = files
      .filter((file) => readFileSync(file, 'utf8').split('\n').length > 401)
      .map((file) => relative(ROOT, file));
    expect(long.filter((path) => !(path in LONG_FILES))).toEqual([]);
    expect(Object.keys(LONG_FILES).filter((path) => !long.includes(path))).toEqual([]);
  });
});

describe('the native part', () => {
  it('includes Node’s API in the binding only', () => {
    const wrong = [
      ...filesBelow(join(ROOT, 'native/core'), /\.(cc|h)$/),
      ...filesBelow(join(ROOT, 'native/test'), /\.(cc|h)$/),
    ]
      .filter((file) => /#include\s*[<"](node|v8|uv|js_native|napi)/.test(readFileSync(file, 'utf8')))
      .map((file) => relative(ROOT, file));
    expect(wrong).toEqual([]);
  });
});

describe('the top level', () => {
  it('holds nothing but what the house allows', () => {
    const allowed = new Set(
      '.ci .git .gitattributes Dockerfile LICENSE README.md bench biome.json native package-lock.json package.json src test tsconfig.json'.split(
        ' ',
      ),
    );
    const built = new Set(['node_modules', 'dist', 'data']);
    expect(readdirSync(ROOT).filter((name) => !allowed.has(name) && !built.has(name))).toEqual([]);
  });
});
