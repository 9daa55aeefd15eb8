/** Security events as RFC 5424 syslog over TLS (RFC 5425); the connection is made again when it is lost. */
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { connect, type TLSSocket } from 'node:tls';
import { SYSLOG_MAX_QUEUED, SYSLOG_RECONNECT_MS, SYSLOG_TIMEOUT_MS } from '../../base/limits.js';
import type { Severity } from '../../security/events.js';
import type { EventRecord } from './record.js';

export interface SyslogOptions {
  readonly host: string;
  readonly port: number;
  /** Whom to trust; left out: the public authorities. */
  readonly caPem?: string;
  readonly onLost: (detail: string) => void;
  readonly reconnectMs?: number;
}

/** log audit (RFC 5424 table 1). */
const FACILITY = 13;
/** RFC 5424 table 2. */
const SEVERITY: Readonly<Record<Severity, number>> = { critical: 2, error: 3, warn: 4, info: 6 };

/** One message, without its frame. SD-PARAM values as RFC 5424 §6.3.3 wants them. */
export function syslogMessage(event: EventRecord, host: string, pid: number): string {
  const { id, time, code, severity, conference, endpoint, source, channel, cause, remedy, suppressed } = event;
  const params = Object.entries({ id, code, conference, endpoint, source, channel, remedy, suppressed })
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` ${name}="${String(value).replace(/(["\\\]])/g, '\\$1')}"`)
    .join('');
  const priority = FACILITY * 8 + SEVERITY[severity];
  // 32473 is the number for those who have none of their own (RFC 5612).
  return `<${priority}>1 ${time} ${host} claviger ${pid} ${code} [event@32473${params}] ${cause}`;
}

export class Syslog {
  readonly #options: SyslogOptions;
  readonly #queue: string[] = [];
  readonly #host =
    hostname()
      .replace(/[^\x21-\x7e]/g, '-')
      .slice(0, 255) || '-';
  #socket: TLSSocket | undefined;
  #ready = false;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: SyslogOptions) {
    this.#options = options;
    this.#connect();
  }

  get queued(): number {
    return this.#queue.length;
  }

  /** When too many wait, the oldest goes. */
  send(event: EventRecord): void {
    const message = syslogMessage(event, this.#host, process.pid);
    this.#queue.push(`${Buffer.byteLength(message)} ${message}`); // RFC 5425 §4.3
    if (this.#queue.length > SYSLOG_MAX_QUEUED) {
      this.#queue.shift();
      this.#options.onLost('too many messages wait for the syslog server');
    }
    this.#flush();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#socket?.end();
    this.#socket?.unref();
  }

  #connect(): void {
    const { host, port, caPem } = this.#options;
    const socket = connect({
      host,
      port,
      ...(isIP(host) === 0 ? { servername: host } : {}),
      ...(caPem === undefined ? {} : { ca: caPem }),
    });
    this.#socket = socket;
    socket.setTimeout(SYSLOG_TIMEOUT_MS, () => {
      if (!this.#ready || socket.writableNeedDrain)
        socket.destroy(new Error(`${SYSLOG_TIMEOUT_MS} ms without progress`));
    });
    socket.on('secureConnect', () => {
      this.#ready = true;
      this.#flush();
    });
    socket.on('drain', () => this.#flush());
    socket.on('error', (error) => this.#options.onLost(`syslog connection: ${error.message}`));
    socket.on('close', () => {
      this.#ready = false;
      if (this.#closed) return;
      this.#timer = setTimeout(() => this.#connect(), this.#options.reconnectMs ?? SYSLOG_RECONNECT_MS);
    });
    socket.resume(); // what it says is nothing to us; its end is
  }

  #flush(): void {
    while (this.#ready && this.#socket?.writableNeedDrain === false && this.#queue.length > 0)
      this.#socket.write(this.#queue.shift()!);
  }
}
