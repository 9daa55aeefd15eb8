/**
 * The one table of the administration API. A route names its role, its schemas and what it answers; the server (api.ts)
 * authenticates, validates and answers problems from it, and openapi.ts writes the document from it.
 */
import { z } from 'zod';
import type { ConferenceView } from '../../control/administration.js';
import { SECURITY_EVENTS } from '../../security/events.js';
import { checkPolicy } from '../../security/policy.js';
import { CALL_ROUTES } from './call-routes.js';
import type { AdminHost } from './host.js';
import { openApi } from './openapi.js';
import { invalidField, type Problem, problem } from './problem.js';
import { type Answer, type Route, route } from './route.js';
import * as s from './schemas.js';
import { streamEvents } from './stream.js';
import { conferenceToJson, detailToJson, drainToJson } from './views.js';

const noConference = (name: string): { readonly problem: Problem } => ({
  problem: problem('not-found', `there is no conference ${name}`),
});

/** Answers 404 for a conference that there is not. */
function withConference(name: string, host: AdminHost, act: (view: ConferenceView) => Answer): Answer {
  const view = host.conference(name);
  return view === undefined ? noConference(name) : act(view);
}

/** ... and 409 for one in which nobody is: it has no state that could be changed. */
function withRunning(name: string, host: AdminHost, act: () => Answer): Answer {
  return withConference(name, host, ({ state }) =>
    state === undefined ? { problem: problem('conflict', `nobody is in conference ${name}`) } : act(),
  );
}

/** ... and 404 for a member that it does not have. */
function withMember(
  { conference, member }: { readonly conference: string; readonly member: number },
  host: AdminHost,
  act: () => Answer,
): Answer {
  return withConference(conference, host, ({ state }) =>
    state?.members.has(member) === true
      ? act()
      : { problem: problem('not-found', `there is no member ${member} in conference ${conference}`) },
  );
}

const conferences: readonly Route[] = [
  route({
    method: 'GET',
    path: '/conferences',
    operationId: 'listConferences',
    summary: 'Conferences that can be dialled by name or that run',
    role: 'viewer',
    query: s.conferencesQuery,
    answers: { 200: { description: 'in the order of their names', schema: z.array(s.conferenceSummary) } },
    handle: ({ query }, host) => ({
      status: 200,
      body: host
        .conferences()
        .map(conferenceToJson)
        .filter(({ level }) => query.level === undefined || level === query.level),
    }),
  }),
  route({
    method: 'POST',
    path: '/conferences',
    operationId: 'createConference',
    summary: 'Make a conference that can be dialled until it is ended or the switch stops',
    role: 'operator',
    body: s.createConferenceBody,
    answers: { 201: { description: 'made', schema: s.conferenceSummary } },
    problems: [409, 503],
    handle: ({ body }, host) => {
      const checked = checkPolicy(body.policy, body.requiredLevel);
      if (!checked.ok) {
        const field = checked.reason === 'level-does-not-fit' ? 'requiredLevel' : 'policy';
        return { problem: invalidField('body', field, checked.detail ?? checked.reason) };
      }
      if (host.conference(body.name) !== undefined)
        return { problem: problem('conflict', `conference ${body.name} exists`) };
      if (host.drain.draining) return { problem: problem('unavailable', 'draining: no new conferences') };
      if (host.conferences().length >= host.maxConferences)
        return { problem: problem('unavailable', `there are ${host.maxConferences} conferences already`) };
      const { suite = host.defaults.suite, switching = host.defaults.switching } = body;
      const chosen = {
        ...(suite && { suite }),
        ...(switching && { switching }),
        ...(body.codecs && { codecs: body.codecs }),
      };
      const settings = { ...host.defaults, ...checked.value, ...chosen };
      host.command({ type: 'create-conference', name: body.name, settings });
      return {
        status: 201,
        headers: { location: `/conferences/${body.name}` },
        body: conferenceToJson(host.conference(body.name)!),
      };
    },
  }),
  route({
    method: 'GET',
    path: '/conferences/{conference}',
    operationId: 'getConference',
    summary: 'One conference with its members, their channels, and its level over time',
    role: 'viewer',
    params: s.conferenceParams,
    answers: { 200: { description: 'as it is now', schema: s.conferenceDetail } },
    problems: [404],
    handle: ({ params }, host) =>
      withConference(params.conference, host, (view) => ({ status: 200, body: detailToJson(view, host) })),
  }),
  route({
    method: 'DELETE',
    path: '/conferences/{conference}',
    operationId: 'endConference',
    summary: 'End a conference: BYE to its members; one that was made through this API is forgotten',
    role: 'operator',
    params: s.conferenceParams,
    answers: { 204: { description: 'ended' } },
    problems: [404],
    handle: ({ params }, host) =>
      withConference(params.conference, host, () => {
        host.command({ type: 'end-conference', name: params.conference });
        return { status: 204 };
      }),
  }),
  route({
    method: 'PATCH',
    path: '/conferences/{conference}',
    operationId: 'controlConference',
    summary: 'Lock or unlock a conference in which somebody is, or change how it switches video',
    role: 'operator',
    params: s.conferenceParams,
    body: s.controlConferenceBody,
    answers: { 200: { description: 'as it is now', schema: s.conferenceSummary } },
    problems: [404, 409],
    handle: ({ params, body }, host) =>
      withRunning(params.conference, host, () => {
        const { locked, switching } = body;
        if (locked !== undefined) host.operate(params.conference, { type: 'lock', locked });
        if (switching !== undefined) host.operate(params.conference, { type: 'set-switching', mode: switching });
        return { status: 200, body: conferenceToJson(host.conference(params.conference)!) };
      }),
  }),
  route({
    method: 'POST',
    path: '/conferences/{conference}/rekey',
    operationId: 'rekeyConference',
    summary: 'Replace the group key as soon as the least interval between keys allows',
    role: 'operator',
    params: s.conferenceParams,
    answers: { 202: { description: 'asked for' } },
    problems: [404, 409],
    handle: ({ params }, host) =>
      withRunning(params.conference, host, () => {
        host.operate(params.conference, { type: 'rekey' });
        return { status: 202 };
      }),
  }),
  route({
    method: 'GET',
    path: '/conferences/{conference}/members',
    operationId: 'listMembers',
    summary: 'Members of a conference with the level of each channel',
    role: 'viewer',
    params: s.conferenceParams,
    answers: { 200: { description: 'in the order of joining', schema: z.array(s.memberView) } },
    problems: [404],
    handle: ({ params }, host) =>
      withConference(params.conference, host, (view) => ({ status: 200, body: detailToJson(view, host).members })),
  }),
  route({
    method: 'PATCH',
    path: '/conferences/{conference}/members/{member}',
    operationId: 'controlMember',
    summary: 'Mute a member’s audio or video, or take it back',
    role: 'operator',
    params: s.memberParams,
    body: s.controlMemberBody,
    answers: { 204: { description: 'done' } },
    problems: [404],
    handle: ({ params, body }, host) =>
      withMember(params, host, () => {
        const { conference, member } = params;
        for (const media of ['audio', 'video'] as const) {
          const muted = body.muted[media];
          if (muted !== undefined) host.operate(conference, { type: 'mute', member, media, muted });
        }
        return { status: 204 };
      }),
  }),
  route({
    method: 'DELETE',
    path: '/conferences/{conference}/members/{member}',
    operationId: 'dropMember',
    summary: 'Drop a member: BYE with the reason',
    role: 'operator',
    params: s.memberParams,
    answers: { 204: { description: 'dropped' } },
    problems: [404],
    handle: ({ params }, host) =>
      withMember(params, host, () => {
        host.operate(params.conference, { type: 'drop', member: params.member });
        return { status: 204 };
      }),
  }),
];

const events: readonly Route[] = [
  route({
    method: 'GET',
    path: '/events',
    operationId: 'listEvents',
    summary: 'Security events, the newest first',
    role: 'viewer',
    query: s.eventsQuery,
    answers: { 200: { description: 'those that fit', schema: z.array(s.eventView) } },
    handle: ({ query: { since, until, before, limit, ...rest } }, host) => ({
      status: 200,
      body: host.events.query(
        {
          ...rest,
          ...(since === undefined ? {} : { sinceMs: Date.parse(since) }),
          ...(until === undefined ? {} : { untilMs: Date.parse(until) }),
          ...(before === undefined ? {} : { before }),
        },
        limit,
      ),
    }),
  }),
  route({
    method: 'GET',
    path: '/events/catalogue',
    operationId: 'listEventCodes',
    summary: 'Every code of a security event: severity, what has happened, what to do next',
    role: 'viewer',
    answers: { 200: { description: 'in the order of the catalogue', schema: z.array(s.eventCodeView) } },
    handle: () => ({
      status: 200,
      body: Object.entries(SECURITY_EVENTS).map(([code, entry]) => ({ code, ...entry })),
    }),
  }),
  route({
    method: 'GET',
    path: '/events/stream',
    operationId: 'streamEvents',
    summary: 'Security events as they happen (server-sent events); Last-Event-ID resumes',
    role: 'viewer',
    query: s.eventStreamQuery,
    answers: { 200: { description: 'one event of the list a message', mediaType: 'text/event-stream' } },
    problems: [503],
    handle: ({ query, lastEventId }, host) => streamEvents(host.events, query, lastEventId),
  }),
];

const running: readonly Route[] = [
  route({
    method: 'GET',
    path: '/drain',
    operationId: 'getDrain',
    summary: 'Is the switch draining?',
    role: 'viewer',
    answers: { 200: { description: 'as it is now', schema: s.drainView } },
    handle: (_, host) => ({ status: 200, body: drainToJson(host) }),
  }),
  route({
    method: 'PUT',
    path: '/drain',
    operationId: 'startDrain',
    summary: 'No new conferences; those that run end by themselves, or at a deadline',
    role: 'admin',
    body: s.drainBody,
    answers: { 200: { description: 'draining', schema: s.drainView } },
    handle: ({ body }, host) => {
      host.drain.start(body.deadlineSeconds === undefined ? undefined : body.deadlineSeconds * 1_000);
      return { status: 200, body: drainToJson(host) };
    },
  }),
  route({
    method: 'DELETE',
    path: '/drain',
    operationId: 'stopDrain',
    summary: 'Take new conferences again',
    role: 'admin',
    answers: { 200: { description: 'not draining', schema: s.drainView } },
    handle: (_, host) => {
      host.drain.cancel();
      return { status: 200, body: drainToJson(host) };
    },
  }),
  route({
    method: 'POST',
    path: '/configuration/check',
    operationId: 'checkConfiguration',
    summary: 'Would the switch start with this configuration file? Nothing is changed',
    role: 'admin',
    body: s.checkBody,
    answers: { 200: { description: 'what was found', schema: s.checkView } },
    handle: ({ body }, host) => {
      const problems = host.checkConfiguration(body.toml);
      return { status: 200, body: { valid: problems.length === 0, problems } };
    },
  }),
  route({
    method: 'GET',
    path: '/health',
    operationId: 'getHealth',
    summary: 'Alive, ready, draining',
    role: 'viewer',
    answers: { 200: { description: 'as it is now', schema: s.healthView } },
    handle: (_, host) => ({
      status: 200,
      body: { alive: true, ready: host.isReady(), draining: host.drain.draining, version: host.version },
    }),
  }),
  route({
    method: 'GET',
    path: '/whoami',
    operationId: 'whoAmI',
    summary: 'Name and role of the token or certificate of this request',
    role: 'viewer',
    answers: { 200: { description: 'who you are', schema: s.callerView } },
    handle: ({ caller }) => ({ status: 200, body: caller }),
  }),
];

export const ROUTES: readonly Route[] = [...conferences, ...CALL_ROUTES, ...events, ...running];

/** The document at `/openapi.json`. */
export const OPENAPI = openApi(ROUTES);
