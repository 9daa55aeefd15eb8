/** What the media of a call needs of its surroundings, and what offers of either side ask of it. */
import type { ChannelId, Media } from '../base/ids.js';
import type { Bundle } from '../sip/bundle.js';
import type { Offer } from '../sip/offer-answer-types.js';
import type { SdpDirection, SdpFingerprint } from '../wire/sdp-types.js';
import type { SwitchChannel } from './channel.js';
import type { ChannelHost } from './channel-contract.js';
import type { ConferenceRuntime } from './conference.js';

export interface MediaHost extends ChannelHost {
  readonly fingerprint: SdpFingerprint;
  /** RTCP CNAME of the switch. */
  readonly name: string;
  newId(): ChannelId;
  /** The channel is part of the call from now on. */
  opened(channel: SwitchChannel, conference: ConferenceRuntime): void;
  closed(channel: SwitchChannel): void;
}

/** One m-line that has a channel. */
export interface Line {
  readonly channel: SwitchChannel;
  readonly port: number;
}

/** What an offer makes of the lines, while the conference judges it. */
export interface Pending {
  readonly offer: Offer;
  readonly lines: (Line | undefined)[];
  readonly removed: readonly Line[];
  readonly bundles: readonly Bundle[];
}

/** What an offer that follows brings; `refuse`: the call goes on as it was. */
export type Renegotiated =
  | { readonly type: 'accept'; readonly sdp: string }
  | { readonly type: 'refuse'; readonly code: 302 | 304 | 399; readonly text: string }
  /** The conference decides: `describe` or `refused` of the call is to follow. */
  | { readonly type: 'waiting' };

/** What a re-INVITE of ours asks for. */
export interface Reoffer {
  /** What we would do at most on every line; default: as it is. */
  readonly direction?: SdpDirection;
  /** A new DTLS association on every line (RFC 8842 §5.1). */
  readonly renew?: boolean;
  /** Other channels in place of those of a media kind, perhaps of another transport; they come into use with the answer. */
  readonly replace?: ReadonlyMap<Media, { readonly channel: SwitchChannel; readonly port: number }>;
}
