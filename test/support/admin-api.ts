/** The administration API without a switch behind it: views and commands that a test writes down. */
import { request as plainRequest } from 'node:http';
import { type RequestOptions, request } from 'node:https';
import { Registry } from 'prom-client';
import type { OperatorEvent } from '../../src/conference/contract.js';
import type { AdministrationCommand, ConferenceView } from '../../src/control/administration.js';
import { createSelfSigned } from '../../src/dtls/certificate.js';
import {
  type CertificateEntry,
  type Compare,
  Credentials,
  makeToken,
  type Role,
} from '../../src/server/admin/credentials.js';
import type { AdminHost } from '../../src/server/admin/host.js';
import { RateLimit } from '../../src/server/admin/rate-limit.js';
import { ROUTES } from '../../src/server/admin/routes.js';
import { AdminServer } from '../../src/server/admin.js';
import { trunkProfile, trunkSchema } from '../../src/server/config-trunks.js';
import { Dialler } from '../../src/server/dialler.js';
import { Drain } from '../../src/server/drain.js';
import { EventJournal } from '../../src/server/events/journal.js';
import { loadConfig } from '../../src/server/load-config.js';

export interface ApiAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  /** Parsed, when it is JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: a test reads what it expects
  readonly json: any;
}

export interface Asked {
  readonly token?: string | undefined;
  /** JSON, or text as it is. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly plain?: boolean;
  readonly tls?: Pick<RequestOptions, 'cert' | 'key'>;
}

/** One request; resolves with whatever is answered. */
export function ask(port: number, method: string, path: string, asked: Asked = {}): Promise<ApiAnswer> {
  const body = asked.body === undefined || typeof asked.body === 'string' ? asked.body : JSON.stringify(asked.body);
  return new Promise((resolve, reject) => {
    const options: RequestOptions = {
      ...{ host: '127.0.0.1', port, method, path, agent: false, rejectUnauthorized: false, ...asked.tls },
      headers: {
        ...(asked.token === undefined ? {} : { authorization: `Bearer ${asked.token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...asked.headers,
      },
    };
    const sent = (asked.plain === true ? plainRequest : request)(options, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => {
        const isJson = /json/.test(response.headers['content-type'] ?? '');
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text,
          json: isJson ? JSON.parse(text) : undefined,
        });
      });
      response.on('error', reject);
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

export interface TestApi {
  readonly port: number;
  readonly tokens: Readonly<Record<Role, string>>;
  readonly views: Map<string, ConferenceView>;
  readonly commands: AdministrationCommand[];
  readonly operated: { readonly conference: string; readonly event: OperatorEvent }[];
  readonly journal: EventJournal;
  readonly drained: string[];
  readonly clock: { now: number };
  readonly problems: string[];
  ready: boolean;
  close(): Promise<void>;
}

export async function startApi(
  options: {
    readonly plain?: boolean;
    readonly compare?: Compare;
    readonly certificates?: readonly CertificateEntry[];
    readonly clientCaPem?: string;
  } = {},
): Promise<TestApi> {
  const clock = { now: Date.UTC(2030, 0, 1) };
  const views = new Map<string, ConferenceView>();
  const commands: AdministrationCommand[] = [];
  const operated: TestApi['operated'] = [];
  const journal = new EventJournal();
  const drained: string[] = [];
  const problems: string[] = [];
  const made = { viewer: makeToken(), operator: makeToken(), admin: makeToken() };
  const drain = new Drain({
    now: () => clock.now,
    setDraining: (on) => drained.push(on ? 'on' : 'off'),
    endAll: () => drained.push('end'),
  });
  const state = { ready: true };
  const host: AdminHost = {
    conferences: () => [...views.values()],
    conference: (name) => views.get(name),
    command: (command) => {
      commands.push(command);
      if (command.type === 'create-conference') {
        const { name, settings } = command;
        views.set(name, { name, origin: 'created', settings, state: undefined });
      }
    },
    operate: (conference, event) => void operated.push({ conference, event }),
    traffic: () => ({ receivedBitsPerSecond: 1_000, sentBitsPerSecond: 0, lossFraction: undefined, refusedPackets: 0 }),
    history: () => {
      const minutesAgo = (minutes: number): number => Date.now() - minutes * 60_000;
      return [
        { time: minutesAgo(50), level: 'end-to-end' },
        { time: minutesAgo(30), level: 'hop-by-hop' },
        { time: minutesAgo(20), level: 'none' },
        { time: minutesAgo(5), level: 'end-to-end' },
      ];
    },
    events: journal,
    drain,
    // Its one peer never answers.
    dialler: new Dialler({
      ways: {
        trunks: [
          trunkProfile(trunkSchema.parse({ name: 'peer', x509Names: ['peer.example'], peers: ['peer.example'] })),
        ],
        locate: () => new Promise(() => undefined),
        connect: async () => undefined,
      },
      flowsOf: () => [],
      receive: () => undefined,
      now: () => clock.now,
    }),
    checkConfiguration: (text) => {
      const checked = loadConfig({ file: 'configuration', text, flags: {}, env: {} });
      return checked.ok ? [] : [checked.detail ?? ''];
    },
    isReady: () => state.ready,
    maxConferences: 3,
    defaults: { suite: 1, switching: 'site' },
    version: '0.0.0',
  };
  const certificate = await createSelfSigned('test', Date.now());
  const entries = (['viewer', 'operator', 'admin'] as const).map((role) => ({
    name: `a ${role}`,
    role,
    sha256: made[role].sha256,
  }));
  const server = new AdminServer({
    address: '127.0.0.1',
    port: 0,
    plain: options.plain ?? false,
    tls: {
      where: 'test',
      chainPem: certificate.certificatePem,
      key: certificate.privateKeyPem,
      ...{
        caPem: options.clientCaPem === undefined ? [] : [options.clientCaPem],
        crlPem: [],
        ciphers: undefined,
        files: [],
      },
    },
    clients: options.clientCaPem !== undefined,
    registry: new Registry(),
    isReady: () => state.ready,
    onProblem: (detail) => void problems.push(detail),
    api: {
      routes: ROUTES,
      host,
      credentials: new Credentials(entries, options.certificates ?? [], options.compare),
      rateLimit: new RateLimit(),
      now: () => clock.now,
      onProblem: (detail) => void problems.push(detail),
    },
  });
  const { port } = await server.listen();
  return {
    ...{ port, views, commands, operated, journal, drained, clock, problems },
    tokens: { viewer: made.viewer.token, operator: made.operator.token, admin: made.admin.token },
    get ready() {
      return state.ready;
    },
    set ready(value) {
      state.ready = value;
    },
    close: async () => {
      drain.close();
      await server.close();
    },
  };
}
