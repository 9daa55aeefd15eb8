import { type Result, refuse } from '../base/result.js';
import { type Config, SETTINGS } from '../server/config.js';
import { loadConfig } from '../server/load-config.js';
import { type Flag, parseFlags } from './arguments.js';

export const CONFIG_FLAGS: readonly Flag[] = [
  { name: 'config', value: 'FILE', help: 'TOML file with the settings below as [section] key' },
  { name: 'data', value: 'DIR', help: 'same as --data-dir' },
  ...SETTINGS.map((s) => ({ name: s.flag, value: s.kind.toUpperCase(), help: s.help, default: s.default })),
];

/** Flags over environment over file over defaults. */
export function configFromArguments(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Result<Config, 'usage' | 'config'> {
  const parsed = parseFlags(args, CONFIG_FLAGS, 0);
  if (!parsed.ok) return parsed;
  const { config, data, ...flags } = parsed.value.flags;
  if (data !== undefined && flags['data-dir'] !== undefined)
    return refuse('usage', '--data and --data-dir are the same; give one');
  return loadConfig({
    file: typeof config === 'string' ? config : undefined,
    flags: data === undefined ? flags : { ...flags, 'data-dir': data },
    env,
  });
}
