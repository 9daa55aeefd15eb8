import { existsSync, readFileSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { parse as parseToml, TomlError } from 'smol-toml';
import { ok, type Result, refuse } from '../base/result.js';
import { trunkProblems } from '../sip/trunk.js';
import { allowedAt, type Config, configSchema, SETTINGS, type Setting } from './config.js';
import { tlsPorts } from './config-tls.js';
import { trunkProfile } from './config-trunks.js';
import { chooseLevel } from './tls-set.js';

/** Values from outside, before they are checked. */
export interface ConfigSources {
  /** TOML file; must exist when it is named. */
  readonly file?: string | undefined;
  /** Its text, when it is at hand; `file` is a name only then. */
  readonly text?: string | undefined;
  /** Flag name without dashes (`sip-port`) to text. */
  readonly flags: Readonly<Record<string, string | boolean | undefined>>;
  readonly env: Readonly<Record<string, string | undefined>>;
}

type Plain = Record<string, unknown>;

function convert(setting: Setting, text: string): unknown {
  if (setting.kind === 'number' && /^-?\d+$/.test(text)) return Number(text);
  if (setting.kind === 'boolean' && (text === 'true' || text === 'false')) return text === 'true';
  return text;
}

function isPlain(value: unknown): value is Plain {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * The checked configuration, or the list of what is wrong: each line names its source (file, flag or variable), the path
 * and what is allowed there. Nothing is taken from a configuration that has an error.
 */
export function loadConfig(sources: ConfigSources): Result<Config, 'config'> {
  const problems: string[] = [];
  let merged: Plain = {};
  const origin = new Map<string, string>();
  if (sources.file !== undefined) {
    if (sources.text === undefined && !existsSync(sources.file))
      return refuse('config', `${sources.file}: no such file; name one that exists with --config`);
    try {
      merged = parseToml(sources.text ?? readFileSync(sources.file, 'utf8'));
    } catch (error) {
      if (error instanceof TomlError) {
        return refuse(
          'config',
          `${sources.file}:${error.line}:${error.column}: not TOML: ${error.message.split('\n')[0]}`,
        );
      }
      return refuse(
        'config',
        `${sources.file}: cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }
  for (const name of Object.keys(sources.env)) {
    if (name.startsWith('CLAVIGER_') && !SETTINGS.some((s) => s.env === name)) {
      problems.push(`environment: unknown variable ${name}; allowed: ${SETTINGS.map((s) => s.env).join(', ')}`);
    }
  }
  for (const setting of SETTINGS) {
    const [section, name] = setting.path;
    const fromFlag = sources.flags[setting.flag];
    const text = fromFlag === undefined ? sources.env[setting.env] : String(fromFlag);
    if (text === undefined) continue;
    const target = merged[section] ?? {};
    if (!isPlain(target)) continue; // the schema reports what stands there
    merged[section] = { ...target, [name]: convert(setting, text) };
    origin.set(`${section}.${name}`, fromFlag === undefined ? setting.env : `--${setting.flag}`);
  }
  const parsed = configSchema.safeParse(merged);
  if (!parsed.success) {
    for (const issue of parsed.error.issues) {
      const path = issue.path.map(String).join('.');
      const where = origin.get(path) ?? sources.file ?? 'configuration';
      if (issue.code === 'unrecognized_keys') {
        for (const key of issue.keys) {
          problems.push(
            `${where}: ${path === '' ? key : `${path}.${key}`}: unknown; allowed: ${allowedAt(issue.path)}`,
          );
        }
      } else {
        // A pattern is no help to a reader; its schema says in words what it means.
        const allowed =
          (issue.code === 'invalid_format' && issue.format === 'regex') || issue.code === 'custom'
            ? issue.message
            : allowedAt(issue.path);
        problems.push(`${where}: ${path}: not allowed here; allowed: ${allowed}`);
      }
    }
  } else problems.push(...contradictions(parsed.data, sources.file ?? 'configuration'));
  return problems.length === 0 && parsed.success ? ok(parsed.data) : refuse('config', problems.join('\n'));
}

/** What no single value shows. */
function contradictions(config: Config, where: string): string[] {
  const problems: string[] = [];
  if (config.media.portMin > config.media.portMax) {
    problems.push(`${where}: media.portMin: ${config.media.portMin} is above media.portMax ${config.media.portMax}`);
  }
  for (const problem of trunkProblems(config.trunks.map(trunkProfile), config.sip.port)) {
    problems.push(`${where}: trunks: ${problem}`);
  }
  for (const { port, levels } of tlsPorts(config)) {
    const level = chooseLevel(levels);
    if (!level.ok) problems.push(`${where}: TLS on port ${port}: ${level.detail}`);
  }
  const { wssPort } = config.sip;
  if (wssPort !== undefined && wssPort !== 0 && [config.sip, ...config.trunks].some(({ port }) => port === wssPort)) {
    problems.push(`${where}: sip.wssPort: ${wssPort} is taken by another SIP listener; allowed: a port of its own`);
  }
  if (isIPv6(config.sip.address) && !isIPv6(config.media.address) && config.media.advertise === undefined) {
    problems.push(
      `${where}: media.address: ${config.media.address} cannot be reached by callers of sip.address ${config.sip.address}; allowed: an IPv6 address (:: takes IPv4 too), or set media.advertise`,
    );
  }
  if ((config.admin.certificate === undefined) !== (config.admin.key === undefined)) {
    problems.push(`${where}: admin: certificate and key go together: set both or neither`);
  }
  if (config.admin.plain && !isLoopback(config.admin.address)) {
    problems.push(`${where}: admin.plain: not allowed on ${config.admin.address}; allowed: a loopback address`);
  }
  if (config.admin.clients.length > 0 && config.admin.clientCa === undefined) {
    problems.push(`${where}: admin.clients: counts for nothing without admin.clientCa`);
  }
  const { webhookUrl, webhookSecretFile } = config.events;
  if ((webhookUrl === undefined) !== (webhookSecretFile === undefined)) {
    problems.push(`${where}: events: webhookUrl and webhookSecretFile go together: set both or neither`);
  }
  if (webhookUrl !== undefined) {
    const { protocol, hostname } = new URL(webhookUrl);
    if (protocol === 'http:' && hostname !== 'localhost' && !isLoopback(hostname.replace(/^\[|\]$/g, '')))
      problems.push(`${where}: events.webhookUrl: http is allowed on a loopback address only; use https`);
  }
  const names = config.conferences.fixed.map((c) => c.name);
  for (const name of names.filter((n, i) => names.indexOf(n) !== i)) {
    problems.push(`${where}: conferences.fixed: ${name} stands there twice`);
  }
  return problems;
}

function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.');
}
