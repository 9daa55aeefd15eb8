/** The channels of one transport (RFC 9143): a bundle's, or one alone. */
import type { SwitchChannel } from './channel.js';

export class ChannelTransport {
  /** Whose socket and association it is, also when its m-line is gone. */
  readonly leader: SwitchChannel;
  /** Those whose m-lines are in use. */
  readonly channels = new Set<SwitchChannel>();
  /** The certificate that proved the peer. */
  fingerprint: string | undefined;

  constructor(leader: SwitchChannel) {
    this.leader = leader;
  }

  /** It is this channel's, and others use it. */
  isLedBy(channel: SwitchChannel): boolean {
    return channel === this.leader && [...this.channels].some((other) => other !== channel);
  }

  /** The leader, for the channel that stands in for it now: what becomes of the association is told there. */
  wardOf(channel: SwitchChannel): SwitchChannel | undefined {
    const [first] = this.channels;
    return channel !== this.leader && !this.channels.has(this.leader) && first === channel ? this.leader : undefined;
  }
}
