/** The running switch: sockets, timers and threads around the pure rooms, started and stopped in one written order. */
import { randomBytes } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { performance } from 'node:perf_hooks';
import type { Address } from '../base/ids.js';
import {
  LOG_MAX_LINES_PER_KIND,
  LOG_THROTTLE_INTERVAL_MS,
  LOG_THROTTLE_MAX_NAMES,
  STOP_TIMEOUT_MS,
} from '../base/limits.js';
import type { OperatorEvent } from '../conference/contract.js';
import { countLevels } from '../control/administration.js';
import type { ConferenceSettings, ControlInput, ControlOutput } from '../control/contract.js';
import { Control } from '../control/control.js';
import { createSelfSigned, fingerprintOf } from '../dtls/certificate.js';
import type { Relay, RelayCounters } from '../relay/contract.js';
import { openRelay } from '../relay/relay.js';
import type { Level } from '../security/levels.js';
import type { Policy } from '../security/policy.js';
import { Administration, type AdministrationFiles, administrationFiles, VERSION } from './administration.js';
import { Associations } from './associations.js';
import type { Config } from './config.js';
import { Dialler, type DialRequest, type DialView } from './dialler.js';
import type { EventRecord } from './events/record.js';
import { type EventFiles, eventFiles, SecurityEvents } from './events/security-events.js';
import { gateOf } from './gate.js';
import { LogBudget, type Logger, LogThrottle } from './log.js';
import { demandAddress } from './media-address.js';
import { createMetrics, type Metrics } from './metrics.js';
import { Registrations } from './registrations.js';
import { ADMIN, readCertificatesOf, Signalling, type SipAddress } from './signalling.js';
import type { SipConnectionsOptions } from './sip-connections.js';
import type { TlsStore } from './tls-store.js';

export interface SwitchOptions {
  readonly log: Logger;
  readonly onSecurityEvent?: (event: EventRecord) => void;
  readonly onSpeaker?: (conference: string, member: string | undefined) => void;
  /** Default: the limits of base. */
  readonly connections?: Pick<SipConnectionsOptions, 'idleMs' | 'keepAlive'>;
}

const RETRY_AFTER_STOPPING_S = 60;

/** Unix ms that never go back: the monotonic clock on the wall clock of the process's start (base/engine). */
function now(): number {
  return performance.timeOrigin + performance.now();
}

export class Switch {
  readonly #options: SwitchOptions;
  readonly #control: Control;
  readonly #relay: Relay;
  readonly #signalling: Signalling;
  readonly #registrations: Registrations | undefined;
  readonly #dialler: Dialler;
  readonly #admin: Administration;
  readonly #events: SecurityEvents;
  readonly #metrics: Metrics;
  readonly #associations: Associations;
  readonly #throttle = new LogThrottle(LOG_THROTTLE_INTERVAL_MS, LOG_THROTTLE_MAX_NAMES);
  readonly #budget = new LogBudget(LOG_THROTTLE_INTERVAL_MS, LOG_MAX_LINES_PER_KIND);
  /** File with the administrator's token, where the configuration names none. */
  readonly adminTokenFile: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #rearm: NodeJS.Immediate | undefined;
  #sip: SipAddress | undefined;
  #adminAddress: Address | undefined;
  #ready = false;
  #stop: Promise<void> | undefined;
  #onStopped: (() => void) | undefined;

  /** Starts everything that a call needs, listeners last; rejects with an error that names the setting to mend. */
  static async start(config: Config, options: SwitchOptions): Promise<Switch> {
    // Whatever can be wrong is found before there are threads that would keep the process alive.
    const certificates = await readCertificatesOf(config, now());
    const administration = administrationFiles(config, certificates.set(ADMIN));
    const events = eventFiles(config);
    await demandAddress(config.media.address);
    const dtls = await createSelfSigned(config.sip.name, now());
    const registrations = config.registrar.enabled
      ? new Registrations(config.data.dir, now, (detail) => options.log.error({ detail }, 'registrar'))
      : undefined;
    const running = new Switch(config, options, { certificates, administration, events, registrations }, dtls);
    try {
      running.#sip = await running.#signalling.listen();
      running.#adminAddress = await running.#admin.server.listen();
    } catch (error) {
      await running.#release();
      throw error;
    }
    running.#ready = true;
    return running;
  }

  private constructor(
    config: Config,
    options: SwitchOptions,
    files: {
      readonly certificates: TlsStore;
      readonly registrations: Registrations | undefined;
      readonly administration: AdministrationFiles;
      readonly events: EventFiles;
    },
    dtls: Awaited<ReturnType<typeof createSelfSigned>>,
  ) {
    this.#options = options;
    this.adminTokenFile = files.administration.tokenFile;
    const { media, conferences, sip } = config;
    const threads = (n: number): number => (n === 0 ? availableParallelism() : n);
    this.#relay = openRelay(
      { threads: threads(media.threads), bindAddress: media.address, portMin: media.portMin, portMax: media.portMax },
      (events) => this.#receive({ type: 'relay', events }),
    );
    this.#associations = new Associations({
      threads: threads(config.dtls.threads),
      engine: config.dtls.engine,
      certificate: dtls,
      now,
      onWorkerLost: (error) =>
        options.log.error({ error: error.message }, 'a negotiation thread died; its handshakes fail'),
      onReport: (association, report) => this.#receive({ type: 'association', association, report }),
      onNegotiated: (outcome, seconds) => this.#metrics.handshakes.observe({ outcome }, seconds),
    });
    const defaults = {
      suite: conferences.suite,
      switching: conferences.switching,
      restore: conferences.restore,
      codecs: { audio: conferences.audioCodecs, video: conferences.videoCodecs },
      ...(conferences.rekeySeconds === 0 ? {} : { rekeyAfterMs: conferences.rekeySeconds * 1000 }),
    };
    const settings = (policy: Policy, suite = conferences.suite): ConferenceSettings => ({
      ...defaults,
      policy,
      suite,
      requiredLevel: policy === 'secure' ? conferences.requiredLevel : 'none',
      ...(policy === 'best-effort' ? { onNegotiationFailure: conferences.onNegotiationFailure } : {}),
    });
    const fingerprint = fingerprintOf(dtls.certificatePem, 'sha-256');
    this.#registrations = files.registrations;
    const gate = gateOf(config, this.#registrations?.registrar);
    this.#control = new Control({
      relay: this.#relay,
      random: (bytes) => Uint8Array.from(randomBytes(bytes)),
      fingerprint,
      name: sip.name,
      product: 'Claviger',
      ...(media.advertise === undefined ? {} : { advertise: media.advertise }),
      ...(media.latchSeconds === 0 ? {} : { latch: { ms: media.latchSeconds * 1_000, anywhere: media.latchAnywhere } }),
      adHoc: conferences.adHoc ? settings(conferences.policy) : undefined,
      fixed: new Map(conferences.fixed.map((c) => [c.name, settings(c.policy, c.suite)])),
      ...gate,
      maxConferences: conferences.max,
      maxMembers: conferences.maxMembers,
    });
    this.#metrics = createMetrics({
      relay: this.#relay,
      conferencesByLevel: () => countLevels(this.#control.views()).conferences,
      membersByLevel: () => countLevels(this.#control.views()).members,
      associations: () => this.#associations.size,
      droppedDtls: () => this.#associations.droppedDatagrams,
      queues: () => ({ ...this.#events.queues(), dtls_handshakes: this.#associations.handshaking }),
      auditWorks: () => this.#events.journal.problem === undefined,
      isReady: () => this.#admin.isReady(),
      build: { version: VERSION, dtlsEngine: config.dtls.engine },
    });
    this.#events = new SecurityEvents({
      ...{ config, files: files.events, log: options.log, metrics: this.#metrics, now },
      onEvent: options.onSecurityEvent,
    });
    this.#signalling = new Signalling({
      config,
      certificates: files.certificates,
      ...options.connections,
      now,
      onSecurityEvent: (event) => this.#events.record(event),
      onReloaded: (user, set) => {
        options.log.info({ where: set.where }, 'certificates were read again');
        if (user === ADMIN) this.#admin.server.reload(set);
      },
      inUse: this.#control.connectionsInUse,
      flows: () => this.#registrations?.registrar.flows() ?? new Set(),
      onInput: (input) => this.#receive({ type: 'sip', input }),
      onRefused: (reason) => this.#metrics.refusedInputs.inc({ protocol: 'sip', reason }),
      onProblem: (kind, detail, remote) => {
        const suppressed = this.#throttle.admit(`sip ${kind}`, remote, now());
        if (suppressed !== undefined) options.log.warn({ kind, detail, remote, suppressed }, 'SIP connection problem');
      },
    });
    this.#dialler = new Dialler({
      ways: this.#signalling,
      flowsOf: (user) => this.#registrations?.registrar.flowsOf(user, now()) ?? [],
      receive: (input) => this.#receive(input),
      now,
    });
    this.#admin = new Administration({
      dialler: this.#dialler,
      config,
      control: this.#control,
      relay: this.#relay,
      registry: this.#metrics.registry,
      journal: this.#events.journal,
      files: files.administration,
      defaults,
      receive: (input) => this.#receive(input),
      isReady: () => this.#ready && this.#stop === undefined,
      now,
      onProblem: (detail) => options.log.error({ detail }, 'administration'),
    });
  }

  /** File that callers need to trust our certificate (`--ca`); undefined: the operator brought one of his own. */
  get caFile(): string | undefined {
    return this.#signalling.caFile;
  }

  /** Certificates, keys, authorities and revocation lists are read again; calls go on. @returns false: some cannot be used. */
  reloadCertificates(): boolean {
    return this.#signalling.reload();
  }

  get sip(): SipAddress {
    return this.#sip!;
  }

  get admin(): Address {
    return this.#adminAddress!;
  }

  /** As shown; undefined: there is no such conference. */
  conferenceLevel(name: string): Level | undefined {
    return this.#control.conferenceLevel(name);
  }

  /** An in-meeting control (S5), a rekey, the end; nothing happens where there is no such conference. */
  operate(conference: string, event: OperatorEvent): void {
    this.#receive({ type: 'operate', conference, event });
  }

  /** Calls an endpoint into a conference; what becomes of it shows in {@link dialled}. */
  dial(request: DialRequest): ReturnType<Dialler['dial']> {
    return this.#dialler.dial(request);
  }

  dialled(conference: string, id: number): DialView | undefined {
    return this.#dialler.get(conference, id);
  }

  cancelDial(id: number): void {
    this.#dialler.cancel(id);
  }

  /** Rises with every rekey (WIRE.md 10). */
  groupSetsMade(name: string): number {
    return this.#control.groupSetsMade(name);
  }

  counters(): RelayCounters {
    return this.#relay.counters();
  }

  /** CPU time of the relay threads, nanoseconds. */
  relayCpuNs(): bigint {
    return this.#relay.threadCpuNs().reduce((sum, n) => sum + n, 0n);
  }

  /** The negotiation threads, for tests that kill one. */
  get negotiationThreads(): Associations['threads'] {
    return this.#associations.threads;
  }

  /** BYE to everybody, then listeners, threads and keys; done within STOP_TIMEOUT_MS whatever the peers do. */
  stop(): Promise<void> {
    this.#stop ??= this.#stopOnce();
    return this.#stop;
  }

  async #stopOnce(): Promise<void> {
    this.#dialler.close();
    let timeout: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#onStopped = resolve;
      // A second is kept back for closing what is left.
      timeout = setTimeout(resolve, STOP_TIMEOUT_MS - 1_000);
      this.#receive({ type: 'stop', retryAfterSeconds: RETRY_AFTER_STOPPING_S });
    });
    clearTimeout(timeout);
    await this.#release();
  }

  /** Closing order: no new work (listeners), no more negotiation (pool), then the media path and its keys. */
  async #release(): Promise<void> {
    clearTimeout(this.#timer);
    clearImmediate(this.#rearm);
    this.#ready = false;
    this.#registrations?.close();
    await Promise.all([this.#signalling.close(), this.#admin.close()]);
    await this.#associations.close();
    this.#relay.close();
    this.#events.close();
    this.#associations.wipe();
  }

  #receive(input: ControlInput): void {
    if (input.type === 'relay') this.#admin.onRelay(input.events);
    this.#control.receive(input, now());
    this.#registrations?.save();
    // Security events are on record before anything is answered.
    const others: Exclude<ControlOutput, { type: 'security-event' }>[] = [];
    for (let out = this.#control.poll(); out !== undefined; out = this.#control.poll()) {
      if (out.type === 'security-event') this.#events.record(out.event);
      else others.push(out);
    }
    for (const out of others) this.#perform(out);
    this.#rearm ??= setImmediate(() => this.#setTimer());
  }

  /** Once for all that came in one turn: finding the earliest deadline asks every conference. */
  #setTimer(): void {
    this.#rearm = undefined;
    clearTimeout(this.#timer);
    const deadline = this.#control.deadline();
    if (deadline === undefined) return;
    this.#timer = setTimeout(() => this.#receive({ type: 'tick' }), Math.max(0, Math.ceil(deadline - now())));
  }

  #perform(out: Exclude<ControlOutput, { type: 'security-event' }>): void {
    switch (out.type) {
      case 'sip':
        if (out.output.type === 'send') this.#signalling.send(out.output);
        else this.#signalling.closeConnection(out.output.connection);
        break;
      case 'association-open':
        this.#associations.open(out);
        break;
      case 'association-data':
        this.#associations.receive(out.association, out.bytes);
        break;
      case 'association-close':
        this.#associations.end(out.association);
        break;
      case 'member-ready':
        this.#metrics.negotiations.observe(out.afterMs / 1_000);
        break;
      case 'dial-ended':
        this.#dialler.onEnded(out);
        break;
      case 'call-refused':
        this.#metrics.refusals.inc({ status: String(out.status) });
        break;
      case 'refused-input':
        this.#metrics.refusedInputs.inc({ protocol: out.protocol, reason: out.reason });
        break;
      case 'level':
        this.#admin.onLevel(out);
        break;
      case 'speaker':
        this.#options.onSpeaker?.(out.conference, out.member);
        break;
      case 'log':
        this.#log(out);
        break;
      case 'stopped':
        this.#onStopped?.();
        break;
    }
  }

  /** Whoever can reach the port can have calls refused; each kind of refusal is one line, then a count; other lines about calls have a budget. */
  #log({ level, message, fields }: Extract<ControlOutput, { type: 'log' }>): void {
    const suppressed =
      message === 'call refused'
        ? this.#throttle.admit('refused', String(fields.status), now())
        : this.#budget.admit(message, now());
    if (suppressed === undefined) return;
    this.#options.log[level](suppressed === 0 ? fields : { ...fields, suppressed }, message);
  }
}
