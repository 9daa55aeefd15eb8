/** Feeds one scenario to the oracle and to another implementation of the switch, and lists where they differ. */
import { toHex } from '../../src/base/bytes.js';
import type { Address, Media } from '../../src/base/ids.js';
import { Secret } from '../../src/base/secret.js';
import type { GroupSet } from '../../src/srtp/group-set.js';
import type { OracleEdge, OracleParameters, OracleVerdict } from '../../src/srtp/relay-oracle.js';
import { oracleFor, type Scenario } from './packets.js';

/** What the native core's harness offers, as far as it is compared. Setters may give false when they refuse. */
export interface ComparedCore {
  setConference(conference: number, options: { requiredLevel: 'end-to-end' }): unknown;
  openChannel(options: {
    channel: number;
    conference: number;
    member: number;
    media: Media;
    transport: 'dtls';
  }): unknown;
  provePeer(channel: number, peer: Address): unknown;
  setChannelKeys(channel: number, keys: { profile: number; local: Secret; remote: Secret }): unknown;
  setParameters(channel: number, parameters: OracleParameters & { tip: boolean }): unknown;
  setRoutes(conference: number, media: Media, edges: readonly OracleEdge[]): unknown;
  installSet(conference: number, set: GroupSet): unknown;
  dropSet(conference: number, spiWord: number): unknown;
  setAcked(channel: number, spiWord: number): unknown;
  /** The same before and after a packet that was refused. */
  stateHash(): bigint;
  feed(
    channel: number,
    bytes: Uint8Array,
    now: number,
  ): {
    readonly drop?: string;
    readonly outputs: readonly { readonly receiver: number; readonly bytes: Uint8Array }[];
    readonly events: readonly { readonly type: string }[];
  };
}

export interface Comparison {
  readonly packets: number;
  readonly outputs: number;
  /** How often each verdict of the oracle came: a drop name, 'control' or 'accepted'. */
  readonly verdicts: ReadonlyMap<string, number>;
  /** At most 20, each with what is needed to find the packet again. */
  readonly differences: readonly string[];
}

export function compare(scenario: Scenario, core: ComparedCore, packets: number): Comparison {
  const oracle = oracleFor(scenario);
  const { conference, channels, edges } = scenario;
  const verdicts = new Map<string, number>();
  const differences: string[] = [];
  let [fed, outputs] = [0, 0];
  const note = (what: string) => {
    if (differences.length < 20) differences.push(what);
  };
  const apply = (accepted: unknown, what: string) => {
    if (accepted === false) note(`${what} was refused`);
  };

  apply(core.setConference(conference, { requiredLevel: 'end-to-end' }), 'setConference');
  for (const { channel, member, media, profile, local, remote, parameters } of channels) {
    apply(core.openChannel({ channel, conference, member, media, transport: 'dtls' }), 'openChannel');
    apply(core.provePeer(channel, { address: '127.0.0.1', port: 10_000 + channel }), 'provePeer');
    const keys = { profile, local: Secret.copyOf(local), remote: Secret.copyOf(remote) };
    apply(core.setChannelKeys(channel, keys), 'setChannelKeys');
    // Without a refresh flag edges hold at once, as the oracle's do; the flags come on below.
    apply(core.setParameters(channel, { tip: true, ...parameters, trailingByte: false }), 'setParameters');
  }
  for (const media of ['audio', 'video'] as const) {
    apply(core.setRoutes(conference, media, edges[media]), 'setRoutes');
  }
  for (const { channel, parameters } of channels) {
    apply(core.setParameters(channel, { tip: true, ...parameters }), 'setParameters');
  }

  // Takes what the set-up reported: the state that is compared holds what waits to be reported.
  core.feed(channels[0]!.channel, Uint8Array.of(0), 0);

  for (const step of scenario.steps(packets)) {
    switch (step.type) {
      case 'installSet':
        oracle.installSet(conference, step.set);
        apply(core.installSet(conference, step.set), 'installSet');
        break;
      case 'acked':
        oracle.setAcked(step.channel, step.spiWord);
        apply(core.setAcked(step.channel, step.spiWord), 'setAcked');
        break;
      case 'dropSet':
        oracle.dropSet(conference, step.spiWord);
        apply(core.dropSet(conference, step.spiWord), 'dropSet');
        break;
      case 'packet': {
        const ours = oracle.feed(step.channel, step.bytes, step.now);
        const before = core.stateHash();
        const theirs = core.feed(step.channel, step.bytes, step.now);
        if (theirs.drop !== undefined && core.stateHash() !== before)
          note(`${theirs.drop} changed state: ${toHex(step.bytes)}`);
        fed++;
        outputs += ours.outputs.length;
        const verdict = ours.drop ?? (ours.control ? 'control' : 'accepted');
        verdicts.set(verdict, (verdicts.get(verdict) ?? 0) + 1);
        const [a, b] = [textOf(ours, controlOf(ours)), textOf(theirs, eventOf(theirs.events))];
        if (a !== b) note(`packet ${fed} on ${step.channel} ${toHex(step.bytes)}\noracle ${a}\nother ${b}`);
      }
    }
  }
  return { packets: fed, outputs, verdicts, differences };
}

/** Everything that must be equal; the order among receivers is not. */
function textOf(
  verdict: { readonly drop?: string; readonly outputs: OracleVerdict['outputs'] },
  control: string,
): string {
  const outputs = verdict.outputs.map(({ receiver, bytes }) => `${receiver} ${toHex(bytes)}`).sort();
  return [verdict.drop ?? 'accepted', control, ...outputs].join('\n');
}

function controlOf({ control }: OracleVerdict): string {
  return control === undefined ? '' : `${control.tipAllowed} ${toHex(control.rtcp)}`;
}

function eventOf(events: readonly { readonly type: string }[]): string {
  for (const event of events) {
    if (!isControl(event)) continue;
    return `${event.tipAllowed} ${toHex(event.rtcp)}`;
  }
  return '';
}

function isControl(event: {
  readonly type: string;
}): event is { readonly type: 'control'; readonly rtcp: Uint8Array; readonly tipAllowed: boolean } {
  return event.type === 'control';
}
