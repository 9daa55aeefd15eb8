/**
 * Security events to an operator's own HTTP endpoint: one POST an event, in order, again with growing pauses until it is
 * taken. The receiver checks `Claviger-Signature: t=<unix seconds>,v1=<hex>`: HMAC-SHA-256 under the shared secret over
 * `<t>.<body>`, so that nobody else can post and an old post cannot be sent again later.
 */
import { createHmac } from 'node:crypto';
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import {
  WEBHOOK_MAX_ATTEMPTS,
  WEBHOOK_MAX_QUEUED,
  WEBHOOK_RETRY_INITIAL_MS,
  WEBHOOK_RETRY_MAX_MS,
  WEBHOOK_TIMEOUT_MS,
} from '../../base/limits.js';
import type { Secret } from '../../base/secret.js';
import type { EventRecord } from './record.js';

export interface WebhookOptions {
  readonly url: URL;
  readonly secret: Secret;
  /** Whom to trust for an https URL; left out: the public authorities. */
  readonly caPem?: string;
  readonly now: () => number;
  /** An event was given up, or there was no room for it. */
  readonly onLost: (detail: string) => void;
  readonly retryInitialMs?: number;
}

export class Webhook {
  readonly #options: WebhookOptions;
  readonly #queue: EventRecord[] = [];
  #attempts = 0;
  #busy = false;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: WebhookOptions) {
    this.#options = options;
  }

  get queued(): number {
    return this.#queue.length;
  }

  /** When too many wait, the oldest goes. */
  send(event: EventRecord): void {
    this.#queue.push(event);
    // The first may be on its way.
    if (this.#queue.length > WEBHOOK_MAX_QUEUED)
      this.#options.onLost(`event ${this.#queue.splice(1, 1)[0]!.id}: too many wait`);
    this.#next();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #next(): void {
    const event = this.#queue[0];
    if (this.#busy || this.#closed || event === undefined) return;
    this.#busy = true;
    this.#post(JSON.stringify(event)).then((problem) => this.#done(event, problem));
  }

  #done(event: EventRecord, problem: string | undefined): void {
    if (problem !== undefined && ++this.#attempts < WEBHOOK_MAX_ATTEMPTS) {
      const initial = this.#options.retryInitialMs ?? WEBHOOK_RETRY_INITIAL_MS;
      const pause = Math.min(initial * 2 ** (this.#attempts - 1), WEBHOOK_RETRY_MAX_MS);
      if (this.#closed) return;
      this.#timer = setTimeout(() => {
        this.#busy = false;
        this.#next();
      }, pause);
      return;
    }
    if (problem !== undefined) this.#options.onLost(`event ${event.id}: ${problem}, ${this.#attempts} attempts`);
    this.#attempts = 0;
    this.#queue.shift();
    this.#busy = false;
    this.#next();
  }

  /** @returns what went wrong, never anything of the secret or the answer's body. */
  #post(body: string): Promise<string | undefined> {
    const { url, secret, caPem, now } = this.#options;
    const time = Math.floor(now() / 1_000);
    const signature = secret.use((key) => createHmac('sha256', key).update(`${time}.${body}`).digest('hex'));
    const headers = {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      'claviger-signature': `t=${time},v1=${signature}`,
    };
    return new Promise((resolve) => {
      const options = { method: 'POST', headers, timeout: WEBHOOK_TIMEOUT_MS };
      const request =
        url.protocol === 'https:'
          ? requestHttps(url, { ...options, ...(caPem === undefined ? {} : { ca: caPem }) })
          : requestHttp(url, options);
      request.on('response', (response) => {
        response.resume();
        const status = response.statusCode ?? 0;
        resolve(status >= 200 && status < 300 ? undefined : `status ${status}`);
      });
      request.on('timeout', () => request.destroy(new Error(`no answer in ${WEBHOOK_TIMEOUT_MS} ms`)));
      request.on('error', (error) => resolve(error.message));
      request.end(body);
    });
  }
}
