import { describe, expect, it } from 'vitest';
import { FLOW_STOP_DELAY_MS, MAX_PENDING_ACTIVITY_REPORTS } from '../../../src/base/limits.js';
import { audioOf, Driver, ONE, ofType, THREE, videoOf } from './helpers.js';

const ROOM = {
  audio: { transmitMask: THREE, receiveMask: THREE },
  video: { transmitMask: THREE, receiveMask: THREE },
};
const PRESENTER = { audio: { transmitMask: 0b10010, receiveMask: 0b10010 } };

/** Members 1..n, one camera each. */
function people(n: number): Driver {
  const d = new Driver();
  for (let member = 1; member <= n; member++) d.enter(member);
  return d;
}

describe('audio (S1)', () => {
  it('three sources to everybody but themselves; the fourth gets in by speaking', () => {
    const d = people(4);
    expect(d.routes('audio').filter((route) => route.startsWith('41.'))).toEqual([
      '41.1=11.1',
      '41.1=21.1',
      '41.1=31.1',
    ]);
    expect(d.routes('audio').filter((route) => route.startsWith('11.'))).toEqual(['11.1=21.1', '11.1=31.1']);
    d.talk(600, [1, 60], [2, 50], [4, 60]);
    expect(d.routes('audio').filter((route) => route.startsWith('11.'))).toEqual(['11.1=21.1', '11.1=41.1']);
  });

  it('a presentation is always forwarded, and never makes its endpoint the speaker', () => {
    const d = people(3);
    d.enter(4, PRESENTER);
    expect(d.routes('audio')).toContain('11.1=41.4');
    expect(d.routes('audio')).not.toContain('11.1=41.1');
    d.talk(3_000, [4, 100, 4]);
    expect(d.state.shownSpeaker).toBe(1);
    expect(d.routes('audio')).not.toContain('11.1=41.1');
    expect(d.routes('audio')).not.toContain('41.4=41.4');
  });

  it('without an energy byte packets count', () => {
    const d = people(4);
    d.talk(1_500, [4, -1]);
    expect(d.state.shownSpeaker).toBe(4);
  });

  it('reports are kept until they are weighed, a bounded number of them', () => {
    const d = people(2);
    const report = { type: 'activity', channel: audioOf(2), position: 1, energy: 50, packets: 5 } as const;
    for (let i = 1; i < MAX_PENDING_ACTIVITY_REPORTS; i++) d.send(report);
    expect(d.state.activity.count).toBe(MAX_PENDING_ACTIVITY_REPORTS - 1);
    d.send(report);
    expect(d.state.activity).toEqual({ pending: undefined, count: 0, weighAtMs: undefined });
  });

  it('attack: an endpoint that is not proven, or a place that was not negotiated, makes itself heard - not', () => {
    const d = people(2);
    d.join(3);
    const { state } = d;
    d.send({ type: 'activity', channel: audioOf(3), position: 1, energy: 100, packets: 9 });
    d.send({ type: 'activity', channel: audioOf(2), position: 2, energy: 100, packets: 9 });
    d.send({ type: 'activity', channel: audioOf(2), position: 33, energy: 100, packets: 9 });
    d.send({ type: 'activity', channel: videoOf(2), position: 1, energy: 100, packets: 9 });
    expect(d.state).toBe(state);
  });
});

describe('video (S2)', () => {
  it('the loudest fills the displays of the others and sees the one before', () => {
    const d = people(3);
    expect(d.routes('video')).toEqual(['12.1=22.1', '22.1=12.1', '32.1=12.1']);
    const effects = d.talk(1_500, [3, 60]);
    expect(ofType(effects, 'speaker')).toEqual([{ type: 'speaker', member: 3 }]);
    expect(d.routes('video')).toEqual(['12.1=32.1', '22.1=32.1', '32.1=12.1']);
    d.talk(2_000, [2, 60], [3, 0]);
    expect(d.routes('video')).toEqual(['12.1=22.1', '22.1=32.1', '32.1=22.1']);
  });

  it('a room of three on one screen: the camera where the talker is', () => {
    const d = new Driver();
    d.enter(1);
    d.enter(2, ROOM);
    expect(d.routes('video')).toEqual(['12.1=22.1', '22.1=12.1']);
    d.talk(2_500, [2, 60, 3]);
    expect(d.routes('video')).toEqual(['12.1=22.3', '22.1=12.1']);
  });

  it('a room of three sees one at center and earlier speakers beside', () => {
    const d = people(3);
    d.enter(4, ROOM);
    const room = () => d.routes('video').filter((route) => route.startsWith('42.'));
    expect(room()).toEqual(['42.1=12.1', '42.2=22.1', '42.3=32.1']);
    d.talk(1_500, [3, 60]);
    expect(room()).toEqual(['42.1=32.1', '42.2=22.1', '42.3=12.1']);
  });

  it('who speaks without a camera leaves the picture as it is', () => {
    const d = new Driver({ requiredLevel: 'hop-by-hop' });
    d.enter(1);
    d.enter(2);
    d.send({ type: 'join', member: 3, name: 'phone', channels: [{ channel: 31, media: 'audio', security: 'dtls' }] });
    d.keyed(31);
    d.negotiated(31);
    const before = d.routes('video');
    d.talk(1_500, [3, 60]);
    expect(d.state.shownSpeaker).toBe(3);
    expect(d.routes('video')).toEqual(before);
  });

  it('attack: masks of all ones or none bring no other places into the plan', () => {
    const d = people(2);
    d.enter(3, {
      audio: { transmitMask: 0xffff, receiveMask: 0xffff },
      video: { transmitMask: 0xffff, receiveMask: 0xffff },
    });
    d.enter(4, { audio: { transmitMask: 0, receiveMask: 0 }, video: { transmitMask: 0, receiveMask: 0 } });
    const { audio, video } = d.state.routes;
    for (const edge of [...audio, ...video]) {
      expect([edge.source, edge.receiver]).not.toContain(audioOf(4));
      expect([edge.source, edge.receiver]).not.toContain(videoOf(4));
    }
    for (const edge of video) expect([1, 2, 3]).toEqual(expect.arrayContaining([edge.position, edge.sink]));
    for (const edge of audio) expect([1, 2, 3, 4]).toEqual(expect.arrayContaining([edge.position, edge.sink]));
    expect(d.routes('video').filter((route) => route.startsWith('32.'))).toEqual(['32.1=12.1', '32.2=22.1']);
  });
});

describe('refresh points (S3)', () => {
  it('a joiner gets a refresh point of what it is to watch, and of nothing else', () => {
    const d = people(2);
    d.advance(20_000);
    const asked = ofType(d.enter(3), 'request-refresh');
    const late = ofType(d.advance(400), 'request-refresh');
    expect([...asked, ...late]).toEqual([{ type: 'request-refresh', channel: 12, position: 1 }]);
  });

  it('a switch-over asks the new source, again each second, until the sinks have changed over', () => {
    const d = people(3);
    d.advance(20_000);
    const asked = ofType(d.talk(600, [3, 60]), 'request-refresh').map((effect) => effect.channel);
    expect(asked.filter((channel) => channel === 32)).toHaveLength(1);
    expect(ofType(d.advance(1_000), 'request-refresh').map((effect) => effect.channel)).toContain(32);
    for (const receiver of [12, 22]) {
      d.send({ type: 'switched', receiver, sink: 1, source: 32, position: 1 });
    }
    expect(ofType(d.advance(10_000), 'request-refresh').map((effect) => effect.channel)).not.toContain(32);
  });

  it('a receiver that lost its picture may ask, 500 ms apart for the source whoever asks', () => {
    const d = people(3);
    d.send({ type: 'switched', receiver: 22, sink: 1, source: 12, position: 1 });
    d.send({ type: 'switched', receiver: 32, sink: 1, source: 12, position: 1 });
    d.advance(20_000);
    const ask = (receiver: number) => d.send({ type: 'refresh-wanted', receiver, sink: 1 });
    expect(ask(22)).toEqual([{ type: 'request-refresh', channel: 12, position: 1 }]);
    expect(ask(32)).toEqual([]);
    expect(ask(22)).toEqual([]);
    expect(d.advance(499)).toEqual([]);
    expect(d.advance(1)).toEqual([{ type: 'request-refresh', channel: 12, position: 1 }]);
    expect(d.send({ type: 'refresh-wanted', receiver: 22, sink: 3 })).toEqual([]);
  });

  it('a source without refresh flag, with TIP or without, is asked once a switch-over', () => {
    const plain = new Driver({ policy: 'non-secure', requiredLevel: 'none' });
    plain.join(1, 'plain');
    plain.join(2, 'plain');
    const tip = new Driver();
    tip.enter(1, { video: { trailingByte: false } });
    tip.enter(2, { video: { trailingByte: false } });
    for (const d of [plain, tip]) {
      d.advance(60_000);
      expect(d.of('request-refresh').map((effect) => effect.channel)).toEqual([22, 12]);
    }
  });

  it('a display that TIP adds later on a plain channel is planned and refreshed', () => {
    const d = new Driver({ policy: 'non-secure', requiredLevel: 'none' });
    for (const member of [1, 2, 3]) d.join(member, 'plain');
    d.advance(60_000);
    const effects = d.negotiated(videoOf(3), { transmitMask: ONE, receiveMask: THREE });
    expect(d.routes('video').filter((route) => route.startsWith('32.'))).toEqual(['32.1=12.1', '32.2=22.1']);
    expect(ofType(effects, 'request-refresh')).toEqual([{ type: 'request-refresh', channel: 22, position: 1 }]);
  });
});

describe('hysteresis (S2)', () => {
  const taken = (d: Driver, ...energies: Parameters<Driver['talk']>[1][]) => {
    const from = d.now;
    for (let ms = 100; ms <= 3_000; ms += 100) {
      if (ofType(d.talk(100, ...energies), 'speaker').length > 0) return d.now - from;
    }
    return undefined;
  };

  it('a speaker has the picture within 500 ms, in silence and after another who stops', () => {
    const d = people(3);
    expect(taken(d, [2, 40])).toBeLessThanOrEqual(500);
    d.talk(2_000, [2, 60]);
    expect(taken(d, [3, 60], [2, 0])).toBeLessThanOrEqual(500);
  });

  it('a cough takes it from nobody, neither from a speaker nor in silence', () => {
    for (const speaker of [0, 60]) {
      const d = people(3);
      d.talk(2_000, [1, speaker]);
      const effects = [...d.talk(300, [1, speaker], [2, 100]), ...d.talk(2_000, [1, speaker], [2, 0])];
      expect(ofType(effects, 'speaker')).toEqual([]);
      expect(d.state.shownSpeaker).toBe(1);
    }
  });

  it('two who talk at once do not make the picture jump', () => {
    const d = people(3);
    d.talk(2_000, [2, 60]);
    let changes = 0;
    for (let i = 0; i < 50; i++)
      changes += ofType(d.talk(200, [2, 55 + (i % 2) * 8], [3, 63 - (i % 2) * 8]), 'speaker').length;
    expect(changes).toBe(0);
  });
});

describe('segment switching (S2)', () => {
  it('each display shows the loudest camera of its place; changing the mode changes the plan', () => {
    const d = new Driver({ switching: 'segment' });
    for (const member of [1, 2, 3]) d.enter(member, ROOM);
    d.talk(1_000, [2, 60, 2]);
    d.talk(1_000, [3, 60, 3]);
    const room = () => d.routes('video').filter((route) => route.startsWith('12.'));
    expect(room()).toEqual(['12.1=22.1', '12.2=22.2', '12.3=32.3']);
    d.send({ type: 'set-switching', mode: 'site' });
    expect(room()).toEqual(['12.1=32.1', '12.2=32.2', '12.3=32.3']);
    expect(d.send({ type: 'set-switching', mode: 'site' })).toEqual([]);
    d.send({ type: 'set-switching', mode: 'segment' });
    d.talk(1_000, [2, 60, 2]);
    expect(room()).toContain('12.2=22.2');
  });
});

describe('cameras that nobody watches (S4)', () => {
  const flows = (effects: readonly Parameters<typeof ofType>[0][number][]) =>
    ofType(effects, 'flow').map((f) => `${f.channel}.${f.position} ${f.start ? 'start' : 'stop'}`);
  const changedOver = (d: Driver) => {
    for (const edge of d.state.routes.video) d.send({ type: 'switched', ...edge });
  };

  it('are stopped after a while, and started before the plan that shows them', () => {
    const d = new Driver();
    d.enter(1);
    d.enter(2, ROOM);
    changedOver(d);
    expect(flows(d.advance(FLOW_STOP_DELAY_MS - 1))).toEqual([]);
    expect(flows(d.advance(1))).toEqual(['22.2 stop', '22.3 stop']);
    expect(flows(d.advance(60_000))).toEqual([]);
    const effects = d.talk(2_000, [2, 60, 3]);
    const started = effects.findIndex((e) => e.type === 'flow' && e.position === 3 && e.start);
    const shown = effects.findIndex((e) => e.type === 'routes' && e.media === 'video');
    expect(started).toBeGreaterThanOrEqual(0);
    expect(started).toBeLessThan(shown);
    expect(d.routes('video')).toContain('12.1=22.3');
    changedOver(d);
    expect(flows(d.advance(FLOW_STOP_DELAY_MS))).toEqual(['22.1 stop', '22.2 stop']);
  });

  it('go on while a display still shows them and waits for its next picture', () => {
    const d = people(3);
    changedOver(d);
    d.advance(20_000);
    expect(d.of('flow').map((f) => f.channel)).toEqual([32]);
    d.talk(600, [3, 60]);
    expect(flows(d.advance(60_000))).toEqual([]);
    changedOver(d);
    expect(flows(d.advance(2 * FLOW_STOP_DELAY_MS))).toEqual(['22.1 stop']);
  });

  it('are started for whoever is loud enough to be shown next, before it is', () => {
    const d = people(3);
    changedOver(d);
    d.advance(20_000);
    const effects = d.talk(200, [3, 60]);
    expect(flows(effects)).toEqual(['32.1 start']);
    expect(ofType(effects, 'routes')).toEqual([]);
  });

  it('a source without TIP is never asked', () => {
    const d = new Driver({ policy: 'non-secure', requiredLevel: 'none' });
    for (const member of [1, 2, 3]) d.join(member, 'plain');
    d.advance(60_000);
    expect(d.of('flow')).toEqual([]);
  });
});

describe('in-meeting controls (S5)', () => {
  it('a locked conference refuses joiners with 403, until it is unlocked; who is in stays', () => {
    const d = people(2);
    d.send({ type: 'lock', locked: true });
    expect(d.join(3)).toMatchObject([{ type: 'refuse', status: 403, reason: 'locked' }]);
    expect([...d.state.members.keys()]).toEqual([1, 2]);
    d.send({ type: 'lock', locked: false });
    d.enter(3);
  });

  it('mute: nobody gets the media, nobody takes the floor with it, and the rest goes on', () => {
    const d = people(3);
    d.talk(1_000, [2, 60]);
    d.send({ type: 'mute', member: 2, media: 'audio', muted: true });
    expect(d.routes('audio').filter((route) => route.includes('=21.'))).toEqual([]);
    expect(d.routes('audio').filter((route) => route.startsWith('21.'))).toHaveLength(2);
    expect(d.routes('video').filter((route) => route.includes('=22.'))).not.toEqual([]);
    d.send({ type: 'mute', member: 2, media: 'video', muted: true });
    expect(d.routes('video').filter((route) => route.includes('=22.'))).toEqual([]);
    d.talk(1_000, [1, 60]);
    d.talk(2_000, [2, 100]);
    expect(d.state.shownSpeaker).toBe(1);
    d.send({ type: 'mute', member: 2, media: 'audio', muted: false });
    d.send({ type: 'mute', member: 2, media: 'video', muted: false });
    d.talk(1_000, [2, 100]);
    expect(d.routes('video')).toContain('12.1=22.1');
  });

  it('drop: the call is ended with a reason, and the others get a new set as after any leave', () => {
    const d = people(3);
    d.advance(20_000);
    const effects = d.send({ type: 'drop', member: 2 });
    expect(effects).toContainEqual({ type: 'end-call', member: 2, status: 410, reasonText: 'dropped by the operator' });
    expect(ofType(effects, 'make-set')).toHaveLength(1);
    expect(d.send({ type: 'drop', member: 2 })).toMatchObject([{ type: 'illegal', why: 'unknown-member' }]);
    expect(d.send({ type: 'mute', member: 2, media: 'audio', muted: true })).toMatchObject([{ type: 'illegal' }]);
  });
});

describe('how many fit (S6)', () => {
  it('16 endpoints of three screens and 48 of one: everybody is in the plan, each display has its picture', () => {
    for (const mode of ['site', 'segment'] as const) {
      const rooms = new Driver({ switching: mode });
      for (let member = 1; member <= 16; member++) rooms.enter(member, ROOM);
      for (let member = 1; member <= 16; member++) rooms.talk(500, [member, 60, 1 + (member % 3)]);
      expect(rooms.state.routes.video).toHaveLength(16 * 3);
      expect(rooms.state.routes.audio).toHaveLength(3 * 15);
      const desks = people(48);
      desks.talk(600, [48, 60]);
      expect(desks.state.routes.video).toHaveLength(48);
      expect(desks.routes('video').filter((route) => route.endsWith('=482.1'))).toHaveLength(47);
      expect(desks.state.routes.audio).toHaveLength(3 * 47);
    }
  });
});
