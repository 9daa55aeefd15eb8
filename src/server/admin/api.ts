/**
 * One request of the administration API from its first line to its answer. The order of the checks: how often, who, what,
 * may they, is it valid. Whoever has no token learns nothing, not even which paths there are.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type { z } from 'zod';
import { ADMIN_MAX_BODY_BYTES, ADMIN_UNAUTHORIZED_COST } from '../../base/limits.js';
import { ok, type Result } from '../../base/result.js';
import { allows, type Caller, type Credentials } from './credentials.js';
import type { AdminHost } from './host.js';
import { type FieldProblem, invalidFields, PROBLEM_MEDIA_TYPE, type Problem, problem } from './problem.js';
import type { RateLimit } from './rate-limit.js';
import type { Answer, Request, Route } from './route.js';

export interface ApiOptions {
  readonly routes: readonly Route[];
  readonly host: AdminHost;
  readonly credentials: Credentials;
  readonly rateLimit: RateLimit;
  readonly now: () => number;
  readonly onProblem: (detail: string) => void;
}

type Checked<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: Problem };

/** Ends `response` with an answer, or lets a stream have it. */
export async function handleApi(
  request: IncomingMessage,
  response: ServerResponse,
  options: ApiOptions,
): Promise<void> {
  const answer = await answerTo(request, options).catch((error: unknown): Answer => {
    options.onProblem(`${request.method} failed: ${error instanceof Error ? error.message : String(error)}`);
    return { problem: problem('internal') };
  });
  if (response.destroyed) return;
  if ('stream' in answer) {
    answer.stream(response);
    return;
  }
  const [status, body, type] =
    'problem' in answer
      ? [answer.problem.status, answer.problem, PROBLEM_MEDIA_TYPE]
      : [answer.status, answer.body, 'application/json'];
  // What is left of a body that was not read is not worth reading.
  const headers = { ...answer.headers, ...(request.complete ? {} : { connection: 'close' }) };
  sendJson(response, status, body, type, headers);
}

export function sendJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  type: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, {
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...headers,
    ...(body === undefined ? {} : { 'content-type': type }),
  });
  response.end(body === undefined ? undefined : JSON.stringify(body));
}

async function answerTo(request: IncomingMessage, options: ApiOptions): Promise<Answer> {
  const { credentials, rateLimit, host } = options;
  const address = request.socket.remoteAddress ?? '';
  const waitMs = rateLimit.take(address, 1, options.now());
  if (waitMs > 0)
    return {
      problem: problem('too-many-requests'),
      headers: { 'retry-after': String(Math.ceil(waitMs / 1_000)) },
    };
  const caller = credentials.identify(request.headers.authorization, subjectOf(request));
  if (caller === undefined) {
    rateLimit.take(address, ADMIN_UNAUTHORIZED_COST, options.now());
    return { problem: problem('unauthorized'), headers: { 'www-authenticate': 'Bearer realm="claviger"' } };
  }
  const found = findRoute(options.routes, request);
  if (!found.ok) return found.answer;
  const { route, segments, search } = found.value;
  if (!allows(caller.role, route.role))
    return { problem: problem('forbidden', `${route.operationId} needs the role ${route.role}, not ${caller.role}`) };
  const input = await readInput(request, route, segments, search, caller);
  if (!input.ok) return { problem: input.problem };
  return route.handle(input.value as Request<never, never, never>, host);
}

function subjectOf({ socket }: IncomingMessage): string | undefined {
  const tls = socket as Partial<TLSSocket>;
  if (tls.authorized !== true) return undefined;
  const subject = tls.getPeerCertificate?.().subject?.CN;
  return typeof subject === 'string' ? subject : undefined;
}

interface Found {
  readonly route: Route;
  readonly segments: Readonly<Record<string, string>>;
  readonly search: URLSearchParams;
}

function findRoute(
  routes: readonly Route[],
  request: IncomingMessage,
): { readonly ok: true; readonly value: Found } | { readonly ok: false; readonly answer: Answer } {
  const [path = '', query = ''] = (request.url ?? '').split('?', 2);
  const methods: string[] = [];
  // A path without a parameter goes before one that would match it with one.
  for (const route of [...routes].sort((a, b) => a.path.split('{').length - b.path.split('{').length)) {
    const segments = matchPath(route.path, path);
    if (segments === undefined) continue;
    if (route.method === request.method)
      return { ok: true, value: { route, segments, search: new URLSearchParams(query) } };
    methods.push(route.method);
  }
  if (methods.length === 0)
    return { ok: false, answer: { problem: problem('not-found', 'the paths are in /openapi.json') } };
  return { ok: false, answer: { problem: problem('method-not-allowed'), headers: { allow: methods.join(', ') } } };
}

function matchPath(pattern: string, path: string): Record<string, string> | undefined {
  const wanted = pattern.split('/');
  const given = path.split('/');
  if (wanted.length !== given.length) return undefined;
  const segments: Record<string, string> = {};
  for (const [i, part] of wanted.entries()) {
    const text = given[i]!;
    if (!part.startsWith('{')) {
      if (part !== text) return undefined;
      continue;
    }
    const decoded = decodeSegment(text);
    if (decoded === undefined) return undefined;
    segments[part.slice(1, -1)] = decoded;
  }
  return segments;
}

function decodeSegment(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined; // a broken percent sign (RFC 3986 §2.1) names nothing
  }
}

async function readInput(
  request: IncomingMessage,
  route: Route,
  segments: Readonly<Record<string, string>>,
  search: URLSearchParams,
  caller: Caller,
): Promise<Checked<Request<unknown, unknown, unknown>>> {
  const params = check('path', route.params, segments);
  if (!params.ok) return params;
  const query = readQuery(route, search);
  if (!query.ok) return query;
  const body = await readBody(request, route);
  if (!body.ok) return body;
  const id = request.headers['last-event-id'];
  const lastEventId = typeof id === 'string' ? id : undefined;
  return ok({ params: params.value, query: query.value, body: body.value, caller, lastEventId });
}

function readQuery(route: Route, search: URLSearchParams): Checked<unknown> {
  const names = [...search.keys()];
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  const surplus = route.query === undefined ? names[0] : undefined;
  const wrong = twice ?? surplus;
  if (wrong !== undefined) {
    const detail = twice === undefined ? 'is not known here' : 'stands there twice';
    const error: FieldProblem = { in: 'query', field: wrong.slice(0, 64), detail };
    return { ok: false, problem: problem('invalid-request', `${error.field}: ${detail}`, [error]) };
  }
  return check('query', route.query, Object.fromEntries(search));
}

function check(place: FieldProblem['in'], schema: z.ZodObject | undefined, value: unknown): Checked<unknown> {
  if (schema === undefined) return ok(undefined);
  const parsed = schema.safeParse(value);
  return parsed.success ? ok(parsed.data) : { ok: false, problem: invalidFields(place, parsed.error) };
}

async function readBody(request: IncomingMessage, route: Route): Promise<Checked<unknown>> {
  if (route.body === undefined) return ok(undefined);
  const type = (request.headers['content-type'] ?? '').split(';')[0]!.trim().toLowerCase();
  if (type !== 'application/json') return { ok: false, problem: problem('unsupported-media-type') };
  const text = await readText(request);
  if (!text.ok) return { ok: false, problem: problem('too-large', `at most ${ADMIN_MAX_BODY_BYTES} bytes`) };
  let value: unknown;
  try {
    value = JSON.parse(text.value);
  } catch {
    const error: FieldProblem = { in: 'body', field: '', pointer: '#', detail: 'is not JSON' };
    return { ok: false, problem: problem('invalid-request', 'the body is not JSON', [error]) };
  }
  return check('body', route.body, value);
}

async function readText(request: IncomingMessage): Promise<Result<string, 'too-large'>> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  // Not destroyed when it is left unread: the answer goes the same way.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > ADMIN_MAX_BODY_BYTES) return { ok: false, reason: 'too-large' };
    chunks.push(chunk);
  }
  return ok(Buffer.concat(chunks).toString('utf8'));
}
