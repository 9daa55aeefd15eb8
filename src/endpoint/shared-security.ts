/** Keys and keying of a channel that follows another one of its bundle (RFC 9143): all of it is the leader's business. */
import type { Result } from '../base/result.js';
import type { DropName } from '../wire/drop.js';
import { ChannelSecurity, type Security, type SecurityOutput } from './channel-security.js';
import type { Keying } from './channel-types.js';

export class SharedSecurity implements Security {
  readonly #leader: Security;
  readonly #outputs: SecurityOutput[] = [];

  constructor(leader: Security) {
    this.#leader = leader;
    leader.onKeyed((keyed) => void this.#outputs.push(keyed));
  }

  get keyed(): boolean {
    return this.#leader.keyed;
  }

  receive(): void {
    // The leader has its datagrams, its time and its end.
  }

  poll(): SecurityOutput | undefined {
    return this.#outputs.shift();
  }

  deadline(): undefined {
    return undefined;
  }

  onKeyed(listener: Parameters<Security['onKeyed']>[0]): void {
    this.#leader.onKeyed(listener);
  }

  protectRtcp(compound: Uint8Array): Uint8Array {
    return this.#leader.protectRtcp(compound);
  }

  /** One that the leader has opened: every channel of a bundle is told what came, and it is opened once. */
  unprotectRtcp(datagram: Uint8Array): Result<Uint8Array, DropName> {
    return this.#leader.opened(datagram);
  }

  opened(datagram: Uint8Array): Result<Uint8Array, DropName> {
    return this.#leader.opened(datagram);
  }

  protectRtp(packet: Uint8Array): Result<Uint8Array, DropName> {
    return this.#leader.protectRtp(packet);
  }

  unprotectRtp(datagram: Uint8Array): Result<Uint8Array, DropName> {
    return this.#leader.unprotectRtp(datagram);
  }
}

export function securityFor(keying: Keying, logKeys: boolean): Security {
  return 'shared' in keying ? new SharedSecurity(keying.shared) : new ChannelSecurity(keying, logKeys);
}
