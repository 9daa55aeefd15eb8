import { describe, expect, it } from 'vitest';
import type { ConferenceEvent, Effect } from '../../../src/conference/contract.js';
import { deadline, reduce } from '../../../src/conference/reduce.js';
import { audioOf, CAPABLE, Driver, videoOf } from './helpers.js';

/** Member 1 is always there and ready (but where the row says otherwise); member 2 is the one the row is about. */
const STATES: Readonly<Record<string, () => Driver>> = {
  'empty conference': () => new Driver(),
  'member unknown': () => {
    const d = new Driver();
    d.enter(1);
    return d;
  },
  keying: () => {
    const d = STATES['member unknown']!();
    d.join(2);
    return d;
  },
  negotiating: () => {
    const d = STATES.keying!();
    d.keyed(audioOf(2));
    d.keyed(videoOf(2));
    return d;
  },
  distributing: () => {
    const d = STATES.negotiating!();
    d.negotiated(audioOf(2));
    d.negotiated(videoOf(2));
    return d;
  },
  'audio proven, video distributing': () => {
    const d = STATES.distributing!();
    d.ackAll(audioOf(2));
    return d;
  },
  ready: () => {
    const d = STATES['audio proven, video distributing']!();
    d.ackAll(videoOf(2));
    return d;
  },
  'ready, rekey sent': () => {
    const d = STATES.ready!();
    d.enter(3);
    d.advance(20_000);
    d.leave(3);
    return d;
  },
  'hop-by-hop, negotiating': () => {
    const d = new Driver({ requiredLevel: 'hop-by-hop' });
    d.enter(1);
    d.join(2);
    d.keyed(audioOf(2));
    d.keyed(videoOf(2));
    return d;
  },
  'non-secure, ready': () => {
    const d = new Driver({ policy: 'non-secure', requiredLevel: 'none' });
    d.join(1, 'plain');
    d.join(2, 'plain');
    return d;
  },
  closed: () => {
    const d = STATES.ready!();
    d.send({ type: 'close', reason: 'operator' });
    return d;
  },
};

const channel = audioOf(2);
const join = (member: number, security: 'dtls' | 'plain'): ConferenceEvent => ({
  type: 'join',
  member,
  name: 'n',
  channels: [
    { channel: audioOf(member), media: 'audio', security },
    { channel: videoOf(member), media: 'video', security },
  ],
});
const fail = (reason: Extract<ConferenceEvent, { type: 'channel-failed' }>['reason']): ConferenceEvent => ({
  type: 'channel-failed',
  channel,
  reason,
  detail: 'd',
});
const EVENTS: Readonly<Record<string, ConferenceEvent>> = {
  'join 2, dtls': join(2, 'dtls'),
  'join 2, plain': join(2, 'plain'),
  'join 5 with a channel of 1': {
    type: 'join',
    member: 5,
    name: 'n',
    channels: [{ channel: videoOf(1), media: 'video', security: 'dtls' }],
  },
  'join 5 with two videos': {
    type: 'join',
    member: 5,
    name: 'n',
    channels: [
      { channel: 501, media: 'video', security: 'dtls' },
      { channel: 502, media: 'video', security: 'dtls' },
    ],
  },
  'join 5 without media': { type: 'join', member: 5, name: 'n', channels: [] },
  'add a second audio to 2': {
    type: 'add-channels',
    member: 2,
    channels: [{ channel: 29, media: 'audio', security: 'dtls' }],
  },
  'channel-keyed': { type: 'channel-keyed', channel, fingerprint: 'f' },
  'channel-negotiated, capable': { type: 'channel-negotiated', channel, tip: CAPABLE },
  'channel-negotiated, version 6': { type: 'channel-negotiated', channel, tip: { ...CAPABLE, version: 6 } },
  'set-acked 1': { type: 'set-acked', channel, spiWord: 1 },
  'set-acked 3': { type: 'set-acked', channel, spiWord: 3 },
  'dtls-failed': fail('dtls-failed'),
  'fingerprint-mismatch': fail('fingerprint-mismatch'),
  'media-timeout': fail('media-timeout'),
  'spimap-timeout': fail('spimap-timeout'),
  'consent-lost': fail('consent-lost'),
  'auth-failures': fail('auth-failures'),
  activity: { type: 'activity', channel, position: 1, energy: 50, packets: 5 },
  refresh: { type: 'refresh', channel: videoOf(2), position: 1 },
  'refresh-wanted': { type: 'refresh-wanted', receiver: videoOf(2), sink: 1 },
  switched: { type: 'switched', receiver: videoOf(2), sink: 1, source: videoOf(1), position: 1 },
  'set-switching': { type: 'set-switching', mode: 'segment' },
  lock: { type: 'lock', locked: true },
  'mute 1': { type: 'mute', member: 1, media: 'audio', muted: true },
  'drop 2': { type: 'drop', member: 2 },
  rekey: { type: 'rekey' },
  'leave 2': { type: 'leave', member: 2, cause: 'hung-up' },
  tick: { type: 'tick' },
  close: { type: 'close', reason: 'stopping' },
};

function short(effect: Effect): string {
  switch (effect.type) {
    case 'illegal':
      return `illegal (${effect.why})`;
    case 'refuse':
    case 'refuse-channels':
      return `${effect.type} ${effect.status} ${effect.reason}`;
    case 'end-call':
      return `end-call ${effect.member} ${effect.status}`;
    case 'security-event':
      return `event ${effect.code}`;
    case 'channel-parameters':
      return `${effect.channel}:${effect.level}${effect.ready ? ' ready' : ''}`;
    case 'make-set':
    case 'drop-set':
      return `${effect.type} ${effect.spiWord}`;
    case 'send-set':
      return `send-set ${effect.spiWord}>${effect.channel}`;
    case 'routes':
      return `routes ${effect.media} (${effect.edges.length})`;
    case 'level':
      return `level ${effect.level}`;
    case 'speaker':
      return `speaker ${effect.member}`;
    case 'notify':
      return `notify ${effect.channel} ${effect.secure ? 'secure' : 'not secure'}`;
    default:
      return effect.type;
  }
}

/** A copy to compare with: Maps and Sets included. */
const frozen = (value: unknown) => structuredClone(value);

describe('every state against every event', () => {
  it('the golden table', async () => {
    const lines: string[] = [];
    for (const [name, make] of Object.entries(STATES)) {
      lines.push(`== ${name}`);
      const { state, now } = make();
      for (const [title, event] of Object.entries(EVENTS)) {
        const before = frozen(state);
        const { state: after, effects } = reduce(state, event, now);
        expect(state, 'the state that was given is not changed').toEqual(before);
        if (effects.some((effect) => effect.type === 'illegal')) {
          expect(effects).toHaveLength(1);
          expect(after).toBe(state);
        }
        const what = effects.length > 0 ? effects.map(short).join(', ') : after === state ? 'nothing' : 'noted';
        lines.push(`${title.padEnd(30)} ${what}`);
      }
    }
    await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot('golden/table.txt');
  });

  it('what a stranger names (member, channel) is refused in every state', () => {
    for (const make of Object.values(STATES)) {
      const d = make();
      const { state } = d;
      for (const event of [
        { type: 'leave', member: 99, cause: 'hung-up' },
        { type: 'add-channels', member: 99, channels: [] },
        { type: 'channel-keyed', channel: 99, fingerprint: 'f' },
        { type: 'channel-negotiated', channel: 99, tip: CAPABLE },
        { type: 'set-acked', channel: 99, spiWord: 1 },
        { type: 'channel-failed', channel: 99, reason: 'dtls-failed', detail: '' },
        { type: 'activity', channel: 99, position: 1, energy: 90, packets: 9 },
        { type: 'refresh', channel: 99, position: 1 },
        { type: 'refresh-wanted', receiver: 99, sink: 1 },
        { type: 'switched', receiver: 99, sink: 1, source: 99, position: 1 },
      ] as const) {
        expect(d.send(event)).toMatchObject([{ type: 'illegal' }]);
        expect(d.state).toBe(state);
      }
    }
  });

  it('a closed conference wants no tick', () => {
    expect(deadline(STATES.closed!().state)).toBeUndefined();
  });
});
