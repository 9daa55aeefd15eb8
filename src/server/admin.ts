/** Health and metrics over HTTP, on loopback unless configured otherwise. It shows no key, no address of a caller and changes nothing. */
import { createServer, type Server } from 'node:http';
import type { Registry } from 'prom-client';
import type { Address } from '../base/ids.js';

export interface AdminOptions {
  readonly address: string;
  readonly port: number;
  readonly registry: Registry;
  /** Ready: new calls are taken. Alive but not ready: starting or stopping. */
  readonly isReady: () => boolean;
  readonly onProblem: (detail: string) => void;
}

export class AdminServer {
  readonly #options: AdminOptions;
  readonly #server: Server;

  constructor(options: AdminOptions) {
    this.#options = options;
    this.#server = createServer({ requestTimeout: 10_000, headersTimeout: 5_000 }, (request, response) => {
      const answer = (status: number, type: string, body: string): void => {
        response
          .writeHead(status, { 'content-type': type, 'cache-control': 'no-store' })
          .end(request.method === 'HEAD' ? '' : body);
      };
      if (request.method !== 'GET' && request.method !== 'HEAD') {
        response.setHeader('allow', 'GET, HEAD');
        answer(405, 'text/plain', 'only GET and HEAD\n');
      } else if (request.url === '/health/live') answer(200, 'text/plain', 'alive\n');
      else if (request.url === '/health/ready') {
        const ready = options.isReady();
        answer(ready ? 200 : 503, 'text/plain', ready ? 'ready\n' : 'not ready\n');
      } else if (request.url === '/metrics') {
        options.registry.metrics().then(
          (text) => answer(200, options.registry.contentType, text),
          (error: unknown) => {
            options.onProblem(`metrics: ${error instanceof Error ? error.message : String(error)}`);
            answer(500, 'text/plain', 'metrics failed; see the log\n');
          },
        );
      } else answer(404, 'text/plain', 'there is /health/live, /health/ready and /metrics\n');
    });
    this.#server.maxConnections = 64;
  }

  listen(): Promise<Address> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.#options.port, this.#options.address, () => {
        this.#server.off('error', reject);
        this.#server.on('error', (error) => this.#options.onProblem(error.message));
        const bound = this.#server.address();
        if (bound === null || typeof bound === 'string') reject(new Error('not a TCP listener'));
        else resolve({ address: bound.address, port: bound.port });
      });
    });
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }
}
