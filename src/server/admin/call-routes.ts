/** Calls that the switch makes: `POST /conferences/{conference}/calls` and what became of them. */
import { z } from 'zod';
import { DIAL_STATES, type DialView } from '../dialler.js';
import { invalidField, problem } from './problem.js';
import { type Route, route } from './route.js';
import { conferenceName, integerText } from './schemas.js';

const params = z.strictObject({ conference: conferenceName });
const callParams = z.strictObject({
  conference: conferenceName,
  call: integerText(1, Number.MAX_SAFE_INTEGER).describe('number of a call that the switch makes'),
});
const dialBody = z.strictObject({
  target: z
    .string()
    .min(1)
    .max(256)
    .describe('a number or name at the trunk’s peer, a sip: or sips: URI, or an endpoint that has registered'),
  trunk: z.string().min(1).max(64).optional().describe('name of a trunk; default: the only one that there is'),
});
const callView = z.strictObject({
  id: z.int(),
  conference: z.string(),
  target: z.string(),
  trunk: z.string().nullable().describe('null: an endpoint that has registered, over its own connection'),
  state: z.enum(DIAL_STATES),
  status: z.int().nullable().describe('final SIP status of a call that failed; null: nobody was reached'),
  reason: z.string().nullable(),
});

const toJson = ({ trunk, status, reason, ...view }: DialView): z.output<typeof callView> => ({
  ...view,
  trunk: trunk ?? null,
  status: status ?? null,
  reason: reason ?? null,
});

export const CALL_ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: '/conferences/{conference}/calls',
    operationId: 'listCalls',
    summary: 'Calls of the switch to endpoints, under way and lately over',
    role: 'viewer',
    params,
    answers: { 200: { description: 'in the order of dialling', schema: z.array(callView) } },
    handle: ({ params: { conference } }, host) => ({ status: 200, body: host.dialler.list(conference).map(toJson) }),
  }),
  route({
    method: 'POST',
    path: '/conferences/{conference}/calls',
    operationId: 'dial',
    summary: 'Call an endpoint into a conference',
    role: 'operator',
    params,
    body: dialBody,
    answers: { 202: { description: 'being made; its state says what becomes of it', schema: callView } },
    problems: [503],
    handle: ({ params: { conference }, body }, host) => {
      if (host.drain.draining) return { problem: problem('unavailable', 'draining: no new calls') };
      const made = host.dialler.dial({ conference, ...body });
      if (made.ok) return { status: 202, body: toJson(made.value) };
      const detail = made.detail ?? made.reason;
      return {
        problem: made.reason === 'limit' ? problem('unavailable', detail) : invalidField('body', made.reason, detail),
      };
    },
  }),
  route({
    method: 'GET',
    path: '/conferences/{conference}/calls/{call}',
    operationId: 'getCall',
    summary: 'What became of a call',
    role: 'viewer',
    params: callParams,
    answers: { 200: { description: 'as it is now', schema: callView } },
    problems: [404],
    handle: ({ params: { conference, call } }, host) => {
      const view = host.dialler.get(conference, call);
      return view === undefined
        ? { problem: problem('not-found', `there is no call ${call}`) }
        : { status: 200, body: toJson(view) };
    },
  }),
  route({
    method: 'DELETE',
    path: '/conferences/{conference}/calls/{call}',
    operationId: 'cancelCall',
    summary: 'Give up a call that is not answered yet',
    role: 'operator',
    params: callParams,
    answers: { 204: { description: 'given up, or over already' } },
    problems: [404],
    handle: ({ params: { conference, call } }, host) => {
      if (host.dialler.get(conference, call) === undefined)
        return { problem: problem('not-found', `there is no call ${call}`) };
      host.dialler.cancel(call);
      return { status: 204 };
    },
  }),
];
