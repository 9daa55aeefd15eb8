import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { DROP_NAMES, type Relay } from '../relay/contract.js';

/** What the metrics read at scrape time; nothing is counted twice. */
export interface MetricSources {
  readonly relay: Relay;
  readonly conferencesByLevel: () => Readonly<Record<string, number>>;
  readonly membersByLevel: () => Readonly<Record<string, number>>;
  readonly associations: () => number;
  /** DTLS datagrams dropped because an association's queue was full. */
  readonly droppedDtls: () => number;
}

export interface Metrics {
  readonly registry: Registry;
  /** One a security event; label sets are bounded by the catalogue. */
  readonly securityEvents: Counter<'code' | 'severity'>;
  readonly refusals: Counter<'status'>;
  /** Messages of peers that had no effect; the reasons are those of the parsers, a fixed set. */
  readonly refusedInputs: Counter<'protocol' | 'reason'>;
}

function gauge(registry: Registry, name: string, help: string, labels: string[], read: (g: Gauge) => void): void {
  const metric: Gauge = new Gauge({
    name,
    help,
    labelNames: labels,
    registers: [registry],
    collect() {
      metric.reset();
      read(metric);
    },
  });
}

/** Prometheus metrics (REQUIREMENTS O2); media counters come from the relay's shared memory and cost the packet path nothing. */
export function createMetrics(sources: MetricSources): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: 'claviger_' });
  gauge(registry, 'claviger_conferences', 'Conferences by security level', ['level'], (g) => {
    for (const [level, n] of Object.entries(sources.conferencesByLevel())) g.set({ level }, n);
  });
  gauge(registry, 'claviger_members', 'Conference members by security level', ['level'], (g) => {
    for (const [level, n] of Object.entries(sources.membersByLevel())) g.set({ level }, n);
  });
  gauge(registry, 'claviger_dtls_associations', 'DTLS associations, pending and established', [], (g) => {
    g.set(sources.associations());
  });
  gauge(registry, 'claviger_dtls_dropped_datagrams', 'DTLS datagrams dropped before a full association', [], (g) => {
    g.set(sources.droppedDtls());
  });
  gauge(
    registry,
    'claviger_relay_datagrams',
    'Datagrams since start: read, verified, sent; and tags computed',
    ['kind'],
    (g) => {
      const { ingress, verified, egress, variants } = sources.relay.counters();
      for (const [kind, n] of Object.entries({ ingress, verified, egress, variants })) g.set({ kind }, n);
    },
  );
  gauge(registry, 'claviger_relay_drops', 'Datagrams refused since start, by reason', ['reason'], (g) => {
    const { drops } = sources.relay.counters();
    for (const reason of DROP_NAMES) g.set({ reason }, drops[reason]);
  });
  return {
    registry,
    securityEvents: new Counter({
      name: 'claviger_security_events_total',
      help: 'Security events by code and severity',
      labelNames: ['code', 'severity'],
      registers: [registry],
    }),
    refusedInputs: new Counter({
      name: 'claviger_refused_inputs_total',
      help: 'SIP, SDP and TIP messages that were refused, by protocol and reason',
      labelNames: ['protocol', 'reason'],
      registers: [registry],
    }),
    refusals: new Counter({
      name: 'claviger_sip_refusals_total',
      help: 'Calls refused, by SIP status',
      labelNames: ['status'],
      registers: [registry],
    }),
  };
}
