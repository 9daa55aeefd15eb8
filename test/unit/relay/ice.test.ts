/** The relay's half of ICE against a controlling agent written apart from it, one datagram at a time. */
import { afterEach, describe, expect, it } from 'vitest';
import type { Address } from '../../../src/base/ids.js';
import { RELAY_ICE_ERRORS_PER_SECOND } from '../../../src/base/limits.js';
import { Secret } from '../../../src/base/secret.js';
import { RelayCore } from '../../../src/relay/harness.js';
import { clientHello, cookieOf } from '../../support/hello.js';
import { type CheckFacts, check, readAnswer } from '../../support/stun.js';

const OURS = { ufrag: 'Ours8765', pwd: 'switch/own+pwd/of24chars' };
const HOME: Address = { address: '198.51.100.7', port: 4_001 };
const OTHER: Address = { address: '198.51.100.8', port: 4_002 };
const STRANGER: Address = { address: '203.0.113.9', port: 6_666 };
const SIGNALLED: Address = { address: '192.0.2.7', port: 40_000 };

let core: RelayCore;
afterEach(() => core.close());

function waiting(): RelayCore {
  core = new RelayCore();
  core.openChannel({ channel: 1, conference: 1, member: 1, media: 'audio', transport: 'dtls' });
  const { ufrag, pwd } = OURS;
  expect(core.setIce(1, { ufrag, pwd: new Secret(Buffer.from(pwd)), peerUfrag: 'peer' })).toBe(true);
  core.awaitPeer(1);
  return core;
}

function ask(from: Address, facts: Partial<CheckFacts> = {}, now = 1_000) {
  const outcome = core.feed(1, check({ remote: OURS, localUfrag: 'peer', ...facts }), now, from);
  const [sent] = outcome.outputs;
  return { ...outcome, answer: sent && readAnswer(Buffer.from(sent.bytes), OURS.pwd) };
}

describe('a channel with ICE', () => {
  it('answers a check, says where it came from, and tells of a nomination once', () => {
    waiting();
    const first = ask(HOME);
    expect(first.answer).toMatchObject({ mapped: HOME, authentic: true });
    expect(first.events).toEqual([{ type: 'ice', channel: 1, what: 'nominated', address: HOME }]);
    expect(ask(HOME).events).toEqual([]);
    expect(ask(OTHER, { useCandidate: false }).events).toEqual([]);
    expect(ask(OTHER).events).toEqual([{ type: 'ice', channel: 1, what: 'nominated', address: OTHER }]);
  });

  it('role conflict: one who says that it is controlled is told 487, for a lite agent is always', () => {
    waiting();
    expect(ask(HOME, { controlled: true }).answer).toMatchObject({ error: 487, authentic: true });
  });

  it.each([
    ['forged, without the password', { pwd: 'a/password/made/up/by/it' }],
    ['under a wrong ufrag of ours', { username: 'Ours8766:peer' }],
    ['under a wrong ufrag of the peer', { username: 'Ours8765:peeR' }],
    ['under our ufrag alone', { username: 'Ours8765' }],
  ])('attack: a check %s gets 401 without a MAC, and opens no door', (_, facts) => {
    waiting();
    const before = core.stateHash();
    expect(ask(STRANGER, facts)).toMatchObject({ drop: 'check_refused', answer: { error: 401, authentic: false } });
    expect(core.stateHash()).toBe(before);
    expect(core.feed(1, clientHello(), 1_000, STRANGER)).toEqual({ drop: 'unknown_source', events: [], outputs: [] });
  });

  it('attack: a captured check that comes again from elsewhere gets nothing, not even an answer', () => {
    waiting();
    const transaction = Buffer.alloc(12, 5);
    expect(ask(HOME, { transaction }).answer?.mapped).toEqual(HOME);
    expect(ask(STRANGER, { transaction })).toMatchObject({ drop: 'replayed', outputs: [], events: [] });
    // From where it came it is a repetition, whose answer was lost.
    expect(ask(HOME, { transaction }).answer?.mapped).toEqual(HOME);
  });

  it('attack: a flood of checks from everywhere is told so many errors a second, and no more bytes than it brought', () => {
    waiting();
    let answers = 0;
    for (let n = 0; n < 2_000; n++) {
      const from = { address: `203.0.${n >> 8}.${n & 255}`, port: 1_000 };
      const bytes = check({ remote: OURS, localUfrag: 'x', username: 'no:body' });
      for (const sent of core.feed(1, bytes, 1_000, from).outputs) {
        answers++;
        expect(sent.bytes.length).toBeLessThanOrEqual(bytes.length);
      }
    }
    expect(answers).toBe(RELAY_ICE_ERRORS_PER_SECOND);
    expect(ask(HOME).answer?.mapped).toEqual(HOME);
  });

  it('attack: DTLS from an address that never checked, the signalled one too, is not even asked for a cookie', () => {
    waiting();
    core.awaitPeer(1, SIGNALLED);
    for (const from of [SIGNALLED, STRANGER]) {
      expect(core.feed(1, clientHello(), 1_000, from)).toEqual({ drop: 'unknown_source', events: [], outputs: [] });
    }
  });

  it('an address that has checked has a place of its own; its cookie is good from the others that have', () => {
    waiting();
    ask(HOME);
    ask(OTHER);
    const [verify] = core.feed(1, clientHello(), 1_000, HOME).outputs;
    const cookie = cookieOf(verify!.bytes)!;
    expect(core.feed(1, clientHello(new Uint8Array(20)), 1_000, OTHER).events).toEqual([]);
    expect(core.feed(1, clientHello(cookie), 1_000, OTHER).events).toMatchObject([{ type: 'dtls', from: OTHER }]);
    expect(core.feed(1, clientHello(cookie), 1_000, STRANGER)).toMatchObject({ drop: 'unknown_source', events: [] });
  });

  it('an ICE restart: other credentials by the same command; the secret stays with its owner', () => {
    waiting();
    const pwd = new Secret(Buffer.from(OURS.pwd));
    expect(core.setIce(1, { ufrag: 'Newer999', pwd, peerUfrag: 'newpeer' })).toBe(true);
    expect(pwd.wiped).toBe(false); // it is the caller's
    expect(ask(HOME, { remote: { ufrag: 'Newer999', pwd: OURS.pwd }, localUfrag: 'newpeer' }).answer?.mapped).toEqual(
      HOME,
    );
  });
});
