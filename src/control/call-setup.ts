/** From an offer to what a call gets: which m-lines are used, as what, and whether a later offer still says the same. */
import { toHex } from '../base/bytes.js';
import type { Address, ChannelId, Media, MemberId } from '../base/ids.js';
import { DTLS_HANDSHAKE_TIMEOUT_MS } from '../base/limits.js';
import { ok, type Result } from '../base/result.js';
import type { JoinChannel } from '../conference/contract.js';
import type { OfferedMedia } from '../security/policy.js';
import { type Bundle, tagOf } from '../sip/bundle.js';
import type { Offer, RemoteMedia } from '../sip/offer-answer-types.js';
import { refusalHeaders } from '../sip/refusal.js';
import type { TrunkProfile } from '../sip/trunk.js';
import { addressOwner } from '../wire/ip-address.js';
import type { SipHeader } from '../wire/sip-types.js';
import type { CallMedia } from './call-media.js';
import type { Line, MediaHost } from './call-media-contract.js';
import { SwitchChannel } from './channel.js';
import type { ChannelHost, ChannelSetup } from './channel-contract.js';
import type { ConferenceRuntime } from './conference.js';
import type { ConferenceCodecs } from './conference-codecs.js';
import { rtcpApart } from './rtcp-port.js';

/** RFC 8829 §5.2.1 uses it where there is no port yet; nobody sends to an inactive line. */
export const NO_PORT = 9;
const TLS_ID_BYTES = 12;

/** A channel that is open, and whose it is. */
export interface HeldChannel {
  readonly channel: SwitchChannel;
  readonly conference: ConferenceRuntime;
}

/** Where a call is from. */
export interface Who {
  readonly name: string;
  /** Address that its SIP connection comes from. */
  readonly caller: string;
  /** Ours, for our SDP. */
  readonly address: string;
  /** It says that it speaks TIP. */
  readonly tip: boolean;
  /** Our own first offer is to a browser: it takes no media without ICE. */
  readonly offerIce?: boolean;
  /** The trunk that the call comes or goes over. */
  readonly trunk?: MediaRules | undefined;
}

/** What a trunk's profile says of media. */
export type MediaRules = Pick<TrunkProfile, 'srtp' | 'keying' | 'sdpKeySuites'>;

/**
 * Which call gives way when there is no room for one more from `caller`: the newest not yet proven one of the address that
 * has most of them. Nobody has to prove anything to dial, so a stranger could otherwise keep all places of a conference
 * taken. @returns undefined when nobody has two more of them than the caller has.
 */
export function whoGivesWay(
  calls: ReadonlyMap<MemberId, CallMedia>,
  caller: string,
  among: (call: CallMedia) => boolean,
): MemberId | undefined {
  const owner = addressOwner(caller);
  const unproven = new Map<string, MemberId[]>([[owner, []]]);
  for (const [member, call] of calls) {
    if (!among(call) || call.conference.state.members.get(member)?.ready !== false) continue;
    const theirs = addressOwner(call.caller);
    const others = unproven.get(theirs);
    if (others === undefined) unproven.set(theirs, [member]);
    else others.push(member);
  }
  const own = unproven.get(owner)!.length;
  const most = [...unproven.values()].reduce((a, b) => (b.length > a.length ? b : a));
  return most.length > own + 1 ? most.at(-1) : undefined;
}

/** A line that is used, with what policy has to know of it. */
export interface UsedLine {
  /** Undefined: the offer will be ours. */
  readonly line?: RemoteMedia;
  /** The first one that this peer gets: nothing is known of it yet. */
  readonly own?: true;
  readonly offered: OfferedMedia;
}

/**
 * The m-lines of an offer that a call uses: the first of each media kind that is enabled and no presentation. The others
 * (undefined) are answered with port 0.
 * @param taken media kinds that have their line already
 */
export function usedLines(offer: Offer, tip: boolean, taken = new Set<Media>()): readonly (UsedLine | undefined)[] {
  return offer.media.map((line) => {
    const { media } = line;
    if (media === 'other' || line.port === 0 || line.content === 'slides' || taken.has(media)) return undefined;
    taken.add(media);
    const security = line.problem === undefined ? line.security : 'unsupported';
    const problem = line.problem?.text;
    return { line, offered: { media, security, tip, ...(problem === undefined ? {} : { problem }) } };
  });
}

/** A line for each media kind of an offer of ours, as secure as the conference and its trunk want it. */
export function ownLines(
  { state: { policy, requiredLevel, target } }: ConferenceRuntime,
  trunk: MediaRules | undefined,
  tip: boolean,
): readonly UsedLine[] {
  const clear = (policy === 'best-effort' ? target : requiredLevel) === 'none' || trunk?.srtp === false;
  const inSdp = trunk?.keying === 'sdp-keys';
  const security = clear ? 'plain' : inSdp ? 'sdes' : 'dtls';
  const kinds: readonly Media[] = ['audio', 'video'];
  return kinds.map((media) => ({ own: true, offered: { media, security, tip: tip && !inSdp } }));
}

/** Those for which the conference has a codec; what is refused for its security is judged by that. */
export function withCodec(
  lines: readonly (UsedLine | undefined)[],
  codecs: ConferenceCodecs,
): readonly (UsedLine | undefined)[] {
  return lines.map((used) => {
    const { line, offered } = used ?? {};
    const judged = line === undefined || offered?.security === 'unsupported';
    return judged || codecs.choose(offered!.media, line.codecs) !== undefined ? used : undefined;
  });
}

/** Why a line that is open cannot be as a later offer has it. */
export function lineMisfit(
  { channel }: Line,
  remote: RemoteMedia,
  before: RemoteMedia,
  codecs: ConferenceCodecs,
): readonly [text: string, code?: 302] | undefined {
  const { media, transport } = channel.setup;
  const where = `m-line ${remote.index + 1}`;
  if (remote.problem !== undefined) return [remote.problem.text];
  if (remote.security !== transport || remote.protocol !== before.protocol)
    return [`${where}: its security cannot be changed`, 302];
  const codec = codecs.choose(media, remote.codecs);
  return codec === undefined ? [`${where}: no codec in common with the conference`] : undefined;
}

/**
 * Opens the relay's channel for a line and the switch's half of its negotiation.
 * @returns undefined when the conference is going to refuse the line on the offer alone, so that it needs no socket.
 */
function openLine(
  plan: {
    readonly conference: ConferenceRuntime;
    readonly member: MemberId;
    readonly id: ChannelId;
    readonly used: UsedLine;
    readonly cname: string;
    /** Where RTP goes while the peer has named no address. */
    readonly nowhere: Address;
    /** Whose transport it shares. */
    readonly leader?: SwitchChannel;
  },
  host: ChannelHost,
): Result<Line, 'no-port' | 'channel-limit' | 'socket'> | undefined {
  const { conference, member, id, used, cname, nowhere, leader } = plan;
  const { media, security, tip = true } = used.offered;
  const { policy, requiredLevel } = conference.state;
  const plain = security === 'plain';
  const tooLow = security === 'sdes' && requiredLevel === 'end-to-end';
  const refused = tooLow || (policy !== 'best-effort' && plain !== (requiredLevel === 'none'));
  if (security === 'unsupported' || refused) return undefined;
  const mayBeApart = security !== 'dtls' && (used.line !== undefined || used.own === true);
  const rtcp = mayBeApart ? rtcpApart(used.line, tip, nowhere) : undefined;
  const opened = host.relay.openChannel({
    channel: id,
    conference: conference.id,
    member,
    media,
    transport: security,
    ...(security === 'dtls' ? {} : { peer: used.line?.address ?? { ...nowhere, port: 0 } }),
    ...(rtcp === undefined ? {} : { rtcp }),
    ...(leader === undefined ? {} : { leader: leader.setup.id }),
  });
  if (!opened.ok) return opened;
  const { suite, cipher } = conference.state;
  const { latch } = host;
  const setup: ChannelSetup = {
    ...{ id, media, transport: security, conferenceId: BigInt(conference.id), cname },
    suite: { suite, cipher },
    tip,
    rtcpApart: rtcp !== undefined,
    ...(latch === undefined
      ? {}
      : { latch: latch.anywhere ? { ms: latch.ms } : { ms: latch.ms, from: nowhere.address } }),
    readable: policy === 'best-effort' || requiredLevel === 'hop-by-hop',
    random: (bytes) => host.random(bytes),
  };
  return ok({ channel: new SwitchChannel(setup, host, leader), port: opened.value.port });
}

/** By m-line, and what the conference is to judge. */
export interface OpenedLines {
  readonly lines: (Line | undefined)[];
  readonly facts: readonly JoinChannel[];
}

/**
 * Opens a channel for each line that is used; `failed`: the machine has no room for them, and none is open.
 * @param bundles lines that share a transport: that of the line which is `open` already, else of the bundle's first
 */
export function openLines(
  used: readonly (UsedLine | undefined)[],
  of: { readonly conference: ConferenceRuntime; readonly member: MemberId; readonly nowhere: Address },
  host: MediaHost,
  bundles: readonly Bundle[] = [],
  open: readonly (Line | undefined)[] = [],
): OpenedLines | 'failed' {
  const facts: JoinChannel[] = [];
  const lines: (Line | undefined)[] = used.map(() => undefined);
  // Who leads comes first.
  const order = [...used.keys()].sort((a, b) => Number(tagOf(bundles, a) !== a) - Number(tagOf(bundles, b) !== b));
  for (const i of order) {
    const one = used[i];
    if (one === undefined) continue;
    const id = host.newId();
    facts.push({ channel: id, ...one.offered });
    const mate = bundles
      .find((b) => b.includes(i))
      ?.map((at) => open[at] ?? lines[at])
      .find((line) => line !== undefined);
    const leader = mate?.channel.transport.leader;
    const opened = openLine(
      { ...of, id, used: one, cname: host.name, ...(leader === undefined ? {} : { leader }) },
      host,
    );
    if (opened?.ok === false) {
      const { reason, detail } = opened;
      host.output({ type: 'log', level: 'error', message: 'no media channel', fields: { reason, detail } });
      for (const line of lines) if (line !== undefined) host.closed(line.channel);
      return 'failed';
    }
    lines[i] = opened?.value;
    if (opened !== undefined) host.opened(opened.value.channel, of.conference);
  }
  return { lines, facts };
}

/** RFC 8842 §4: 20 characters at least. */
export function newTlsId({ random }: Pick<ChannelHost, 'random'>): string {
  return toHex(random(TLS_ID_BYTES));
}

/** Reason, Warning, and Retry-After where there is one. */
export function headersOfRefusal(
  agent: string,
  status: number,
  warning: { readonly code: 302 | 304 | 399; readonly text: string },
  retryAfterSeconds?: number,
): readonly SipHeader[] {
  const headers = refusalHeaders(status, agent, { warnCode: warning.code, text: warning.text });
  return retryAfterSeconds === undefined
    ? headers
    : [...headers, { name: 'retry-after', value: String(retryAfterSeconds) }];
}

/**
 * Why an offer cannot be answered for its codecs. `unsettled`: a line has none in common with the conference only because of what
 * callers chose who have not proven anything; they may be gone again soon, and nobody is refused for good for a stranger's sake.
 * @param used of the lines, those that would be opened
 */
export function codecProblem(
  lines: readonly (UsedLine | undefined)[],
  usable: readonly (UsedLine | undefined)[],
  used: readonly (UsedLine | undefined)[],
  { codecs, state: { members } }: ConferenceRuntime,
): 'no-codec' | 'unsettled' | undefined {
  const settled = [...members.values()].some(({ level }) => level !== 'unknown');
  const waits = lines.some((wanted, i) => {
    const { line, offered } = wanted ?? {};
    return usable[i] === undefined && line !== undefined && codecs.mayBe(offered!.media, line.codecs);
  });
  if (waits && !settled) return 'unsettled';
  const isThere = (line: UsedLine | undefined): boolean => line !== undefined;
  return lines.some(isThere) && !used.some(isThere) ? 'no-codec' : undefined;
}

/** What a caller is told in place of an answer. */
export const CODEC_REFUSALS: Readonly<
  Record<'no-codec' | 'unsettled', readonly [status: number, text: string, retryAfterSeconds?: number]>
> = {
  'no-codec': [488, 'no codec in common with the conference'],
  unsettled: [503, 'no codec in common with a caller who is not proven yet', DTLS_HANDSHAKE_TIMEOUT_MS / 1_000],
};
