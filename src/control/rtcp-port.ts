/**
 * Whether RTCP of a channel has a port of its own, and where the peer wants it: peers from before RFC 5761; and how much of it
 * is heard.
 */
import type { Address, ChannelId } from '../base/ids.js';
import { MAX_CONTROL_COMPOUNDS_PER_CHANNEL_SECOND } from '../base/limits.js';
import type { Relay } from '../relay/contract.js';
import type { RemoteMedia } from '../sip/offer-answer-types.js';
import { addressKey } from '../wire/ip-address.js';
import type { ChannelAgreement, ChannelSetup } from './channel-contract.js';

/**
 * Where RTCP of a line goes that is about to be opened, if not with RTP. Who speaks TIP takes it there always; an answer to our
 * own offer (`remote` undefined) may want it apart, whatever we offered.
 */
export function rtcpApart(remote: RemoteMedia | undefined, tip: boolean, nowhere: Address): Address | undefined {
  if (remote === undefined) return nowhere;
  return tip || remote.rtcpMux ? undefined : (remote.rtcp ?? nowhere);
}

export class RtcpPort {
  readonly #channel: ChannelId;
  readonly #relay: Relay;
  #apart: boolean;
  /** As told the relay last. */
  #peer: Address | undefined;
  /** Control compounds heard in the second that began at `since`. */
  #heard = { since: 0, count: 0 };

  constructor({ id, rtcpApart: apart }: Pick<ChannelSetup, 'id' | 'rtcpApart'>, relay: Relay) {
    this.#channel = id;
    this.#relay = relay;
    this.#apart = apart;
  }

  get apart(): boolean {
    return this.#apart;
  }

  /** One member's flood of requests is not to take the main thread's time from the others. */
  admits(now: number): boolean {
    if (now - this.#heard.since >= 1_000) this.#heard = { since: now, count: 0 };
    return ++this.#heard.count <= MAX_CONTROL_COMPOUNDS_PER_CHANNEL_SECOND;
  }

  /** Once it goes with RTP it stays there. @param tip the peer speaks TIP */
  agree({ rtcpMux, rtcp }: Pick<ChannelAgreement, 'rtcpMux' | 'rtcp'>, tip: boolean): void {
    if (!this.#apart) return;
    if (rtcpMux || tip) {
      this.#apart = false;
      this.#relay.setRtcpPort(this.#channel, undefined);
    } else if (rtcp !== undefined && !isSame(rtcp, this.#peer)) {
      this.#peer = rtcp;
      this.#relay.setRtcpPort(this.#channel, rtcp);
    }
  }
}

function isSame(a: Address, b: Address | undefined): boolean {
  return b !== undefined && a.port === b.port && addressKey(a.address) === addressKey(b.address);
}
