/** What the administration API takes and gives; validation and the OpenAPI document come from the same schemas. */
import { z } from 'zod';
import { ADMIN_MAX_EVENTS_PER_ANSWER } from '../../base/limits.js';
import { SECURITY_EVENTS, type SecurityEventCode } from '../../security/events.js';
import { AUDIO_CODECS, VIDEO_CODECS } from '../../sip/codecs.js';

export const integerText = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,16}$/, 'must be a whole number')
    .transform(Number)
    .pipe(z.int().min(min).max(max));
const instantText = z.iso.datetime({ offset: true, error: 'must be a time like 2030-01-31T12:00:00Z' });

export const conferenceName = z
  .string()
  .regex(/^[A-Za-z0-9._-]{1,64}$/, 'must be 1 to 64 of A-Z a-z 0-9 . _ -')
  .describe('name of a conference, as it is dialled');
const levelSchema = z.enum(['unknown', 'none', 'hop-by-hop', 'end-to-end']).describe('security level');
const policySchema = z.enum(['secure', 'best-effort', 'non-secure']);
const requiredLevelSchema = z.enum(['none', 'hop-by-hop', 'end-to-end']);
const switchingSchema = z
  .enum(['site', 'segment'])
  .describe('site: the loudest endpoint fills the displays; segment: each display shows the loudest of its place');
const suiteSchema = z.literal([1, 17, 18]).describe('SRTP suite: 1 AES-CM, 17 AES-128-GCM, 18 AES-256-GCM');

export const conferenceParams = z.strictObject({ conference: conferenceName });
export const memberParams = z.strictObject({
  conference: conferenceName,
  member: integerText(1, Number.MAX_SAFE_INTEGER).describe('number of a member'),
});

const codecsSchema = z
  .strictObject({
    audio: z
      .array(z.enum(AUDIO_CODECS))
      .min(1)
      .max(AUDIO_CODECS.length)
      .default([...AUDIO_CODECS]),
    video: z
      .array(z.enum(VIDEO_CODECS))
      .min(1)
      .max(VIDEO_CODECS.length)
      .default([...VIDEO_CODECS]),
  })
  .describe('codecs it may be held in, the best first; default: all that the switch carries');

export const createConferenceBody = z.strictObject({
  name: conferenceName,
  policy: policySchema.default('secure'),
  requiredLevel: requiredLevelSchema.optional().describe('default: end-to-end for secure, none for the others'),
  suite: suiteSchema.optional().describe('SRTP suite; default: that of the configuration'),
  codecs: codecsSchema.optional(),
  switching: switchingSchema.optional(),
});

export const controlConferenceBody = z
  .strictObject({
    locked: z.boolean().optional().describe('a locked conference refuses joiners with 403'),
    switching: switchingSchema.optional(),
  })
  .refine((body) => Object.keys(body).length > 0, 'nothing to do: give locked or switching');

export const controlMemberBody = z.strictObject({
  muted: z
    .strictObject({ audio: z.boolean().optional(), video: z.boolean().optional() })
    .refine((muted) => Object.keys(muted).length > 0, 'nothing to do: give audio or video'),
});

export const conferencesQuery = z.strictObject({ level: levelSchema.optional() });

const originSchema = z
  .enum(['configured', 'created', 'dialled'])
  .describe('in the configuration, made through this API, or made when somebody dialled it');

export const conferenceSummary = z.strictObject({
  name: z.string(),
  origin: originSchema,
  policy: policySchema,
  requiredLevel: requiredLevelSchema,
  suite: z.int(),
  switching: switchingSchema,
  locked: z.boolean(),
  level: levelSchema,
  members: z.int().describe('how many endpoints are in it'),
  speaker: z.string().nullable().describe('who speaks now'),
});

const bitsPerSecond = z
  .number()
  .min(0)
  .describe('bits a second over the last sampling interval, headers of UDP and IP not counted');
export const channelView = z.strictObject({
  id: z.int(),
  media: z.enum(['audio', 'video']),
  transport: z.enum(['dtls', 'plain']),
  phase: z.enum(['keying', 'negotiating', 'distributing', 'proven']),
  level: levelSchema,
  receivedBitsPerSecond: bitsPerSecond,
  sentBitsPerSecond: bitsPerSecond,
  lossFraction: z
    .number()
    .min(0)
    .max(1)
    .nullable()
    .describe('of what the endpoint sent, in the last report; null: no report'),
  refusedPackets: z.int().describe('packets of this channel that the relay refused since it was opened'),
});

export const memberView = z.strictObject({
  id: z.int(),
  name: z.string().describe('what the endpoint calls itself; not proven'),
  level: levelSchema,
  ready: z.boolean().describe('all its channels are proven: media flows'),
  speaker: z.boolean(),
  muted: z.strictObject({ audio: z.boolean(), video: z.boolean() }).describe('by an operator'),
  channels: z.array(channelView),
});

export const conferenceDetail = conferenceSummary.extend({
  members: z.array(memberView),
  history: z
    .array(z.strictObject({ time: z.string(), level: levelSchema }))
    .describe('the level over time, oldest first; the last entry is in force'),
});

const codes = Object.keys(SECURITY_EVENTS) as [SecurityEventCode, ...SecurityEventCode[]];
const codeSchema = z.enum(codes);
const severitySchema = z.enum(['info', 'warn', 'error', 'critical']);

export const eventsQuery = z.strictObject({
  code: codeSchema.optional(),
  severity: severitySchema.optional().describe('this severity or worse'),
  conference: conferenceName.optional(),
  since: instantText.optional().describe('at this time or later'),
  until: instantText.optional().describe('before this time'),
  before: integerText(1, Number.MAX_SAFE_INTEGER).optional().describe('id of an event: only older ones'),
  limit: integerText(1, ADMIN_MAX_EVENTS_PER_ANSWER).default(100),
});

export const eventView = z.strictObject({
  id: z.string().describe('rises with time'),
  time: z.string(),
  code: codeSchema,
  severity: severitySchema,
  conference: z.string().optional(),
  endpoint: z.string().optional(),
  channel: z.int().optional(),
  source: z.string().optional().describe('address that its signalling comes from'),
  from: levelSchema.optional().describe('level of the conference before'),
  to: levelSchema.optional().describe('... and after'),
  reason: z.string().optional().describe('why it changed, by name'),
  cause: z.string(),
  remedy: z.string(),
  members: z.array(z.string()).optional(),
  suppressed: z.int().optional().describe('events of the same cause before this one that were counted only'),
});

export const eventCodeView = z.strictObject({
  code: codeSchema,
  severity: severitySchema,
  cause: z.string().describe('with {endpoint}, {channel}, {conference} and {cause} where an event says them'),
  remedy: z.string(),
});

export const eventStreamQuery = z.strictObject({
  severity: severitySchema.optional().describe('this severity or worse'),
  conference: conferenceName.optional(),
});

export const drainBody = z.strictObject({
  deadlineSeconds: z
    .int()
    .min(0)
    .max(604_800)
    .optional()
    .describe('what still runs then is ended; default: conferences end by themselves'),
});

export const drainView = z.strictObject({
  draining: z.boolean(),
  deadline: z.string().nullable(),
  conferences: z.int().describe('how many still have members'),
});

export const checkBody = z.strictObject({
  toml: z.string().max(262_144).describe('a whole configuration file'),
});
export const checkView = z.strictObject({
  valid: z.boolean(),
  problems: z.array(z.string()).describe('each names the path and what is allowed there'),
});

export const callerView = z.strictObject({ name: z.string(), role: z.enum(['viewer', 'operator', 'admin']) });

export const healthView = z.strictObject({
  alive: z.literal(true),
  ready: z.boolean().describe('new conferences are taken'),
  draining: z.boolean(),
  version: z.string(),
});

export const problemSchema = z.strictObject({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string().optional(),
  errors: z
    .array(
      z.strictObject({
        in: z.enum(['body', 'query', 'path', 'header']),
        field: z.string(),
        pointer: z.string().optional(),
        detail: z.string(),
      }),
    )
    .optional(),
});
