import { describe, expect, it } from 'vitest';
import { Secret } from '../../../src/base/secret.js';
import { type OracleVerdict, RelayOracle } from '../../../src/srtp/relay-oracle.js';
import { type ComparedCore, compare } from '../../support/compare.js';
import { type ScenarioChannel, scenario } from '../../support/packets.js';

/** A second oracle in the clothes of the native core, with a fault where the test wants one. */
function coreOf(
  channels: readonly ScenarioChannel[],
  fault: (verdict: OracleVerdict, n: number) => OracleVerdict,
): ComparedCore {
  const oracle = new RelayOracle();
  let n = 0;
  return {
    setConference: (id, options) => oracle.setConference(id, options),
    openChannel: ({ channel, conference }) => {
      const c = channels.find((candidate) => candidate.channel === channel)!;
      const keys = { profile: c.profile, local: Secret.copyOf(c.local), remote: Secret.copyOf(c.remote) };
      oracle.openChannel({ ...c, conference, keys });
    },
    provePeer: () => undefined,
    setChannelKeys: () => undefined,
    setParameters: (id, parameters) => oracle.setParameters(id, parameters),
    setRoutes: (id, media, edges) => oracle.setEdges(id, media, edges),
    installSet: (id, set) => oracle.installSet(id, set).ok,
    dropSet: (id, spiWord) => oracle.dropSet(id, spiWord),
    setAcked: (id, spiWord) => oracle.setAcked(id, spiWord),
    stateHash: () => 0n,
    feed: (id, bytes, now) => {
      const { control, ...verdict } = fault(oracle.feed(id, bytes, now), n++);
      return { ...verdict, events: control === undefined ? [] : [{ type: 'control', ...control }] };
    },
  };
}

function run(fault: (verdict: OracleVerdict, n: number) => OracleVerdict): readonly string[] {
  const s = scenario(5);
  return compare(s, coreOf(s.channels, fault), 1_000).differences;
}

describe('the comparison with another implementation', () => {
  it('finds nothing between equals', () => {
    expect(run((verdict) => verdict)).toEqual([]);
  });

  it.each<[string, (verdict: OracleVerdict) => OracleVerdict]>([
    ['one bit of one output', (v) => ({ ...v, outputs: v.outputs.map((o, i) => (i === 0 ? flipped(o) : o)) })],
    ['a missing output', (v) => ({ ...v, outputs: v.outputs.slice(1) })],
    ['another receiver', (v) => ({ ...v, outputs: v.outputs.map((o) => ({ ...o, receiver: o.receiver + 1 })) })],
    ['another name of a drop', (v) => (v.drop ? { ...v, drop: 'queue_full' as never } : v)],
    ['a control compound not reported', ({ control: _, ...v }) => v],
  ])('finds %s', (_name, fault) => {
    expect(run((verdict) => fault(verdict)).length).toBeGreaterThan(0);
  });
});

function flipped(output: { receiver: number; bytes: Uint8Array }): { receiver: number; bytes: Uint8Array } {
  const bytes = Uint8Array.from(output.bytes);
  bytes[bytes.length - 1]! ^= 1;
  return { ...output, bytes };
}
