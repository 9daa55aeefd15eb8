#!/usr/bin/env node
// Brings a fresh clone to the point where it runs: packages, native relay, compiled sources; each only when stale.
// Plain JavaScript without a dependency, because it runs before there is any.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const at = (...parts) => join(root, ...parts);

function fail(message) {
  console.error(`claviger: ${message}`);
  process.exit(1);
}

function onPath(command) {
  if (command.includes('/')) return existsSync(command);
  return (process.env.PATH ?? '').split(delimiter).some((folder) => folder !== '' && existsSync(join(folder, command)));
}

function filesBelow(path) {
  if (!existsSync(path)) return [];
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path)
    .filter((name) => name !== 'build' && name !== 'node_modules')
    .sort()
    .flatMap((name) => filesBelow(join(path, name)));
}

/** A hash of contents, not of times: a checkout or a copy must not look stale, an edit within one second must. */
function fingerprint(paths) {
  const hash = createHash('sha256').update(`${process.version} ${process.platform} ${process.arch}\n`);
  for (const file of paths.flatMap((path) => filesBelow(at(path)))) {
    hash.update(`${file.slice(root.length)}\n`).update(readFileSync(file));
  }
  return hash.digest('hex');
}

function isStale(stamp, inputs) {
  return !existsSync(at(stamp)) || readFileSync(at(stamp), 'utf8') !== fingerprint(inputs);
}

function step(title, stamp, inputs, run) {
  if (!isStale(stamp, inputs)) return;
  const wanted = fingerprint(inputs);
  const started = process.hrtime.bigint();
  process.stderr.write(`claviger: ${title} ...\n`);
  run();
  mkdirSync(dirname(at(stamp)), { recursive: true });
  writeFileSync(at(stamp), wanted);
  process.stderr.write(
    `claviger: ${title}: done in ${Number((process.hrtime.bigint() - started) / 100_000_000n) / 10} s\n`,
  );
}

function command(program, args, hint) {
  const done = spawnSync(program, args, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 64 << 20,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (done.status === 0) return;
  process.stderr.write(`${done.stdout ?? ''}${done.stderr ?? ''}`);
  fail(`${program} ${args[0] ?? ''} failed${done.error ? ` (${done.error.message})` : ''}; ${hint}`);
}

/** Built folders ignore themselves, so that the top level needs no ignore file. */
function selfIgnored(folder) {
  mkdirSync(at(folder), { recursive: true });
  writeFileSync(at(folder, '.gitignore'), '*\n');
}

const major = Number(process.versions.node.split('.')[0]);
if (major < 20) fail(`Node ${process.versions.node} is too old: install Node 20 or later`);

const NATIVE = [
  'native/build/.claviger-stamp',
  ['native/core', 'native/dtls', 'native/binding', 'native/binding.gyp', 'bench/native'],
];

// Before anything that takes time: what only the operator can mend.
if (isStale(...NATIVE)) {
  const compiler = (process.env.CXX ?? ['c++', 'g++', 'clang++'].find(onPath) ?? '').split(' ')[0];
  if (compiler === '' || !onPath(compiler)) {
    fail(
      `no C++ compiler found${compiler === '' ? '' : ` at CXX=${compiler}`}: install one (Debian: apt-get install g++)`,
    );
  }
  if (!onPath('make')) fail('make not found: install it (Debian: apt-get install make)');
  if (!onPath('python3')) fail('python3 not found: install it (Debian: apt-get install python3)');
}

step('installing packages', 'node_modules/.claviger-stamp', ['package.json', 'package-lock.json'], () => {
  command('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], 'is the npm registry reachable?');
  selfIgnored('node_modules');
});

step(
  'building the native relay',
  'native/build/.claviger-stamp',
  ['native/core', 'native/dtls', 'native/binding', 'native/binding.gyp', 'bench/native'],
  () => {
    // Node's own headers, OpenSSL's among them, stand beside its binary; without them node-gyp has to fetch them.
    const prefix = resolve(dirname(process.execPath), '..');
    const headers = existsSync(join(prefix, 'include/node/node_api.h')) ? [`--nodedir=${prefix}`] : [];
    command(
      process.execPath,
      [
        at('node_modules/node-gyp/bin/node-gyp.js'),
        'rebuild',
        '-C',
        'native',
        '--jobs=max',
        '--loglevel=error',
        ...headers,
      ],
      'the compiler said why above; C++17 and Node’s headers are needed',
    );
  },
);

step('compiling', 'dist/.claviger-stamp', ['src', 'bench', 'tsconfig.json', 'package-lock.json'], () => {
  selfIgnored('dist');
  // The operators' page is for browsers: it has other types and is a program of its own.
  for (const project of ['src/tsconfig.build.json', 'src/dashboard/tsconfig.json']) {
    command(process.execPath, [at('node_modules/typescript/bin/tsc'), '-p', project], 'mend what the compiler names');
  }
});
