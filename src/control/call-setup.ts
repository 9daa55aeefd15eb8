/** From an offer to what a call gets: which m-lines are used, as what, and whether a later offer still says the same. */
import { toHex } from '../base/bytes.js';
import type { Address, ChannelId, Media, MemberId } from '../base/ids.js';
import { ok, type Result } from '../base/result.js';
import type { JoinChannel } from '../conference/contract.js';
import type { OfferedMedia } from '../security/policy.js';
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
  },
  host: ChannelHost,
): Result<Omit<Line, 'tlsId'>, 'no-port' | 'channel-limit' | 'socket'> | undefined {
  const { conference, member, id, used, cname, nowhere } = plan;
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
    ...(security === 'dtls' ? {} : { peer: used.line?.address ?? nowhere }),
    ...(rtcp === undefined ? {} : { rtcp }),
  });
  if (!opened.ok) return opened;
  const { suite, cipher } = conference.state;
  const setup: ChannelSetup = {
    ...{ id, media, transport: security, conferenceId: BigInt(conference.id), cname },
    suite: { suite, cipher },
    tip,
    rtcpApart: rtcp !== undefined,
    readable: policy === 'best-effort' || requiredLevel === 'hop-by-hop',
    random: (bytes) => host.random(bytes),
  };
  return ok({ channel: new SwitchChannel(setup, host), port: opened.value.port });
}

/** By m-line, and what the conference is to judge. */
export interface OpenedLines {
  readonly lines: (Line | undefined)[];
  readonly facts: readonly JoinChannel[];
}

/** Opens a channel for each line that is used; `failed`: the machine has no room for them, and none is open. */
export function openLines(
  used: readonly (UsedLine | undefined)[],
  of: { readonly conference: ConferenceRuntime; readonly member: MemberId; readonly nowhere: Address },
  host: MediaHost,
): OpenedLines | 'failed' {
  const facts: JoinChannel[] = [];
  const lines: (Line | undefined)[] = [];
  for (const one of used) {
    if (one === undefined) {
      lines.push(undefined);
      continue;
    }
    const id = host.newId();
    facts.push({ channel: id, ...one.offered });
    const opened = openLine({ ...of, id, used: one, cname: host.name }, host);
    if (opened?.ok === false) {
      const { reason, detail } = opened;
      host.output({ type: 'log', level: 'error', message: 'no media channel', fields: { reason, detail } });
      for (const line of lines) if (line !== undefined) host.closed(line.channel);
      return 'failed';
    }
    lines.push(opened === undefined ? undefined : { ...opened.value, tlsId: newTlsId(host) });
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
