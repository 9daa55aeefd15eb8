/** Security events as they are kept and shown, and the questions asked of them. */
import type { SecurityEvent, SecurityEventCode, Severity } from '../../security/events.js';

/** An event with its number and time; numbers rise, also from one run of the process to the next. */
export interface EventRecord extends SecurityEvent {
  readonly id: string;
  /** RFC 3339, UTC. */
  readonly time: string;
  /** Events of the same cause before this one that were counted only. */
  readonly suppressed?: number;
}

export interface EventFilter {
  readonly code?: SecurityEventCode | undefined;
  /** This severity or worse. */
  readonly severity?: Severity | undefined;
  readonly conference?: string | undefined;
  readonly sinceMs?: number;
  readonly untilMs?: number;
  /** Ids below this one. */
  readonly before?: number;
}

const SEVERITIES: readonly Severity[] = ['info', 'warn', 'error', 'critical'];

/** 0 info to 3 critical. */
export function rankOf(severity: Severity): number {
  return SEVERITIES.indexOf(severity);
}

export function fits(event: EventRecord, filter: EventFilter): boolean {
  const { code, severity, conference, sinceMs, untilMs, before } = filter;
  const time = Date.parse(event.time);
  return (
    (code === undefined || event.code === code) &&
    (severity === undefined || rankOf(event.severity) >= rankOf(severity)) &&
    (conference === undefined || event.conference === conference) &&
    (sinceMs === undefined || time >= sinceMs) &&
    (untilMs === undefined || time < untilMs) &&
    (before === undefined || Number(event.id) < before)
  );
}
