/** Errors of the administration API as problem details (RFC 9457): they name the field and what is allowed there. */
import type { z } from 'zod';

/** One thing that is wrong with a request. */
export interface FieldProblem {
  readonly in: 'body' | 'query' | 'path' | 'header';
  /** Dotted path of the field, e.g. `codecs.0`; empty: the whole of it. */
  readonly field: string;
  /** JSON Pointer into the body (RFC 6901 §6), for a field of the body. */
  readonly pointer?: string;
  readonly detail: string;
}

export interface Problem {
  /** `urn:claviger:problem:` and a stable name for machines. */
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail?: string;
  readonly errors?: readonly FieldProblem[];
}

export const PROBLEM_MEDIA_TYPE = 'application/problem+json';

/** Every kind of problem the API answers with. */
export const PROBLEMS = {
  'invalid-request': { status: 400, title: 'The request is not valid' },
  unauthorized: { status: 401, title: 'A valid token or client certificate is needed' },
  forbidden: { status: 403, title: 'The role of this token does not allow it' },
  'tls-required': { status: 403, title: 'This is answered over TLS only' },
  'not-found': { status: 404, title: 'There is no such thing' },
  'method-not-allowed': { status: 405, title: 'The method is not allowed here' },
  conflict: { status: 409, title: 'It does not fit the present state' },
  'too-large': { status: 413, title: 'The body is too large' },
  'unsupported-media-type': { status: 415, title: 'The body must be application/json' },
  'too-many-requests': { status: 429, title: 'Too many requests from this address' },
  internal: { status: 500, title: 'The server failed; its log says why' },
  unavailable: { status: 503, title: 'Not now' },
} as const satisfies Readonly<Record<string, { readonly status: number; readonly title: string }>>;

export type ProblemName = keyof typeof PROBLEMS;

/** @param detail in words for a person; never a part of the request that could be a secret. */
export function problem(name: ProblemName, detail?: string, errors?: readonly FieldProblem[]): Problem {
  return {
    type: `urn:claviger:problem:${name}`,
    ...PROBLEMS[name],
    ...(detail === undefined ? {} : { detail }),
    ...(errors === undefined ? {} : { errors }),
  };
}

/** One field of a request that is not valid for a reason that its schema does not know. */
export function invalidField(place: FieldProblem['in'], field: string, detail: string): Problem {
  return problem('invalid-request', `${field}: ${detail}`, [fieldProblem(place, field.split('.'), detail)]);
}

/** What a schema found, at most 20 fields; values are not repeated. */
export function invalidFields(place: FieldProblem['in'], error: z.ZodError): Problem {
  const errors = error.issues
    .slice(0, 20)
    .flatMap((issue): FieldProblem[] =>
      issue.code === 'unrecognized_keys'
        ? issue.keys.slice(0, 20).map((key) => fieldProblem(place, [...issue.path, key], 'is not known here'))
        : [fieldProblem(place, issue.path, issue.message)],
    );
  const first = errors[0];
  return problem('invalid-request', first && `${first.field === '' ? place : first.field}: ${first.detail}`, errors);
}

function fieldProblem(place: FieldProblem['in'], path: readonly PropertyKey[], detail: string): FieldProblem {
  const keys = path.map((key) => String(key).slice(0, 64));
  const pointer = keys.map((key) => `/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
  return { in: place, field: keys.join('.'), ...(place === 'body' ? { pointer: `#${pointer}` } : {}), detail };
}
