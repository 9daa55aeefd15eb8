/** The shape of a route of the administration API; the table itself is in routes.ts. */
import type { ServerResponse } from 'node:http';
import type { z } from 'zod';
import type { Caller, Role } from './credentials.js';
import type { AdminHost } from './host.js';
import type { Problem } from './problem.js';

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export type Answer =
  | { readonly status: number; readonly body?: unknown; readonly headers?: Readonly<Record<string, string>> }
  | { readonly problem: Problem; readonly headers?: Readonly<Record<string, string>> }
  /** The handler writes the response itself, for as long as it lasts. */
  | { readonly stream: (response: ServerResponse) => void };

export interface Request<P, Q, B> {
  readonly params: P;
  readonly query: Q;
  readonly body: B;
  readonly caller: Caller;
  readonly lastEventId: string | undefined;
}

export interface Route {
  readonly method: Method;
  /** `{name}` stands for one segment. */
  readonly path: string;
  readonly operationId: string;
  readonly summary: string;
  /** The least role. */
  readonly role: Role;
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodObject;
  /** What comes when all is well. */
  readonly answers: Readonly<
    Record<number, { readonly description: string; readonly schema?: z.ZodType; readonly mediaType?: string }>
  >;
  /** Statuses of problems beyond those that every route has. */
  readonly problems?: readonly number[];
  readonly handle: (request: Request<never, never, never>, host: AdminHost) => Answer | Promise<Answer>;
}

type Parsed<S extends z.ZodObject | undefined> = S extends z.ZodObject ? z.output<S> : undefined;

/** A route whose handler gets what its schemas give. */
export function route<
  P extends z.ZodObject | undefined = undefined,
  Q extends z.ZodObject | undefined = undefined,
  B extends z.ZodObject | undefined = undefined,
>(
  of: Omit<Route, 'params' | 'query' | 'body' | 'handle'> & {
    readonly params?: P;
    readonly query?: Q;
    readonly body?: B;
    readonly handle: (request: Request<Parsed<P>, Parsed<Q>, Parsed<B>>, host: AdminHost) => Answer | Promise<Answer>;
  },
): Route {
  return of as unknown as Route;
}
