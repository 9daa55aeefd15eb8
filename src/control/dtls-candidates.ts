/**
 * Who may become the DTLS peer of a channel: handshakes from several addresses run side by side, bounded in number, until one
 * has proven itself (WIRE.md 2). A later SDP can ask for a new association (RFC 8842 §5); until that one is proven, the peer
 * and the keys of the old one stay in force.
 */
import type { Address, ChannelId } from '../base/ids.js';
import { DTLS_HANDSHAKE_TIMEOUT_MS, DTLS_MAX_PARALLEL_ADDRESSES, DTLS_STRANGER_PATIENCE_MS } from '../base/limits.js';
import { addressKey } from '../wire/ip-address.js';
import type { SdpFingerprint } from '../wire/sdp-types.js';
import type { ChannelHost } from './channel-contract.js';
import type { AssociationNumber, AssociationReport, ChannelProfile } from './contract.js';

/** TLS record type handshake (RFC 5246 §6.2.1): only a hello may make us spend an association on an address. */
const DTLS_HANDSHAKE_RECORD = 22;
/** Where a handshake record says which message it is, and what that is of a ClientHello (RFC 6347 §4.2.2, §4.1). */
const MESSAGE_TYPE_AT = 13;
const CLIENT_HELLO = 1;

/** Whom signalling has named. */
export interface ExpectedPeer {
  /** Where it wants media: a hint, not a proof. */
  readonly address: Address | undefined;
  readonly fingerprints: readonly SdpFingerprint[];
  /** ICE: it has no address but those from which its checks come, and the relay takes DTLS from no others. */
  readonly checks?: boolean;
  /** Ours. As client we call at the address. Default: server. */
  readonly role?: 'client' | 'server';
}

export type DtlsNews =
  | { readonly type: 'keys'; readonly address: Address; readonly report: Extract<AssociationReport, { type: 'keys' }> }
  | { readonly type: 'failed'; readonly reason: 'dtls-failed' | 'fingerprint-mismatch'; readonly detail: string }
  /** A certificate other than the promised one, from an address that is not the signalled one: an alarm, not an end (C10). */
  | { readonly type: 'foreign-certificate'; readonly detail: string };

interface Candidate {
  readonly association: AssociationNumber;
  /** Where it spoke from last. */
  address: Address;
  readonly since: number;
  /** Something of ours was sent: the peer does not begin anew by itself. */
  answered: boolean;
  /** The engine's messages came back empty-handed: kept so that a stranger cannot have a new one at once. */
  failed: boolean;
}

const keyOf = ({ address, port }: Address): string => `${addressKey(address)} ${port}`;

/** Keys that nobody took. */
export function wipeReport(report: AssociationReport): void {
  if (report.type !== 'keys') return;
  report.local.wipe();
  report.remote.wipe();
}

export class DtlsCandidates {
  readonly #channel: ChannelId;
  readonly #profiles: readonly ChannelProfile[];
  readonly #host: ChannelHost;
  readonly #onNews: (news: DtlsNews) => void;
  readonly #candidates = new Map<string, Candidate>();
  #expected: ExpectedPeer = { address: undefined, fingerprints: [] };
  #proven: Candidate | undefined;
  /** ICE: the address that the peer's checks nominated last. */
  #nominated: Address | undefined;
  #deadline: number | undefined;

  constructor(
    channel: ChannelId,
    profiles: readonly ChannelProfile[],
    host: ChannelHost,
    onNews: (news: DtlsNews) => void,
  ) {
    this.#channel = channel;
    this.#profiles = profiles;
    this.#host = host;
    this.#onNews = onNews;
  }

  /** From now on this peer is waited for (or called), for DTLS_HANDSHAKE_TIMEOUT_MS at most. */
  expect(peer: ExpectedPeer, now: number): void {
    for (const { association } of this.#candidates.values()) this.#end(association);
    this.#candidates.clear();
    this.#expected = peer;
    this.#deadline = now + DTLS_HANDSHAKE_TIMEOUT_MS;
    const calls = peer.role === 'client' && peer.address !== undefined;
    this.#host.relay.awaitPeer(this.#channel, peer.address, calls);
    if (calls && peer.address !== undefined) this.#open(peer.address, 'client', now);
    else if (this.#nominated !== undefined) this.#callAt(this.#nominated, now);
  }

  /** ICE: media is to go there, and DTLS may come from there (RFC 8842 §5: the association stays what it is). */
  nominated(address: Address, now: number): void {
    this.#nominated = address;
    this.#callAt(address, now);
  }

  #callAt(address: Address, now: number): void {
    const { role, checks } = this.#expected;
    const waits = checks === true && this.#deadline !== undefined && this.#candidates.size === 0;
    if (waits && role === 'client') this.#open(address, 'client', now);
  }

  deadline(): number | undefined {
    return this.#deadline;
  }

  tick(now: number): void {
    if (this.#deadline === undefined || this.#deadline > now) return;
    this.#deadline = undefined;
    const seconds = DTLS_HANDSHAKE_TIMEOUT_MS / 1000;
    this.#onNews({ type: 'failed', reason: 'dtls-failed', detail: `no proven DTLS peer within ${seconds} s` });
  }

  /** A DTLS datagram that reached the channel's port. */
  datagram(from: Address, bytes: Uint8Array, now: number): void {
    const key = keyOf(from);
    const checks = this.#expected.checks === true;
    const begins = bytes[0] === DTLS_HANDSHAKE_RECORD && (!checks || bytes[MESSAGE_TYPE_AT] === CLIENT_HELLO);
    let candidate = this.#candidates.get(key);
    if (candidate === undefined && checks && !begins) candidate = this.#moved(from);
    if (candidate === undefined && this.#deadline !== undefined) {
      // Before signalling has told whom to expect nobody can be proven; the peer's hello comes again.
      if (
        begins &&
        this.#expected.fingerprints.length > 0 &&
        this.#expected.role !== 'client' &&
        this.#makeRoom(from, now)
      )
        candidate = this.#open(from, 'server', now);
    }
    // What is not for a new association is for the old one, also on the same address (RFC 6347 §4.2.8).
    if (candidate === undefined && this.#proven !== undefined && keyOf(this.#proven.address) === key) {
      candidate = this.#proven;
    }
    if (candidate === undefined || candidate.failed) return;
    this.#host.output({ type: 'association-data', association: candidate.association, bytes });
  }

  association(number: AssociationNumber, report: AssociationReport): void {
    const proven = this.#proven?.association === number ? this.#proven : undefined;
    const candidate = proven ?? [...this.#candidates.values()].find((c) => c.association === number);
    if (candidate !== undefined) {
      switch (report.type) {
        case 'datagram':
          candidate.answered = true;
          this.#host.relay.sendDatagram(this.#channel, candidate.address, report.bytes);
          break;
        case 'keys':
          if (proven === undefined) this.#keyed(candidate, report);
          break;
        case 'failed':
          // Of a proven one the keys are out; what the association does now changes nothing.
          if (proven === undefined) this.#failed(candidate, report);
          break;
        case 'closed':
          break;
      }
    }
    wipeReport(report);
  }

  close(): void {
    this.#deadline = undefined;
    if (this.#proven !== undefined) this.#end(this.#proven.association);
    this.#proven = undefined;
    for (const { association } of this.#candidates.values()) this.#end(association);
    this.#candidates.clear();
  }

  #open(address: Address, role: 'client' | 'server', now: number): Candidate {
    const association = this.#host.newAssociation(this.#channel);
    const candidate: Candidate = { association, address, since: now, answered: false, failed: false };
    this.#candidates.set(keyOf(address), candidate);
    const { fingerprints, checks } = this.#expected;
    const signalled = checks === true || this.#isSignalled(address);
    this.#host.output({
      type: 'association-open',
      association,
      role,
      signalled,
      fingerprints,
      profiles: this.#profiles,
    });
    return candidate;
  }

  /** ICE: a handshake goes on from where the peer nominates, and so does what came of it. */
  #moved(from: Address): Candidate | undefined {
    const candidate = [...this.#candidates.values()].findLast(({ failed }) => !failed) ?? this.#proven;
    if (candidate !== undefined && this.#nominated !== undefined && keyOf(this.#nominated) === keyOf(from)) {
      candidate.address = from;
    }
    return candidate;
  }

  #isSignalled(address: Address): boolean {
    return this.#expected.address !== undefined && keyOf(this.#expected.address) === keyOf(address);
  }

  /**
   * As the relay does (native/core/dtls_door.h): the address that signalling named has a place of its own; among strangers
   * the latest is refused, unless another has failed or had time enough.
   */
  #makeRoom(from: Address, now: number): boolean {
    if (this.#isSignalled(from)) return true;
    const strangers = [...this.#candidates].filter(([, c]) => !this.#isSignalled(c.address));
    if (strangers.length < DTLS_MAX_PARALLEL_ADDRESSES) return true;
    const victim =
      strangers.find(([, c]) => c.failed) ?? strangers.find(([, c]) => now >= c.since + DTLS_STRANGER_PATIENCE_MS);
    if (victim === undefined) return false;
    this.#end(victim[1].association);
    this.#candidates.delete(victim[0]);
    return true;
  }

  #keyed(winner: Candidate, report: Extract<AssociationReport, { type: 'keys' }>): void {
    if (this.#proven !== undefined) this.#end(this.#proven.association);
    this.#proven = winner;
    this.#deadline = undefined;
    for (const candidate of this.#candidates.values()) if (candidate !== winner) this.#end(candidate.association);
    this.#candidates.clear();
    this.#onNews({ type: 'keys', address: winner.address, report });
  }

  #failed(candidate: Candidate, report: Extract<AssociationReport, { type: 'failed' }>): void {
    const key = keyOf(candidate.address);
    candidate.failed = true;
    const signalled = this.#isSignalled(candidate.address);
    const mismatch = report.reason === 'fingerprint-mismatch';
    const detail = `${report.reason}: ${report.detail}${report.alert === undefined ? '' : ` (alert ${report.alert})`}`;
    const ours = report.reason === 'engine-lost' || report.reason === 'limit-exceeded';
    // A peer that had an answer does not begin anew by itself: the call ends now, not when its time is over.
    if (ours && !(signalled && candidate.answered)) {
      // Its next hello finds a fresh association.
      this.#end(candidate.association);
      this.#candidates.delete(key);
    } else if (signalled) {
      this.#deadline = undefined;
      this.#onNews({ type: 'failed', reason: mismatch ? 'fingerprint-mismatch' : 'dtls-failed', detail });
    } else if (mismatch) this.#onNews({ type: 'foreign-certificate', detail });
  }

  #end(association: AssociationNumber): void {
    this.#host.endAssociation(association);
    this.#host.output({ type: 'association-close', association });
  }
}
