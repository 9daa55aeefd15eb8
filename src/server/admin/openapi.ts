/** The OpenAPI 3.1 document of the administration API, from the same schemas that check its requests. */
import { STATUS_CODES } from 'node:http';
import { z } from 'zod';
import { PROBLEM_MEDIA_TYPE, PROBLEMS } from './problem.js';
import type { Route } from './route.js';
import { problemSchema } from './schemas.js';

type Json = Readonly<Record<string, unknown>>;

/** Problems that any route can answer with. */
const ALWAYS = [401, 403, 429, 500];

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' });
  return rest;
}

function parametersOf(route: Route): readonly Json[] {
  const each = (object: z.ZodObject | undefined, place: 'path' | 'query'): Json[] =>
    Object.entries(object?.shape ?? {}).map(([name, type]) => {
      const { description, default: standard, ...schema } = schemaOf(type as z.ZodType, 'output');
      return {
        ...{ name, in: place, required: place === 'path' },
        ...(description === undefined ? {} : { description }),
        schema: standard === undefined ? schema : { ...schema, default: standard },
      };
    });
  return [...each(route.params, 'path'), ...each(route.query, 'query')];
}

function responsesOf(route: Route): Json {
  const takesInput = route.params !== undefined || route.query !== undefined || route.body !== undefined;
  const problems = new Set([
    ...ALWAYS,
    ...(takesInput ? [400] : []),
    ...(route.body === undefined ? [] : [413, 415]),
    ...(route.problems ?? []),
  ]);
  return Object.fromEntries([
    ...Object.entries(route.answers).map(([status, { description, schema, mediaType }]) => [
      status,
      {
        description,
        ...(schema === undefined && mediaType === undefined
          ? {}
          : {
              content: {
                [mediaType ?? 'application/json']: {
                  schema: schema === undefined ? { type: 'string' } : schemaOf(schema, 'output'),
                },
              },
            }),
      },
    ]),
    ...[...problems]
      .sort((a, b) => a - b)
      .map((status) => [
        String(status),
        {
          description:
            Object.values(PROBLEMS).find((p) => p.status === status)?.title ?? STATUS_CODES[status] ?? 'a problem',
          content: { [PROBLEM_MEDIA_TYPE]: { schema: { $ref: '#/components/schemas/Problem' } } },
        },
      ]),
  ]);
}

export function openApi(routes: readonly Route[]): Json {
  const paths: Record<string, Record<string, Json>> = {};
  for (const route of routes) {
    paths[route.path] ??= {};
    paths[route.path]![route.method.toLowerCase()] = {
      operationId: route.operationId,
      summary: route.summary,
      description: `Least role: ${route.role}.`,
      parameters: parametersOf(route),
      ...(route.body === undefined
        ? {}
        : {
            requestBody: { required: true, content: { 'application/json': { schema: schemaOf(route.body, 'input') } } },
          }),
      responses: responsesOf(route),
    };
  }
  return {
    openapi: '3.1.0',
    info: { title: 'Claviger administration', version: '1', license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
    security: [{ token: [] }, { certificate: [] }],
    paths,
    components: {
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer' },
        certificate: { type: 'mutualTLS' },
      },
      schemas: { Problem: schemaOf(problemSchema, 'output') },
    },
  };
}
