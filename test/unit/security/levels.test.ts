import { describe, expect, it } from 'vitest';
import { type Level, levelOfConference, levelOfEndpoint, lower, meets } from '../../../src/security/levels.js';

const LEVELS: readonly Level[] = ['unknown', 'none', 'hop-by-hop', 'end-to-end'];

describe('security levels', () => {
  it('an unknown level meets nothing, a proven one all that is not above it', () => {
    const met = LEVELS.map((level) =>
      (['none', 'hop-by-hop', 'end-to-end'] as const).map((required) => meets(level, required)),
    );
    expect(met).toEqual([
      [false, false, false],
      [true, false, false],
      [true, true, false],
      [true, true, true],
    ]);
  });

  it('the lower of two levels', () => {
    expect(lower('hop-by-hop', 'end-to-end')).toBe('hop-by-hop');
    expect(lower('hop-by-hop', 'none')).toBe('none');
    expect(lower('end-to-end', 'end-to-end')).toBe('end-to-end');
  });

  it('an endpoint is as secure as its weakest channel, and unknown while one is unknown (C6, C9)', () => {
    expect(levelOfEndpoint([])).toBe('unknown');
    expect(levelOfEndpoint(['end-to-end', 'unknown'])).toBe('unknown');
    expect(levelOfEndpoint(['end-to-end', 'hop-by-hop'])).toBe('hop-by-hop');
    expect(levelOfEndpoint(['end-to-end', 'end-to-end'])).toBe('end-to-end');
  });

  it('a conference is as secure as its weakest proven endpoint; unknown ones do not count (C6)', () => {
    expect(levelOfConference([])).toBe('unknown');
    expect(levelOfConference(['unknown'])).toBe('unknown');
    expect(levelOfConference(['unknown', 'end-to-end'])).toBe('end-to-end');
    expect(levelOfConference(['end-to-end', 'none', 'unknown'])).toBe('none');
  });
});
