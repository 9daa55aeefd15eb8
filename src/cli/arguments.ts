import { type ParseArgsConfig, parseArgs } from 'node:util';
import { ok, type Result, refuse } from '../base/result.js';

/** One flag of a command; `value` names what it takes in the help, undefined: a switch. */
export interface Flag {
  readonly name: string;
  readonly value?: string;
  readonly help: string;
  readonly default?: string;
}

export interface ParsedArguments {
  readonly flags: Readonly<Record<string, string | boolean | undefined>>;
  readonly positionals: readonly string[];
}

/** Strict: an unknown flag, a missing value or a surplus word is refused with what is allowed. */
export function parseFlags(
  args: readonly string[],
  flags: readonly Flag[],
  positionals: number,
): Result<ParsedArguments, 'usage'> {
  const options: NonNullable<ParseArgsConfig['options']> = { help: { type: 'boolean', short: 'h' } };
  for (const flag of flags) options[flag.name] = { type: flag.value === undefined ? 'boolean' : 'string' };
  try {
    const parsed = parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
    const values = parsed.values as Record<string, string | boolean | undefined>;
    if (values.help !== true && parsed.positionals.length > positionals) {
      return refuse('usage', `unexpected argument '${parsed.positionals[positionals]}'`);
    }
    return ok({ flags: values, positionals: parsed.positionals });
  } catch (error) {
    // parseArgs throws a TypeError with a code for each kind of wrong usage; anything else is a bug of ours.
    if (error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS_')) {
      return refuse('usage', error.message.split('. To specify')[0]!);
    }
    throw error;
  }
}

export function helpOfFlags(flags: readonly Flag[]): string {
  const left = flags.map((f) => `  --${f.name}${f.value === undefined ? '' : ` ${f.value}`}`);
  const width = Math.min(38, Math.max(...left.map((l) => l.length), 8)) + 2;
  return flags
    .map((f, i) => {
      const standard = f.default === undefined || f.default === '' ? '' : ` (default ${f.default})`;
      return `${left[i]!.padEnd(width)}${f.help}${standard}`;
    })
    .join('\n');
}

/** A whole number within limits, or a message that names the flag and what is allowed. */
export function wholeNumber(name: string, text: string, min: number, max: number): Result<number, 'usage'> {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < min || value > max) {
    return refuse('usage', `--${name} takes a whole number from ${min} to ${max}, not '${text}'`);
  }
  return ok(value);
}
