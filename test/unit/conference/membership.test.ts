import { describe, expect, it } from 'vitest';
import { MAX_MEMBERS_PER_CONFERENCE } from '../../../src/base/limits.js';
import { createConference } from '../../../src/conference/reduce.js';
import { audioOf, Driver, ofType, types, videoOf } from './helpers.js';

describe('createConference', () => {
  const options = { id: 1, name: '8000', policy: 'secure', requiredLevel: 'end-to-end' } as const;
  it('takes suites and ciphers that fit each other (WIRE.md 4.3)', () => {
    expect(createConference(options)).toMatchObject({ ok: true, value: { suite: 1, cipher: 1, level: 'unknown' } });
    expect(createConference({ ...options, suite: 18, cipher: 4 })).toMatchObject({ ok: true });
    expect(createConference({ ...options, suite: 1, cipher: 4 })).toMatchObject({ ok: false, reason: 'unknown-suite' });
  });
  it('refuses a level that does not fit the policy', () => {
    expect(createConference({ ...options, requiredLevel: 'none' })).toMatchObject({ reason: 'level-does-not-fit' });
    expect(createConference({ ...options, policy: 'non-secure' })).toMatchObject({ reason: 'level-does-not-fit' });
  });
});

describe('coming in (C9)', () => {
  it('from INVITE to ready, step by step', () => {
    const d = new Driver();
    expect(d.join(1)).toEqual([{ type: 'admit', member: 1 }]);
    expect([...d.keyed(11), ...d.keyed(12)]).toEqual([]);
    expect(d.negotiated(11)).toEqual([
      { type: 'make-set', spiWord: 1 },
      { type: 'send-set', channel: 11, spiWord: 1 },
    ]);
    expect(d.negotiated(12)).toEqual([{ type: 'send-set', channel: 12, spiWord: 1 }]);
    expect(d.send({ type: 'set-acked', channel: 12, spiWord: 1 })).toEqual([
      { type: 'channel-parameters', channel: 12, level: 'end-to-end', ready: false },
    ]);
    expect(d.state.level).toBe('unknown');
    expect(d.send({ type: 'set-acked', channel: 11, spiWord: 1 })).toEqual([
      { type: 'channel-parameters', channel: 11, level: 'end-to-end', ready: true },
      { type: 'channel-parameters', channel: 12, level: 'end-to-end', ready: true },
      { type: 'level', level: 'end-to-end' },
      { type: 'notify', channel: 11, secure: true },
      { type: 'notify', channel: 12, secure: true },
      { type: 'speaker', member: 1 },
    ]);
  });

  it('attack: media before proof - no edge and no ready channel while one channel of the endpoint is not proven', () => {
    const d = new Driver();
    d.enter(1);
    d.join(2);
    d.keyed(21);
    d.negotiated(21);
    d.ackAll(21);
    d.keyed(22);
    d.negotiated(22);
    expect(d.state.routes).toEqual({ audio: [], video: [] });
    expect(d.of('channel-parameters').filter((effect) => effect.channel > 20 && effect.ready)).toEqual([]);
    d.ackAll(22);
    expect(d.routes('audio')).toEqual(['11.1=21.1', '21.1=11.1']);
    expect(d.routes('video')).toEqual(['12.1=22.1', '22.1=12.1']);
  });

  it('attack: TIP from somebody without verified keys, and an ACK of a set that was never sent, raise nothing', () => {
    const d = new Driver();
    d.join(1);
    expect(d.negotiated(11)).toMatchObject([{ type: 'illegal', why: 'channel-phase' }]);
    d.keyed(11);
    expect(d.send({ type: 'set-acked', channel: 11, spiWord: 1 })).toMatchObject([{ why: 'set-not-sent' }]);
    d.negotiated(11);
    expect(d.send({ type: 'set-acked', channel: 11, spiWord: 3 })).toMatchObject([{ why: 'set-not-sent' }]);
    expect(d.state.members.get(1)?.channels.map((channel) => channel.level)).toEqual(['unknown', 'unknown']);
  });

  it('downgrade: an answer without TIP that comes after the keys makes nobody a standard endpoint (C6)', () => {
    const d = new Driver({ policy: 'best-effort', requiredLevel: 'none' });
    d.enter(1);
    d.join(2);
    d.keyed(21);
    for (const member of [1, 2]) {
      expect(d.send({ type: 'without-tip', member })).toMatchObject([{ type: 'illegal', why: 'channel-phase' }]);
      expect(d.state.members.get(member)?.channels.some(({ standard }) => standard)).toBe(false);
    }
    expect(d.send({ type: 'without-tip', member: 9 })).toMatchObject([{ why: 'unknown-member' }]);
    expect(d.state.level).toBe('end-to-end');
  });

  it('a plain call in a non-secure conference is ready at level none at once', () => {
    const d = new Driver({ policy: 'non-secure', requiredLevel: 'none' });
    expect(types(d.join(1, 'plain'))).toEqual([
      'admit',
      'channel-parameters',
      'channel-parameters',
      'level',
      'speaker',
    ]);
    d.join(2, 'plain');
    expect(d.state.level).toBe('none');
    expect(d.routes('video')).toEqual(['12.1=22.1', '22.1=12.1']);
    expect(types(d.join(3))).toEqual(['security-event', 'refuse']);
  });

  it('a hop-by-hop conference needs no sets, and never shows more than it runs at', () => {
    const d = new Driver({ requiredLevel: 'hop-by-hop' });
    d.enter(1);
    d.enter(2, { audio: { version: 6 }, video: { version: 6 } });
    expect(d.state.level).toBe('hop-by-hop');
    expect(d.of('make-set')).toEqual([]);
    expect(d.of('notify')).toEqual([
      { type: 'notify', channel: 11, secure: false },
      { type: 'notify', channel: 12, secure: false },
    ]);
  });

  it('a full conference answers 503 with Retry-After', () => {
    const d = new Driver();
    for (let member = 1; member <= MAX_MEMBERS_PER_CONFERENCE; member++) d.join(member);
    expect(d.join(5_000)).toEqual([
      {
        type: 'refuse',
        member: 5_000,
        status: 503,
        reason: 'member-limit',
        reasonText: 'the conference is full',
        retryAfterSeconds: 30,
      },
    ]);
    d.leave(1);
    expect(types(d.join(5_000))).toEqual(['admit']);
  });
});

describe('below what is required (C3, C8)', () => {
  it('SDP shows it: 488 with Warning and Reason, one event, nothing else', () => {
    const d = new Driver();
    const { state } = d;
    const text = 'this conference requires end-to-end security, but audio is offered as plain RTP';
    expect(d.join(1, 'plain')).toEqual([
      { type: 'security-event', code: 'security-mismatch', member: 1, channel: 11, cause: text },
      {
        type: 'refuse',
        member: 1,
        status: 488,
        reason: 'plain-offer',
        warning: { code: 302, text },
        reasonText: text,
      },
    ]);
    expect(d.state).toBe(state);
  });

  it('TIP shows it: BYE with 488, one event, and no media before', () => {
    for (const tip of [{ version: 6 }, { ektRx: false }, { ektTx: false }, { secure: false }, { capable: false }]) {
      const d = new Driver();
      d.enter(1);
      d.join(2);
      d.keyed(22);
      const effects = d.negotiated(22, tip);
      expect(types(effects)).toEqual(['security-event', 'end-call']);
      expect(effects[0]).toMatchObject({ code: 'endpoint-not-capable', member: 2, channel: 22 });
      expect(effects[1]).toMatchObject({ member: 2, status: 488 });
      expect([...d.state.members.keys()]).toEqual([1]);
      expect(d.of('channel-parameters').filter((effect) => effect.channel > 20)).toEqual([]);
    }
  });

  it('attack: a member that takes EKT back after it was proven - its call ends, it is not shown as end-to-end any longer', () => {
    for (const tip of [{ ektRx: false }, { ektTx: false }, { secure: false }, { capable: false }]) {
      for (const proven of [true, false]) {
        const d = new Driver();
        d.enter(1);
        if (proven) d.enter(2);
        else {
          d.join(2);
          d.keyed(22);
          d.negotiated(22);
        }
        const before = d.log.length;
        d.negotiated(22, tip);
        const effects = d.log.slice(before).map(({ effect }) => effect);
        expect(types(effects).slice(0, 2)).toEqual(['security-event', 'end-call']);
        expect(effects[0]).toMatchObject({ code: 'endpoint-not-capable', member: 2, channel: 22 });
        expect([...d.state.members.keys()]).toEqual([1]);
        expect(d.state.level).toBe('end-to-end');
      }
    }
  });

  it('attack: breaking one endpoint to lower all (C10) - its call ends, the others keep their level', () => {
    for (const reason of ['dtls-failed', 'fingerprint-mismatch', 'media-timeout', 'spimap-timeout'] as const) {
      const d = new Driver();
      d.enter(1);
      d.enter(2);
      d.join(3);
      if (reason === 'media-timeout' || reason === 'spimap-timeout') d.keyed(32);
      if (reason === 'spimap-timeout') d.negotiated(32);
      const before = d.log.length;
      d.send({ type: 'channel-failed', channel: 32, reason, detail: 'x\ny' });
      const effects = d.log.slice(before).map(({ effect }) => effect);
      expect(types(effects)).toEqual(['security-event', 'end-call']);
      expect(effects[0]).toEqual({ type: 'security-event', code: reason, member: 3, channel: 32, cause: 'video: x?y' });
      expect([...d.state.members.keys()]).toEqual([1, 2]);
      expect(d.state.level).toBe('end-to-end');
    }
  });

  it('attack: junk on the port of a member - an event, and the call goes on', () => {
    const d = new Driver();
    d.enter(1);
    const { state } = d;
    expect(d.send({ type: 'channel-failed', channel: 11, reason: 'auth-failures', detail: '900 in 1 s' })).toEqual([
      { type: 'security-event', code: 'auth-failures', member: 1, channel: 11, cause: 'audio: 900 in 1 s' },
    ]);
    expect(d.state).toBe(state);
  });

  it('a rekey that one endpoint does not ACK ends that one only', () => {
    const d = new Driver();
    for (const member of [1, 2, 3, 4]) d.enter(member);
    d.advance(20_000);
    d.leave(4);
    for (const channel of [11, 12, 21, 22, 31]) d.ackAll(channel);
    const effects = d.send({ type: 'channel-failed', channel: 32, reason: 'spimap-timeout', detail: '10 s' });
    expect(ofType(effects, 'end-call')).toMatchObject([{ member: 3, status: 488 }]);
    expect([...d.state.members.keys()]).toEqual([1, 2]);
    expect(d.routes('video')).toEqual(['12.1=22.1', '22.1=12.1']);
    expect(types(d.advance(15_000))).toContain('make-set');
  });
});

describe('an m-line added later', () => {
  function videoCall(): Driver {
    const d = new Driver();
    d.enter(1);
    d.send({ type: 'join', member: 2, name: 'b', channels: [{ channel: 22, media: 'video', security: 'dtls' }] });
    d.keyed(22);
    d.negotiated(22);
    d.ackAll(22);
    return d;
  }
  const addAudio = (d: Driver, security: 'dtls' | 'plain') =>
    d.send({ type: 'add-channels', member: 2, channels: [{ channel: 21, media: 'audio', security }] });

  it('is unknown by itself, and the endpoint stays what it is', () => {
    const d = videoCall();
    expect(addAudio(d, 'dtls')).toEqual([{ type: 'admit-channels', member: 2, channels: [21] }]);
    expect(d.state.members.get(2)).toMatchObject({ ready: true, level: 'end-to-end' });
    d.keyed(21);
    d.negotiated(21);
    expect(d.routes('audio')).toEqual([]);
    expect(d.routes('video')).toEqual(['12.1=22.1', '22.1=12.1']);
    expect(d.ackAll(21).slice(0, 2)).toEqual([
      { type: 'channel-parameters', channel: 21, level: 'end-to-end', ready: true },
      { type: 'notify', channel: 21, secure: true },
    ]);
    expect(d.routes('audio')).toEqual(['11.1=21.1', '21.1=11.1']);
  });

  it('is refused when plain: one event, 488 to the re-INVITE, the call as it was', () => {
    const d = videoCall();
    const { state } = d;
    const effects = addAudio(d, 'plain');
    expect(types(effects)).toEqual(['security-event', 'refuse-channels']);
    expect(effects[1]).toMatchObject({ member: 2, channels: [21], status: 488, reason: 'plain-offer' });
    expect(d.state).toBe(state);
  });

  it('ends the call when it turns out below the required level (C6) or fails (C10)', () => {
    const low = videoCall();
    addAudio(low, 'dtls');
    low.keyed(21);
    expect(types(low.negotiated(21, { version: 6 }))).toContain('end-call');
    const broken = videoCall();
    addAudio(broken, 'dtls');
    broken.send({ type: 'channel-failed', channel: 21, reason: 'dtls-failed', detail: '' });
    expect([...broken.state.members.keys()]).toEqual([1]);
  });
});

describe('going', () => {
  it('the last one leaves an empty conference without sets, and the next one starts it again', () => {
    const d = new Driver();
    d.enter(1);
    expect(types(d.leave(1))).toEqual(['level', 'speaker', 'drop-set', 'empty']);
    expect(d.enter(2).filter((effect) => effect.type === 'make-set')).toEqual([{ type: 'make-set', spiWord: 3 }]);
  });

  it('close ends all calls and refuses joiners', () => {
    const d = new Driver();
    d.enter(1);
    d.enter(2);
    d.join(3);
    const effects = d.send({ type: 'close', reason: 'stopping' });
    expect(ofType(effects, 'end-call').map((effect) => [effect.member, effect.status])).toEqual([
      [1, 503],
      [2, 503],
      [3, 503],
    ]);
    expect(effects.at(-1)).toEqual({ type: 'empty' });
    expect(d.join(4)).toMatchObject([{ type: 'refuse', status: 503, reason: 'closed', retryAfterSeconds: 30 }]);
  });

  it('attack: using up the SPI words - the conference ends rather than going on with keys that a leaver holds', () => {
    const d = new Driver();
    d.enter(1);
    d.enter(2);
    d.advance(20_000);
    d.state = { ...d.state, sets: { ...d.state.sets, lastSpiWord: 0xffff } };
    const effects = d.leave(2);
    expect(ofType(effects, 'make-set')).toEqual([]);
    expect(ofType(effects, 'end-call')).toMatchObject([{ member: 1, status: 503 }]);
    expect(ofType(effects, 'drop-set')).toEqual([{ type: 'drop-set', spiWord: 1 }]);
    expect(types(effects).filter((type) => type === 'empty')).toHaveLength(1);
    expect(d.state.phase).toBe('closed');
  });

  it('audio and video of a leaver end together: it is not sent the set that shuts it out', () => {
    const d = new Driver();
    d.enter(1);
    d.enter(2);
    d.advance(20_000);
    const sent = ofType(d.leave(2), 'send-set').map((effect) => effect.channel);
    expect(sent).toEqual([audioOf(1), videoOf(1)]);
  });
});
