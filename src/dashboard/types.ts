/** The answers of the administration API that the page reads; /openapi.json is the authority. */
export type Level = 'unknown' | 'none' | 'hop-by-hop' | 'end-to-end';
export type Severity = 'info' | 'warn' | 'error' | 'critical';
export type Role = 'viewer' | 'operator' | 'admin';

export interface Conference {
  readonly name: string;
  readonly origin: 'configured' | 'created' | 'dialled';
  readonly policy: string;
  readonly requiredLevel: string;
  readonly switching: 'site' | 'segment';
  readonly locked: boolean;
  readonly level: Level;
  readonly members: number;
  readonly speaker: string | null;
}

export interface Channel {
  readonly id: number;
  readonly media: 'audio' | 'video';
  readonly transport: 'dtls' | 'plain';
  readonly phase: string;
  readonly level: Level;
  readonly receivedBitsPerSecond: number;
  readonly sentBitsPerSecond: number;
  readonly lossFraction: number | null;
  readonly refusedPackets: number;
}

export interface Member {
  readonly id: number;
  readonly name: string;
  readonly level: Level;
  readonly ready: boolean;
  readonly speaker: boolean;
  readonly muted: { readonly audio: boolean; readonly video: boolean };
  readonly channels: readonly Channel[];
}

export interface LevelChange {
  readonly time: string;
  readonly level: Level;
}

export interface ConferenceDetail extends Omit<Conference, 'members'> {
  readonly members: readonly Member[];
  readonly history: readonly LevelChange[];
}

export interface SecurityEvent {
  readonly id: string;
  readonly time: string;
  readonly code: string;
  readonly severity: Severity;
  readonly conference?: string;
  readonly endpoint?: string;
  readonly source?: string;
  readonly cause: string;
  readonly remedy: string;
  readonly members?: readonly string[];
  readonly suppressed?: number;
}

export interface EventCode {
  readonly code: string;
  readonly severity: Severity;
  readonly cause: string;
  readonly remedy: string;
}

export interface Caller {
  readonly name: string;
  readonly role: Role;
}

export interface Health {
  readonly ready: boolean;
  readonly draining: boolean;
  readonly version: string;
}
