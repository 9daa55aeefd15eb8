/**
 * Prometheus metrics (REQUIREMENTS O2). What others count already is read when it is scraped; media counters come from the
 * relay's shared memory and cost the packet path nothing. Every label's values are of a fixed set: nobody who dials can
 * make a new time series.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { DROP_NAMES, type Relay } from '../relay/contract.js';

/** What the metrics read at scrape time; nothing is counted twice. */
export interface MetricSources {
  readonly relay: Relay;
  readonly conferencesByLevel: () => Readonly<Record<string, number>>;
  readonly membersByLevel: () => Readonly<Record<string, number>>;
  readonly associations: () => number;
  /** DTLS datagrams dropped because an association's queue was full. */
  readonly droppedDtls: () => number;
  /** What waits, by the name of the queue. */
  readonly queues: () => Readonly<Record<string, number>>;
  /** The audit store takes events. */
  readonly auditWorks: () => boolean;
  readonly isReady: () => boolean;
  readonly build: { readonly version: string; readonly dtlsEngine: string };
}

export interface Metrics {
  readonly registry: Registry;
  /** One a security event; label sets are bounded by the catalogue. */
  readonly securityEvents: Counter<'code' | 'severity'>;
  /** Of those, the ones that were counted only. */
  readonly suppressedEvents: Counter<'code'>;
  readonly downgrades: Counter<'to' | 'reason'>;
  /** Events that webhook or syslog did not get. */
  readonly lostNotices: Counter;
  readonly refusals: Counter<'status'>;
  /** Messages of peers that had no effect; the reasons are those of the parsers, a fixed set. */
  readonly refusedInputs: Counter<'protocol' | 'reason'>;
  /** Seconds from the first datagram of a handshake to its keys or its failure. */
  readonly handshakes: Histogram<'outcome'>;
  /** Seconds from an INVITE to media: DTLS, TIP and the group key on every channel. */
  readonly negotiations: Histogram;
}

const SECONDS = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20];

type Labelled = Readonly<Record<string, number>>;

/** Read at each scrape. `kind` says whether it only rises since the start (a counter) or goes up and down. */
class Readings {
  readonly #registry: Registry;

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  gauge(name: string, help: string, label: string | undefined, read: () => Labelled): void {
    const registers = [this.#registry];
    const metric: Gauge = new Gauge({
      ...{ name, help, registers, labelNames: label === undefined ? [] : [label] },
      collect() {
        metric.reset();
        for (const [value, n] of Object.entries(read())) metric.set(label === undefined ? {} : { [label]: value }, n);
      },
    });
  }

  counter(name: string, help: string, label: string | undefined, read: () => Labelled): void {
    const registers = [this.#registry];
    const metric: Counter = new Counter({
      ...{ name, help, registers, labelNames: label === undefined ? [] : [label] },
      collect() {
        metric.reset();
        for (const [value, n] of Object.entries(read())) metric.inc(label === undefined ? {} : { [label]: value }, n);
      },
    });
  }
}

function readRelay(readings: Readings, relay: Relay): void {
  readings.counter(
    'claviger_relay_datagrams_total',
    'Media datagrams read, verified and sent; tags computed',
    'kind',
    () => {
      const { ingress, verified, egress, variants } = relay.counters();
      return { ingress, verified, egress, variants };
    },
  );
  readings.counter(
    'claviger_relay_bytes_total',
    'Bytes of media received and sent, without UDP and IP',
    'direction',
    () => {
      const { in: received, out: sent } = relay.bytes();
      return { received, sent };
    },
  );
  readings.counter('claviger_relay_drops_total', 'Datagrams refused, by reason', 'reason', () => {
    const { drops } = relay.counters();
    return Object.fromEntries(DROP_NAMES.map((name) => [name, drops[name]]));
  });
  readings.counter(
    'claviger_relay_retransmissions_total',
    'Packets asked for again, by what became of it',
    'outcome',
    () => {
      const { retransmitted, retransmitUnknown, retransmitLimited } = relay.counters();
      return { sent: retransmitted, unknown: retransmitUnknown, limited: retransmitLimited };
    },
  );
  readings.counter(
    'claviger_relay_unsegmented_total',
    'Receivers for whom the kernel refused UDP_SEGMENT',
    undefined,
    () => ({
      all: relay.counters().unsegmented,
    }),
  );
  readings.counter('claviger_relay_cpu_seconds_total', 'CPU time of the relay threads', undefined, () => ({
    all: Number(relay.threadCpuNs().reduce((sum, ns) => sum + ns, 0n)) / 1e9,
  }));
  readings.gauge(
    'claviger_relay_egress_per_cpu_second',
    'Efficiency since the start: datagrams sent for one second of CPU time of the relay threads',
    undefined,
    () => {
      const seconds = Number(relay.threadCpuNs().reduce((sum, ns) => sum + ns, 0n)) / 1e9;
      return { all: seconds === 0 ? 0 : relay.counters().egress / seconds };
    },
  );
}

export function createMetrics(sources: MetricSources): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry, prefix: 'claviger_' });
  const readings = new Readings(registry);
  readings.gauge('claviger_conferences', 'Conferences by security level', 'level', sources.conferencesByLevel);
  readings.gauge('claviger_members', 'Conference members by security level', 'level', sources.membersByLevel);
  readings.gauge('claviger_dtls_associations', 'DTLS associations, pending and established', undefined, () => ({
    all: sources.associations(),
  }));
  readings.counter(
    'claviger_dtls_dropped_datagrams_total',
    'DTLS datagrams dropped before a full association',
    undefined,
    () => ({
      all: sources.droppedDtls(),
    }),
  );
  readings.gauge('claviger_queue_depth', 'What waits, by queue', 'queue', sources.queues);
  readings.gauge(
    'claviger_audit_store_up',
    '1: the audit store takes events; 0: they wait in memory',
    undefined,
    () => ({
      all: sources.auditWorks() ? 1 : 0,
    }),
  );
  readings.gauge('claviger_ready', '1: new calls are taken', undefined, () => ({ all: sources.isReady() ? 1 : 0 }));
  readRelay(readings, sources.relay);
  new Gauge({
    name: 'claviger_build_info',
    help: 'Always 1; its labels say what runs',
    labelNames: ['version', 'node', 'dtls_engine'],
    registers,
  }).set({ version: sources.build.version, node: process.version, dtls_engine: sources.build.dtlsEngine }, 1);
  return {
    registry,
    securityEvents: new Counter({
      name: 'claviger_security_events_total',
      help: 'Security events by code and severity',
      labelNames: ['code', 'severity'],
      registers,
    }),
    suppressedEvents: new Counter({
      name: 'claviger_security_events_suppressed_total',
      help: 'Security events that were over the rate of their cause, and counted only',
      labelNames: ['code'],
      registers,
    }),
    downgrades: new Counter({
      name: 'claviger_conference_downgrades_total',
      help: 'Conferences whose level went down, or that started below end-to-end: to which level, and why',
      labelNames: ['to', 'reason'],
      registers,
    }),
    lostNotices: new Counter({
      name: 'claviger_event_notices_lost_total',
      help: 'Security events that webhook or syslog did not get',
      registers,
    }),
    refusedInputs: new Counter({
      name: 'claviger_refused_inputs_total',
      help: 'SIP, SDP and TIP messages that were refused, by protocol and reason',
      labelNames: ['protocol', 'reason'],
      registers,
    }),
    refusals: new Counter({
      name: 'claviger_sip_refusals_total',
      help: 'Calls refused, by SIP status',
      labelNames: ['status'],
      registers,
    }),
    handshakes: new Histogram({
      name: 'claviger_dtls_handshake_seconds',
      help: 'From the first datagram of a DTLS handshake to its keys or its failure',
      labelNames: ['outcome'],
      buckets: SECONDS,
      registers,
    }),
    negotiations: new Histogram({
      name: 'claviger_negotiation_seconds',
      help: 'From an INVITE to media: DTLS, TIP and the group key on every channel',
      buckets: SECONDS,
      registers,
    }),
  };
}
