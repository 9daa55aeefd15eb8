import { readFileSync } from 'node:fs';
import { fromHex } from '../../src/base/bytes.js';
import { Secret } from '../../src/base/secret.js';

/** A file of test/vectors; hex strings stay strings. */
export function vectors<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../vectors/${name}.json`, import.meta.url), 'utf8')) as T;
}

export function secret(hex: string): Secret {
  return new Secret(fromHex(hex));
}
