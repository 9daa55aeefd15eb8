/** The machine between signalling and conferences; see contract.ts. */
import type { Engine } from '../base/engine.js';
import type { ChannelId, MemberId } from '../base/ids.js';
import type { Effect } from '../conference/contract.js';
import type { RelayEvent } from '../relay/contract.js';
import type { Level } from '../security/levels.js';
import type { UserAgentInput, UserAgentOutput } from '../sip/contract.js';
import { readOffer } from '../sip/offer-answer.js';
import type { Offer } from '../sip/offer-answer-types.js';
import { wipeKeys } from '../sip/remote-media.js';
import { UserAgent } from '../sip/user-agent.js';
import { writeReason } from '../wire/sip-headers.js';
import { administer, type ConferenceView, Directory, type Refusal } from './administration.js';
import { CallMedia } from './call-media.js';
import type { MediaHost } from './call-media-contract.js';
import { CODEC_REFUSALS, type HeldChannel, headersOfRefusal, type Who, whoGivesWay } from './call-setup.js';
import type { SwitchChannel } from './channel.js';
import { type CallHost, ConferenceRuntime } from './conference.js';
import type {
  AssociationNumber,
  AssociationReport,
  ConferenceSettings,
  ControlInput,
  ControlOptions,
  ControlOutput,
  LogLevel,
} from './contract.js';
import { Dialling } from './dialling.js';
import { wipeReport } from './dtls-candidates.js';
import { Referrals } from './referrals.js';
import { onRelayEvent } from './relay-events.js';
import { Renegotiation } from './renegotiation.js';
import { Connections, denialEvent, SecurityStatus, srtpProblem, trunkOf, userAgentOptions } from './trunk-rules.js';

const RETRY_AFTER_FULL_S = 30;

export class Control implements Engine<ControlInput, ControlOutput> {
  readonly #options: ControlOptions;
  readonly #userAgent: UserAgent;
  readonly #outputs: ControlOutput[] = [];
  readonly #conferences = new Map<string, ConferenceRuntime>();
  readonly #directory: Directory;
  readonly #calls = new Map<MemberId, CallMedia>();
  readonly #channels = new Map<ChannelId, HeldChannel>();
  readonly #associations = new Map<AssociationNumber, ChannelId>();
  readonly #renegotiation: Renegotiation;
  readonly #dialling: Dialling;
  readonly #referrals: Referrals;
  readonly #status: SecurityStatus;
  /** Each SIP connection's addresses: what a caller reached us at is what it can send media to. */
  readonly #connections = new Connections();
  readonly #host: CallHost & MediaHost;
  #nextId = 1;
  #now = 0;
  #stopping = false;
  #stopped = false;

  constructor(options: ControlOptions) {
    this.#options = options;
    this.#directory = new Directory(options.fixed, options.adHoc);
    this.#status = new SecurityStatus(
      options.trunks ?? [],
      (call) => this.#calls.get(call)?.conference.state.members.get(call)?.level,
    );
    this.#userAgent = new UserAgent(userAgentOptions(options, this.#status));
    this.#host = {
      relay: options.relay,
      fingerprint: options.fingerprint,
      name: options.name,
      random: options.random,
      latch: options.latch,
      newId: () => this.#nextId++,
      opened: (channel, conference) => void this.#channels.set(channel.setup.id, { channel, conference }),
      closed: (channel) => this.#closeChannel(channel),
      newAssociation: (channel) => {
        const number = this.#nextId++;
        this.#associations.set(number, channel);
        return number;
      },
      endAssociation: (association) => void this.#associations.delete(association),
      output: (output) => {
        this.#outputs.push(output);
        if (output.type === 'member-ready') this.#sayStatus(output.member);
      },
      admit: (member) => this.#admit(member),
      refuse: (effect) => this.#refuseJoin(effect),
      admitChannels: (member) => this.#renegotiation.admitChannels(member, this.#now),
      refuseChannels: (effect) => this.#renegotiation.refuseChannels(effect),
      move: (member, to) => this.#renegotiation.move(member, to),
      refresh: (channels) => this.#renegotiation.refresh(channels),
      endCall: (member, reason) => {
        this.#forgetCall(member);
        this.#toUserAgent({ type: 'hangup', call: member, reason });
      },
      empty: (conference) => {
        conference.close(this.#now);
        this.#conferences.delete(conference.name);
        this.#outputs.push({ type: 'level', conference: conference.name, level: undefined });
      },
    };
    this.#renegotiation = new Renegotiation({
      calls: this.#calls,
      name: options.name,
      now: () => this.#now,
      send: (command) => this.#toUserAgent(command),
      end: (member, reason) => {
        const call = this.#calls.get(member);
        this.#host.endCall(member, reason);
        call?.conference.apply({ type: 'leave', member, cause: 'dropped' }, this.#now);
      },
    });
    this.#referrals = new Referrals({
      calls: this.#calls,
      send: (command) => this.#toUserAgent(command),
      dial: (input) => this.#dialling.start(input, this.#now),
    });
    this.#dialling = new Dialling({
      connections: this.#connections,
      trunks: options.trunks ?? [],
      media: this.#host,
      calls: this.#calls,
      advertise: options.advertise,
      newCall: () => this.#userAgent.newCall(),
      send: (command) => this.#toUserAgent(command),
      output: (output) => this.#referrals.ended(output) || this.#outputs.push(output),
      conferenceFor: (name, caller) => {
        const conference = this.#conferenceFor(name, caller);
        return conference instanceof ConferenceRuntime ? conference : conference[1];
      },
      leave: (member) => {
        const call = this.#calls.get(member);
        this.#forgetCall(member);
        call?.conference.apply({ type: 'leave', member, cause: 'hung-up' }, this.#now);
      },
    });
  }

  views(): readonly ConferenceView[] {
    return this.#directory.views(this.#conferences);
  }

  view(name: string): ConferenceView | undefined {
    return this.#directory.view(name, this.#conferences);
  }

  conferenceLevel(name: string): Level | undefined {
    return this.#conferences.get(name)?.state.level;
  }

  /** Group parameter sets that a conference has made so far. */
  groupSetsMade(name: string): number {
    return this.#conferences.get(name)?.setsMade ?? 0;
  }

  /** SIP connections that carry a call. */
  readonly connectionsInUse = (): ReadonlySet<number> => this.#userAgent.connectionsInUse();

  receive(input: ControlInput, now: number): void {
    this.#now = now;
    switch (input.type) {
      case 'sip':
        this.#connections.note(input.input);
        this.#toUserAgent(input.input);
        break;
      case 'relay':
        for (const event of input.events) this.#onRelay(event);
        break;
      case 'association':
        this.#onAssociation(input.association, input.report);
        break;
      case 'operate':
        this.#conferences.get(input.conference)?.apply(input.event, now);
        break;
      case 'administration':
        administer(input.command, this.#conferences, this.#directory, now);
        break;
      case 'dial':
        this.#dialling.start(input, now);
        this.#dropIfEmpty(this.#conferences.get(input.conference));
        break;
      case 'dial-cancel':
        this.#dialling.cancel(input.dial);
        break;
      case 'stop':
        this.#stop(input.retryAfterSeconds);
        break;
      case 'tick':
        this.#tick();
        break;
    }
    if (this.#stopping && !this.#stopped && this.#calls.size === 0 && this.#userAgent.hangingUp === 0) {
      this.#stopped = true;
      this.#outputs.push({ type: 'stopped' });
    }
  }

  poll(): ControlOutput | undefined {
    return this.#outputs.shift();
  }

  deadline(): number | undefined {
    let earliest = this.#userAgent.deadline();
    for (const conference of this.#conferences.values()) {
      const at = conference.deadline();
      if (at !== undefined && (earliest === undefined || at < earliest)) earliest = at;
    }
    return earliest;
  }

  #tick(): void {
    const due = this.#userAgent.deadline();
    if (due !== undefined && due <= this.#now) this.#toUserAgent({ type: 'tick' });
    for (const conference of [...this.#conferences.values()]) {
      const at = conference.deadline();
      if (at !== undefined && at <= this.#now) conference.tick(this.#now);
    }
  }

  #stop(retryAfterSeconds: number): void {
    this.#stopping = true;
    this.#toUserAgent({ type: 'stop', retryAfterSeconds });
    for (const conference of [...this.#conferences.values()])
      conference.apply({ type: 'close', reason: 'stopping' }, this.#now);
  }

  #toUserAgent(input: UserAgentInput): void {
    this.#userAgent.receive(input, this.#now);
    for (let out = this.#userAgent.poll(); out !== undefined; out = this.#userAgent.poll()) this.#onUserAgent(out);
  }

  #onUserAgent(out: UserAgentOutput): void {
    if (this.#renegotiation.receive(out, this.#now) || this.#dialling.receive(out, this.#now)) return;
    switch (out.type) {
      case 'send':
      case 'close':
        this.#outputs.push({ type: 'sip', output: out });
        break;
      case 'incoming':
        this.#incoming(out);
        break;
      case 'denied':
        this.#outputs.push(denialEvent(out, this.#connections.get(out.connection)));
        break;
      case 'refer': {
        const connected = this.#connections.get(out.connection);
        const trunk = connected === undefined ? undefined : trunkOf(this.#options.trunks, connected)?.name;
        this.#referrals.refer(out, out.connection, trunk);
        break;
      }
      case 'ended':
      case 'failed': {
        const call = this.#calls.get(out.call);
        if (call === undefined) break;
        this.#forgetCall(out.call);
        const by = out.type === 'ended' ? out.by : 'local';
        const cause = by === 'connection' ? 'connection-lost' : by === 'timeout' ? 'session-timer' : 'hung-up';
        this.#log('info', 'call ended', { call: out.call, conference: call.conference.name, cause });
        call.conference.apply({ type: 'leave', member: out.call, cause }, this.#now);
        break;
      }
      default:
        break; // progress, offer-withdrawn: nothing that a conference waits for
    }
  }

  #incoming(invite: Extract<UserAgentOutput, { type: 'incoming' }>): void {
    const { call, connection, user, from: name, tip } = invite;
    const offer = invite.offer === undefined ? undefined : readOffer(invite.offer);
    if (offer?.ok === false) {
      this.#outputs.push({ type: 'refused-input', protocol: 'sdp', reason: offer.reason });
      return this.#reject(call, 488, `SDP refused: ${offer.reason}${offer.detail ? ` (${offer.detail})` : ''}`);
    }
    const connected = this.#connections.get(connection)!;
    const caller = connected.remote.address;
    const trunk = trunkOf(this.#options.trunks, connected);
    const forbidden = offer && srtpProblem(trunk, offer.value);
    const replaced = invite.replaces === undefined ? undefined : this.#calls.get(invite.replaces)?.conference;
    const conference: ConferenceRuntime | Refusal =
      forbidden === undefined ? (replaced ?? this.#conferenceFor(user, caller)) : [488, forbidden];
    if (!(conference instanceof ConferenceRuntime)) {
      wipeKeys(offer?.value.media ?? []);
      return this.#reject(call, ...conference);
    }
    const address = this.#options.advertise ?? connected.local.address;
    this.#join(conference, call, { name, caller, address, tip, trunk }, offer?.value);
    this.#dropIfEmpty(conference);
  }

  #dropIfEmpty(conference: ConferenceRuntime | undefined): void {
    if (conference === undefined || conference.state.members.size > 0) return;
    if (this.#conferences.get(conference.name) === conference) this.#host.empty(conference);
  }

  /** The conference of this name, made where that is allowed, with room for one more; else why not. */
  #conferenceFor(name: string, caller: string): ConferenceRuntime | Refusal {
    const { maxConferences, maxMembers } = this.#options;
    const known = this.#conferences.get(name);
    const whyNot = known === undefined ? this.#directory.whyNot(name) : undefined;
    if (whyNot !== undefined) return whyNot;
    const full = known ? known.state.members.size >= maxMembers : this.#conferences.size >= maxConferences;
    if (full) this.#makeRoom(caller, ({ conference }) => known === undefined || conference === known);
    const conference = known ?? this.#createConference(name, this.#directory.settingsOf(name));
    if (conference === undefined) return [503, 'no room for another conference', RETRY_AFTER_FULL_S];
    return conference.state.members.size < maxMembers
      ? conference
      : [503, `conference ${name} is full`, RETRY_AFTER_FULL_S];
  }

  #createConference(name: string, settings: ConferenceSettings | undefined): ConferenceRuntime | undefined {
    if (settings === undefined || this.#conferences.size >= this.#options.maxConferences) return undefined;
    const conference = new ConferenceRuntime(this.#nextId++, name, settings, this.#host);
    this.#conferences.set(name, conference);
    return conference;
  }

  /** Whoever has most calls that are not proven gives one of them up for a caller who has fewer (see whoGivesWay). */
  #makeRoom(caller: string, among: (call: CallMedia) => boolean): void {
    const member = whoGivesWay(this.#calls, caller, among);
    if (member === undefined) return;
    const { conference } = this.#calls.get(member)!;
    this.#host.endCall(member, writeReason(503, 'others wait for the place of a call that is not proven'));
    conference.apply({ type: 'leave', member, cause: 'hung-up' }, this.#now);
  }

  /** Opens a channel for each m-line that is used, ours where the peer offers none, and lets the conference judge the call. */
  #join(conference: ConferenceRuntime, call: MemberId, who: Who, offer: Offer | undefined): void {
    const media = new CallMedia(call, who, conference, this.#host);
    const facts = offer === undefined ? media.openOwn() : media.open(offer);
    if (facts === 'failed') return this.#reject(call, 503, 'no media port free', RETRY_AFTER_FULL_S);
    if (typeof facts === 'string') return this.#reject(call, ...CODEC_REFUSALS[facts]);
    this.#calls.set(call, media);
    conference.join(call, who, facts, media.channels, this.#now);
  }

  #admit(member: MemberId): void {
    const call = this.#calls.get(member);
    if (call === undefined) return;
    this.#log('info', 'call admitted', { call: member, conference: call.conference.name });
    if (this.#dialling.admitted(member)) return;
    this.#toUserAgent({ type: 'accept', call: member, sdp: call.describe(this.#now) });
  }

  #refuseJoin(effect: Extract<Effect, { type: 'refuse' }>): void {
    const { member, status, reasonText, warning, retryAfterSeconds } = effect;
    this.#forgetCall(member);
    if (this.#dialling.refused(effect)) return;
    this.#outputs.push({ type: 'call-refused', status });
    const headers = headersOfRefusal(
      this.#options.name,
      status,
      warning ?? { code: 399, text: reasonText },
      retryAfterSeconds,
    );
    this.#toUserAgent({ type: 'reject', call: member, status, headers });
  }

  #reject(call: MemberId, status: number, text: string, retryAfterSeconds?: number): void {
    this.#outputs.push({ type: 'call-refused', status });
    this.#log('info', 'call refused', { call, status, reason: text });
    const headers = headersOfRefusal(this.#options.name, status, { code: 399, text }, retryAfterSeconds);
    this.#toUserAgent({ type: 'reject', call, status, headers });
  }

  #onRelay(event: RelayEvent): void {
    const entry = this.#channels.get('channel' in event ? event.channel : event.receiver);
    if (entry !== undefined) onRelayEvent(entry, event, this.#now);
  }

  /** T7: a peer that was told before that media is not proven hears now that it is. */
  #sayStatus(member: MemberId): void {
    if (this.#status.isTold(member)) this.#renegotiation.start(member, {}, () => undefined);
  }

  #onAssociation(number: AssociationNumber, report: AssociationReport): void {
    const entry = this.#channels.get(this.#associations.get(number) ?? 0);
    if (entry === undefined) return wipeReport(report);
    const { channel, conference } = entry;
    channel.association(number, report, this.#now);
    for (const each of channel.transport.channels) conference.news(each, this.#now);
  }

  /** The call is over or never was: its channels close with the conference's memory of it; here only the index goes. */
  #forgetCall(member: MemberId): void {
    const call = this.#calls.get(member);
    if (call === undefined) return;
    this.#calls.delete(member);
    this.#renegotiation.forget(member);
    this.#status.forget(member);
    call.close();
  }

  #closeChannel(channel: SwitchChannel): void {
    channel.close(this.#now);
    this.#channels.delete(channel.setup.id);
  }

  #log(level: LogLevel, message: string, fields: Readonly<Record<string, string | number | undefined>>): void {
    this.#outputs.push({ type: 'log', level, message, fields });
  }
}
