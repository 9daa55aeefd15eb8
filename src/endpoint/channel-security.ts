/**
 * Keys and keying of one channel: its DTLS association, the channel keys that it gave, and a new association that is to take
 * over (RFC 8842 §5); or keys that SDP brought, and others that it brings later. Until there are new keys everything goes on
 * under the old ones, and afterwards they still open what the switch sent before it had the new ones. A pull machine;
 * `channel.ts` drives it.
 */
import { toHex } from '../base/bytes.js';
import type { Engine, Tick } from '../base/engine.js';
import { PREVIOUS_CHANNEL_KEYS_LIFETIME_MS } from '../base/limits.js';
import { type Result, refuse } from '../base/result.js';
import type { Association, AssociationFailure, SrtpProfile } from '../dtls/association.js';
import { ChannelCrypto, type ChannelKeys } from '../srtp/channel-crypto.js';
import type { DropName } from '../wire/drop.js';
import type { Keying, KeyLogEntry } from './channel-types.js';

export type SecurityInput =
  | { readonly type: 'start' }
  | { readonly type: 'datagram'; readonly bytes: Uint8Array }
  /** A new association with these options, or other keys of SDP: never ones that were in force already. */
  | { readonly type: 'renew'; readonly keying: Keying }
  | { readonly type: 'close' }
  | Tick;

export type SecurityOutput =
  | { readonly type: 'send'; readonly bytes: Uint8Array }
  | {
      readonly type: 'keyed';
      readonly profile: SrtpProfile;
      readonly peerFingerprint: string;
      /** By an association that took over. */
      readonly renewed: boolean;
    }
  | { readonly type: 'key-log'; readonly entry: KeyLogEntry }
  | { readonly type: 'failed'; readonly reason: AssociationFailure; readonly detail: string };

/** What a channel has of it: its own, or that of its bundle's leader. */
export interface Security extends Engine<SecurityInput, SecurityOutput> {
  readonly keyed: boolean;
  /** Every time that there are keys, also of those that are there. */
  onKeyed(listener: (keyed: Extract<SecurityOutput, { type: 'keyed' }>) => void): void;
  protectRtcp(compound: Uint8Array): Uint8Array;
  unprotectRtcp(datagram: Uint8Array): Result<Uint8Array, DropName>;
  /** What became of the datagram that was opened last. */
  opened(datagram: Uint8Array): Result<Uint8Array, DropName>;
  protectRtp(packet: Uint8Array): Result<Uint8Array, DropName>;
  unprotectRtp(datagram: Uint8Array): Result<Uint8Array, DropName>;
}

export class ChannelSecurity implements Security {
  readonly #listeners: Parameters<Security['onKeyed']>[0][] = [];
  #lastKeyed: Extract<SecurityOutput, { type: 'keyed' }> | undefined;
  #lastRtcp: { readonly datagram: Uint8Array; readonly result: Result<Uint8Array, DropName> } | undefined;
  readonly #logKeys: boolean;
  readonly #outputs: SecurityOutput[] = [];
  /** Undefined where SDP brought the keys. */
  #association: Association | undefined;
  #next: Association | undefined;
  #crypto: ChannelCrypto | undefined;
  #previous: { readonly crypto: ChannelCrypto; readonly until: number } | undefined;

  constructor(keying: Exclude<Keying, { readonly shared: Security }>, logKeys: boolean) {
    this.#logKeys = logKeys;
    if ('keys' in keying) {
      this.#take(keying.keys, 0);
      return;
    }
    this.#association = keying.factory(keying.options);
  }

  get keyed(): boolean {
    return this.#crypto !== undefined;
  }

  receive(input: SecurityInput, now: number): void {
    switch (input.type) {
      case 'renew':
        this.#renew(input.keying, now);
        break;
      case 'tick':
        this.#association?.receive(input, now);
        this.#next?.receive(input, now);
        if (this.#previous !== undefined && this.#previous.until <= now) this.#forgetPrevious();
        break;
      case 'close':
        for (const association of [this.#association, this.#next]) association?.receive(input, now);
        this.#drain(now);
        this.#forgetPrevious();
        this.#crypto?.wipe();
        return;
      default:
        // On one address records of two associations cannot be told apart; an established one has nothing more to say.
        (this.#next ?? this.#association)?.receive(input, now);
    }
    this.#drain(now);
  }

  poll(): SecurityOutput | undefined {
    return this.#outputs.shift();
  }

  deadline(): number | undefined {
    const times = [this.#association?.deadline(), this.#next?.deadline(), this.#previous?.until];
    const due = times.filter((t) => t !== undefined);
    return due.length === 0 ? undefined : Math.min(...due);
  }

  /** Under the newest keys; only once keyed. */
  protectRtcp(compound: Uint8Array): Uint8Array {
    return this.#crypto!.protectRtcp(compound);
  }

  /** Only once keyed. */
  unprotectRtcp(datagram: Uint8Array): Result<Uint8Array, DropName> {
    const result = this.#openRtcp(datagram);
    if (this.#listeners.length > 0) this.#lastRtcp = { datagram, result };
    return result;
  }

  opened(datagram: Uint8Array): Result<Uint8Array, DropName> {
    return this.#lastRtcp?.datagram === datagram ? this.#lastRtcp.result : refuse('replayed');
  }

  onKeyed(listener: Parameters<Security['onKeyed']>[0]): void {
    this.#listeners.push(listener);
    if (this.#lastKeyed !== undefined) listener(this.#lastKeyed);
  }

  #openRtcp(datagram: Uint8Array): Result<Uint8Array, DropName> {
    const opened = this.#crypto!.unprotectRtcp(datagram);
    if (opened.ok || this.#previous === undefined) return opened;
    const older = this.#previous.crypto.unprotectRtcp(datagram);
    return older.ok ? older : opened;
  }

  /** Hop-by-hop: media itself is under the channel keys. Only once keyed. */
  protectRtp(packet: Uint8Array): Result<Uint8Array, DropName> {
    return this.#crypto!.protectRtp(packet);
  }

  /** Only once keyed. */
  unprotectRtp(datagram: Uint8Array): Result<Uint8Array, DropName> {
    const opened = this.#crypto!.unprotectRtp(datagram);
    if (opened.ok || this.#previous === undefined) return opened;
    const older = this.#previous.crypto.unprotectRtp(datagram);
    return older.ok ? older : opened;
  }

  #drain(now: number): void {
    for (const association of [this.#association, this.#next]) {
      for (let out = association?.poll(); out !== undefined; out = association?.poll()) {
        switch (out.type) {
          case 'datagram':
            this.#outputs.push({ type: 'send', bytes: out.bytes });
            break;
          case 'keys': {
            const renewed = this.#crypto !== undefined;
            this.#take(out, now);
            if (renewed) {
              this.#association = association!;
              this.#next = undefined;
            }
            out.local.wipe();
            out.remote.wipe();
            const { profile, peerFingerprint } = out;
            this.#lastKeyed = { type: 'keyed', profile, peerFingerprint, renewed };
            this.#outputs.push(this.#lastKeyed);
            for (const listener of this.#listeners) listener(this.#lastKeyed);
            break;
          }
          case 'failed':
            this.#outputs.push({ type: 'failed', reason: out.reason, detail: out.detail });
            break;
          case 'closed':
            break;
        }
      }
    }
  }

  #renew(keying: Keying, now: number): void {
    if ('keys' in keying) return this.#take(keying.keys, now);
    if ('shared' in keying) return;
    this.#next = keying.factory(keying.options);
    this.#next.receive({ type: 'start' }, now);
  }

  /** What was in force opens what is on its way for a while. */
  #take(keys: ChannelKeys, now: number): void {
    this.#log(keys);
    if (this.#crypto !== undefined) {
      this.#forgetPrevious();
      this.#previous = { crypto: this.#crypto, until: now + PREVIOUS_CHANNEL_KEYS_LIFETIME_MS };
    }
    this.#crypto = new ChannelCrypto(keys);
  }

  #log(keys: ChannelKeys): void {
    if (!this.#logKeys) return;
    const [local, remote] = [keys.local, keys.remote].map((s) => s.use(toHex)) as [string, string];
    this.#outputs.push({ type: 'key-log', entry: { kind: 'channel-keys', profile: keys.profile, local, remote } });
  }

  #forgetPrevious(): void {
    this.#previous?.crypto.wipe();
    this.#previous = undefined;
  }
}
