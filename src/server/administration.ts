/** The administration of a running switch: who may, what they see, what they may do. */
import { createRequire } from 'node:module';
import type { Registry } from 'prom-client';
import type { ControlInput, ControlOutput } from '../control/contract.js';
import type { Control } from '../control/control.js';
import type { Relay, RelayEvent } from '../relay/contract.js';
import { Credentials, ownToken } from './admin/credentials.js';
import type { AdminHost } from './admin/host.js';
import { RateLimit } from './admin/rate-limit.js';
import { ROUTES } from './admin/routes.js';
import { AdminServer } from './admin.js';
import type { Config } from './config.js';
import type { Dialler } from './dialler.js';
import { Drain } from './drain.js';
import type { EventJournal } from './events/journal.js';
import { LevelHistory } from './level-history.js';
import { loadConfig } from './load-config.js';
import type { TlsSet } from './tls-set.js';
import { TrafficMeter } from './traffic.js';

export interface AdministrationOptions {
  readonly config: Config;
  readonly control: Control;
  readonly relay: Relay;
  readonly registry: Registry;
  readonly journal: EventJournal;
  readonly files: AdministrationFiles;
  /** Settings of a conference that is made and does not say otherwise. */
  readonly defaults: AdminHost['defaults'];
  readonly dialler: Dialler;
  readonly receive: (input: ControlInput) => void;
  readonly isReady: () => boolean;
  readonly now: () => number;
  readonly onProblem: (detail: string) => void;
}

/** By the package's own name: sources and compiled files lie at different depths. */
export const VERSION = (createRequire(import.meta.url)('claviger/package.json') as { readonly version: string })
  .version;

/** What the administration port needs of files. */
export interface AdministrationFiles {
  readonly tls: TlsSet;
  readonly credentials: Credentials;
  /** File with the token of an installation that configures none. */
  readonly tokenFile?: string;
}

/** Reads and makes them, before anything is started; throws with the setting to mend. */
export function administrationFiles({ admin, data }: Config, tls: TlsSet): AdministrationFiles {
  const own = admin.tokens.length + admin.clients.length === 0 ? ownToken(data.dir) : undefined;
  return {
    tls,
    credentials: new Credentials(own === undefined ? admin.tokens : [own.entry], admin.clients),
    ...(own === undefined ? {} : { tokenFile: own.file }),
  };
}

export class Administration {
  readonly server: AdminServer;
  readonly #options: AdministrationOptions;
  readonly #drain: Drain;
  readonly #traffic: TrafficMeter;
  readonly #history = new LevelHistory();

  constructor(options: AdministrationOptions) {
    this.#options = options;
    const { config, control, relay, receive, now, onProblem } = options;
    const { admin } = config;
    this.#traffic = new TrafficMeter((channel) => relay.channelCounters(channel));
    this.#drain = new Drain({
      now,
      setDraining: (on) => receive({ type: 'administration', command: { type: 'drain', on } }),
      endAll: () => {
        for (const { name, state } of control.views())
          if (state !== undefined) receive({ type: 'administration', command: { type: 'end-conference', name } });
      },
    });
    const { tls, credentials } = options.files;
    this.server = new AdminServer({
      ...{ address: admin.address, port: admin.port, plain: admin.plain, tls },
      clients: admin.clientCa !== undefined,
      registry: options.registry,
      isReady: () => this.isReady(),
      onProblem,
      api: {
        routes: ROUTES,
        host: this.#host(),
        credentials,
        rateLimit: new RateLimit(),
        now,
        onProblem,
      },
    });
  }

  /** What the relay tells that nobody else keeps. */
  onRelay(events: readonly RelayEvent[]): void {
    for (const event of events) if (event.type === 'reports') this.#traffic.report(event.channel, event.reports);
  }

  onLevel({ conference, level }: Extract<ControlOutput, { type: 'level' }>): void {
    this.#history.add(conference, level ?? 'unknown', this.#options.now());
  }

  async close(): Promise<void> {
    this.#drain.close();
    await this.server.close();
  }

  isReady(): boolean {
    return this.#options.isReady() && !this.#drain.draining;
  }

  #host(): AdminHost {
    const { config, control, journal, receive, now } = this.#options;
    return {
      conferences: () => control.views(),
      conference: (name) => control.view(name),
      command: (command) => receive({ type: 'administration', command }),
      operate: (conference, event) => receive({ type: 'operate', conference, event }),
      traffic: (channel) => this.#traffic.read(channel, now()),
      history: (conference) => this.#history.of(conference),
      events: journal,
      drain: this.#drain,
      dialler: this.#options.dialler,
      checkConfiguration: (text) => {
        const checked = loadConfig({ file: 'configuration', text, flags: {}, env: {} });
        return checked.ok ? [] : (checked.detail ?? checked.reason).split('\n');
      },
      isReady: () => this.isReady(),
      maxConferences: config.conferences.max,
      defaults: this.#options.defaults,
      version: VERSION,
    };
  }
}
