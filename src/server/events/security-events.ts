/** The way of a security event in a running switch: counted, stored, logged, then to live listeners, webhook and syslog. */
import { mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { EVENT_TICK_MS } from '../../base/limits.js';
import { Secret } from '../../base/secret.js';
import type { SecurityEvent } from '../../security/events.js';
import type { Config } from '../config.js';
import type { Logger } from '../log.js';
import type { Metrics } from '../metrics.js';
import { readCertificates } from '../tls-files.js';
import { AuditStore } from './audit-store.js';
import { EventJournal } from './journal.js';
import type { EventRecord } from './record.js';
import { Syslog } from './syslog.js';
import { Webhook } from './webhook.js';

const DAY_MS = 86_400_000;

/** What the events need of files. */
export interface EventFiles {
  readonly webhook?: { readonly url: URL; readonly secret: Secret; readonly caPem?: string };
  readonly syslog?: { readonly host: string; readonly port: number; readonly caPem?: string };
}

/** Reads them before anything is started; throws with the setting to mend. */
export function eventFiles({ events }: Config): EventFiles {
  const ca = (file: string | undefined, remedy: string) =>
    file === undefined ? {} : { caPem: readCertificates(file, remedy) };
  const { webhookUrl, webhookSecretFile, syslogHost } = events;
  return {
    ...(webhookUrl === undefined || webhookSecretFile === undefined
      ? {}
      : {
          webhook: {
            url: new URL(webhookUrl),
            secret: readSecret(webhookSecretFile),
            ...ca(events.webhookCa, 'check --events-webhook-ca'),
          },
        }),
    ...(syslogHost === undefined
      ? {}
      : {
          syslog: { host: syslogHost, port: events.syslogPort, ...ca(events.syslogCa, 'check --events-syslog-ca') },
        }),
  };
}

function readSecret(file: string): Secret {
  const remedy = 'check --events-webhook-secret-file';
  let bytes: Uint8Array;
  try {
    bytes = Uint8Array.from(Buffer.from(readFileSync(file, 'utf8').trim()));
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : String(error)}: ${remedy}`);
  }
  if (bytes.length < 16) throw new Error(`${file} holds fewer than 16 characters: ${remedy}`);
  return new Secret(bytes);
}

export interface SecurityEventsOptions {
  readonly config: Config;
  readonly files: EventFiles;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly now: () => number;
  readonly onEvent?: ((event: EventRecord) => void) | undefined;
}

export class SecurityEvents {
  readonly journal: EventJournal;
  readonly #options: SecurityEventsOptions;
  readonly #webhook: Webhook | undefined;
  readonly #syslog: Syslog | undefined;
  readonly #timer: NodeJS.Timeout;

  constructor(options: SecurityEventsOptions) {
    this.#options = options;
    const { config, files, log, now } = options;
    const { maxDays, maxMegabytes } = config.events;
    const file = config.events.file ?? join(config.data.dir, 'audit.db');
    const lost = (detail: string): void => {
      options.metrics.lostNotices.inc();
      log.warn({ detail }, 'a security event did not reach its listener');
    };
    this.journal = new EventJournal({
      open: () => {
        mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
        return new AuditStore(file, { maxAgeMs: maxDays * DAY_MS, maxBytes: maxMegabytes * 1_048_576 });
      },
      onAlarm: (problem) => {
        if (problem === undefined) log.warn('the audit store works again');
        else log.error({ file, problem }, 'the audit store does not work; events wait in memory');
      },
    });
    this.#webhook = files.webhook && new Webhook({ ...files.webhook, now, onLost: lost });
    this.#syslog = files.syslog && new Syslog({ ...files.syslog, onLost: lost });
    this.journal.listen((event) => this.#tell(event));
    this.journal.start(now());
    this.#timer = setInterval(() => this.journal.tick(now()), EVENT_TICK_MS);
  }

  /** Written when it returns; what is over a cause's rate is counted only. */
  record(event: SecurityEvent): void {
    this.#options.metrics.securityEvents.inc({ code: event.code, severity: event.severity });
    if (event.code === 'conference-downgraded' || event.code === 'conference-started-low')
      this.#options.metrics.downgrades.inc({ to: event.to ?? 'unknown', reason: event.reason ?? 'unknown' });
    const record = this.journal.record(event, this.#options.now());
    if (record === undefined) this.#options.metrics.suppressedEvents.inc({ code: event.code });
  }

  /** How many events wait, and where. */
  queues(): Readonly<Record<string, number>> {
    return {
      audit_store: this.journal.waiting,
      webhook: this.#webhook?.queued ?? 0,
      syslog: this.#syslog?.queued ?? 0,
    };
  }

  close(): void {
    clearInterval(this.#timer);
    this.journal.close(this.#options.now());
    this.#webhook?.close();
    this.#syslog?.close();
    this.#options.files.webhook?.secret.wipe();
  }

  #tell(event: EventRecord): void {
    const { severity } = event;
    const level = severity === 'critical' ? 'error' : severity;
    this.#options.log[level]({ security: event }, event.cause);
    this.#options.onEvent?.(event);
    this.#webhook?.send(event);
    this.#syslog?.send(event);
  }
}
