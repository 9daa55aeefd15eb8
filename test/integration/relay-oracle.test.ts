/** The native relay against its oracle in TypeScript: the same 100,000 packets, the same verdicts, the same bytes. */
import { describe, expect, it } from 'vitest';
import { toHex } from '../../src/base/bytes.js';
import { Secret } from '../../src/base/secret.js';
import { RelayCore } from '../../src/relay/harness.js';
import type { OracleEdge, OracleVerdict } from '../../src/srtp/relay-oracle.js';
import { oracleFor, type Scenario, type Step, scenario } from '../support/packets.js';

const SEEDS = [11, 22, 33, 44, 55, 66, 77, 88, 99, 110];
const PACKETS = 10_000;
const PEER = { address: '192.0.2.1', port: 4_000 };

/** A display shows one picture: of several edges to one (receiver, sink) the relay takes the first, so the oracle gets only that. */
function edgesOf(s: Scenario, media: 'audio' | 'video'): readonly OracleEdge[] {
  if (media === 'audio') return s.edges.audio;
  const taken = new Set<string>();
  return s.edges.video.filter(({ receiver, sink }) => {
    const key = `${receiver} ${sink}`;
    return !taken.has(key) && taken.add(key);
  });
}

function coreFor(s: Scenario): RelayCore {
  const core = new RelayCore();
  core.setConference(s.conference, { requiredLevel: 'end-to-end' });
  for (const c of s.channels) {
    const { channel, member, media, profile } = c;
    core.openChannel({ channel, conference: s.conference, member, media, transport: 'dtls' });
    core.provePeer(channel, PEER);
    core.setChannelKeys(channel, { profile, local: Secret.copyOf(c.local), remote: Secret.copyOf(c.remote) });
    core.setParameters(channel, { tip: true, ...c.parameters, trailingByte: false });
  }
  // Without a refresh flag edges hold at once, as the oracle's do; the flags come on after that.
  for (const media of ['audio', 'video'] as const) core.setRoutes(s.conference, media, edgesOf(s, media));
  for (const c of s.channels) core.setParameters(c.channel, { tip: true, ...c.parameters });
  core.take();
  return core;
}

const sorted = (outputs: readonly { readonly receiver: number; readonly bytes: Uint8Array }[]): string[] =>
  outputs.map(({ receiver, bytes }) => `${receiver} ${toHex(bytes)}`).sort();

function expectation(verdict: OracleVerdict): unknown {
  return {
    drop: verdict.drop,
    outputs: sorted(verdict.outputs),
    control: verdict.control === undefined ? undefined : `${verdict.control.tipAllowed} ${toHex(verdict.control.rtcp)}`,
  };
}

describe('the native relay and the TypeScript oracle', () => {
  it.each(SEEDS)(`agree bit for bit on ${PACKETS} random packets, seed %i`, (seed) => {
    const s = scenario(seed);
    const oracle = oracleFor(s);
    oracle.setEdges(s.conference, 'video', edgesOf(s, 'video'));
    const core = coreFor(s);
    const verdicts = new Map<string, number>();
    const run = (step: Step, at: number): void => {
      switch (step.type) {
        case 'installSet':
          oracle.installSet(s.conference, step.set);
          core.installSet(s.conference, step.set);
          break;
        case 'acked':
          oracle.setAcked(step.channel, step.spiWord);
          core.setAcked(step.channel, step.spiWord);
          break;
        case 'dropSet':
          oracle.dropSet(s.conference, step.spiWord);
          core.dropSet(s.conference, step.spiWord);
          break;
        case 'packet': {
          const wanted = oracle.feed(step.channel, step.bytes, step.now);
          const before = core.stateHash();
          const got = core.feed(step.channel, step.bytes, step.now);
          const control = got.events.find((e) => e.type === 'control');
          const seen = {
            drop: got.drop,
            outputs: sorted(got.outputs),
            control: control?.type === 'control' ? `${control.tipAllowed} ${toHex(control.rtcp)}` : undefined,
          };
          expect(seen, `packet ${at}: ${toHex(step.bytes)}`).toEqual(expectation(wanted));
          if (got.drop !== undefined) expect(core.stateHash(), `packet ${at}, ${got.drop}`).toBe(before);
          const name = got.drop ?? (got.outputs.length > 0 ? 'forwarded' : 'accepted');
          verdicts.set(name, (verdicts.get(name) ?? 0) + 1);
          break;
        }
      }
    };
    let at = 0;
    for (const step of s.steps(PACKETS)) run(step, at++);
    // The traffic must reach the cases that matter, or agreement means nothing.
    for (const name of [
      'forwarded',
      'malformed',
      'no_key',
      'unknown_spi',
      'replayed',
      'too_old',
      'auth_failed',
      'ssrc_owned',
      'bad_position',
    ]) {
      expect(verdicts.get(name) ?? 0, name).toBeGreaterThan(0);
    }
    expect(verdicts.get('forwarded')).toBeGreaterThan(PACKETS / 3);
    core.close();
  });
});
