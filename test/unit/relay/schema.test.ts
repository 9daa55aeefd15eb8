import { describe, expect, it } from 'vitest';
import * as limits from '../../../src/base/limits.js';
import { addon } from '../../../src/relay/addon.js';
import { DROP_NAMES } from '../../../src/relay/contract.js';
import * as schema from '../../../src/relay/schema.js';

const native = addon().constants();

describe('what JavaScript and native/ must agree on', () => {
  it('every native limit is the limit of the same name in base/limits.ts', () => {
    const ours: Record<string, unknown> = { ...limits };
    const mirrored = Object.entries(native).filter(([name]) =>
      /^(MAX|RELAY|DTLS|REPLAY|KEY|PREVIOUS|ACTIVITY)_/.test(name),
    );
    expect(mirrored.length).toBe(57);
    for (const [name, value] of mirrored) expect([name, value]).toEqual([name, ours[name]]);
  });

  it('every number of schema.ts is the number of schema.h, and none is missing on either side', () => {
    const tables: readonly (readonly [string, Readonly<Record<string, number>>])[] = [
      ['OPCODE_', schema.OPCODES],
      ['EVENT_', schema.EVENTS],
      ['ICE_MODE_', schema.ICE_MODES],
      ['ICE_NEWS_', schema.ICE_NEWS],
      ['MEDIA_', schema.MEDIA],
      ['TRANSPORT_', schema.TRANSPORTS],
      ['VIDEO_CODEC_', schema.VIDEO_CODECS],
      ['LEVEL_', schema.LEVELS],
      ['PARAMETER_', schema.PARAMETER_FLAGS],
      ['THREAD_COUNTER_', schema.THREAD_COUNTERS],
      ['CHANNEL_COUNTER_', schema.CHANNEL_COUNTERS],
    ];
    for (const [prefix, table] of tables) {
      const theirs = Object.entries(native).filter(([name]) => name.startsWith(prefix));
      const ours = Object.entries(table).map(([name, value]) => [prefix + name.replaceAll('-', '_'), value]);
      expect(theirs.sort()).toEqual(ours.sort());
    }
    expect([native.THREAD_WORDS, native.CHANNEL_WORDS]).toEqual([schema.THREAD_WORDS, schema.CHANNEL_WORDS]);
  });

  it('drops have the same names in the same order', () => {
    expect(addon().dropNames()).toEqual([...DROP_NAMES]);
  });
});
