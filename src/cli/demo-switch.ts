/** A switch on loopback for a demo, with a folder of its own that goes with it. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../server/load-config.js';
import { openLog } from '../server/log.js';
import { Switch, type SwitchOptions } from '../server/switch.js';

export type DemoEvent = Parameters<NonNullable<SwitchOptions['onSecurityEvent']>>[0];

export interface DemoCounters {
  readonly ingress: number;
  readonly egress: number;
  readonly variants: number;
  readonly drops: Readonly<Record<string, number>>;
}

export class DemoSwitch {
  readonly conference = 'demo';
  readonly target: string;
  readonly caPem: string;
  readonly mediaPorts: { readonly first: number; readonly last: number };
  readonly #running: Switch;
  readonly #folder: string;

  static async start(options: {
    readonly flags: Readonly<Record<string, string>>;
    readonly onEvent?: (event: DemoEvent) => void;
    /** The name of the loudest, without `sips:` and host. */
    readonly onSpeaker?: (name: string) => void;
  }): Promise<DemoSwitch> {
    const folder = mkdtempSync(join(tmpdir(), 'claviger-demo-'));
    const local = { 'sip-address': '127.0.0.1', 'media-address': '127.0.0.1', 'sip-port': '0', 'admin-port': '0' };
    const config = loadConfig({ flags: { 'data-dir': folder, ...local, ...options.flags }, env: {} });
    if (!config.ok) throw new Error(config.detail);
    const { onEvent, onSpeaker } = options;
    const running = await Switch.start(config.value, {
      log: openLog(
        { level: onEvent === undefined ? 'warn' : 'error' },
        { write: (line) => void process.stderr.write(line) },
      ),
      ...(onEvent === undefined ? {} : { onSecurityEvent: onEvent }),
      onSpeaker: (_, member) => {
        if (member !== undefined) onSpeaker?.(member.replace(/^sips:|@.*$/g, ''));
      },
    });
    const { portMin: first, portMax: last } = config.value.media;
    return new DemoSwitch(running, folder, { first, last });
  }

  private constructor(running: Switch, folder: string, mediaPorts: DemoSwitch['mediaPorts']) {
    this.#running = running;
    this.#folder = folder;
    this.mediaPorts = mediaPorts;
    this.target = `sips:${this.conference}@127.0.0.1:${running.sip.port}`;
    this.caPem = readFileSync(running.caFile!, 'utf8');
  }

  /** As shown; `none` when nobody is there. */
  level(): string {
    return this.#running.conferenceLevel(this.conference) ?? 'none';
  }

  get counters(): DemoCounters {
    const { ingress, egress, variants, drops } = this.#running.counters();
    return { ingress, egress, variants, drops };
  }

  async stop(): Promise<void> {
    await this.#running.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
