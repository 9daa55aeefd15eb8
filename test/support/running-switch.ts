/** A switch on loopback for a test, with a folder of its own. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../src/server/load-config.js';
import { openLog } from '../../src/server/log.js';
import { Switch } from '../../src/server/switch.js';

export interface SeenEvent {
  readonly code: string;
  readonly cause: string;
  readonly endpoint?: string;
  readonly from?: string;
  readonly to?: string;
  readonly members?: readonly string[];
}

export interface RunningSwitch {
  readonly running: Switch;
  readonly caPem: string;
  readonly events: SeenEvent[];
  readonly speakers: (string | undefined)[];
  readonly log: string[];
  target(conference: string): string;
  stop(): Promise<void>;
}

export async function startSwitch(flags: Readonly<Record<string, string>> = {}, file?: string): Promise<RunningSwitch> {
  const folder = mkdtempSync(join(tmpdir(), 'claviger-test-'));
  const config = loadConfig({
    file,
    flags: {
      'data-dir': join(folder, 'data'),
      'sip-address': '127.0.0.1',
      'sip-port': '0',
      'media-address': '127.0.0.1',
      'media-threads': '1',
      'dtls-threads': '1',
      'admin-port': '0',
      ...flags,
    },
    env: {},
  });
  if (!config.ok) throw new Error(config.detail);
  const events: SeenEvent[] = [];
  const speakers: (string | undefined)[] = [];
  const lines: string[] = [];
  const running = await Switch.start(config.value, {
    log: openLog({ level: 'debug' }, { write: (line) => void lines.push(line) }),
    onSecurityEvent: (event) => events.push(event),
    onSpeaker: (_, member) => speakers.push(member),
  });
  return {
    running,
    caPem: readFileSync(running.caFile!, 'utf8'),
    events,
    speakers,
    log: lines,
    target: (conference) => `sips:${conference}@127.0.0.1:${running.sip.port}`,
    stop: async () => {
      await running.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Waits for a condition, not for a time: checked every 10 ms, and the failure says what was waited for. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  limitMs = 15_000,
): Promise<void> {
  const started = performance.now();
  while (!(await condition())) {
    if (performance.now() - started > limitMs) throw new Error(`waited ${limitMs} ms for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
