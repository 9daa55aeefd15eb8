/** What TIP has agreed on a channel, in the words of the conference. */
import type { TipFacts } from '../conference/contract.js';
import { switchOptions, TipMachine } from '../tip/index.js';
import type { Suite } from '../wire/tip.js';
import type { ChannelNews, ChannelSetup } from './channel-contract.js';

/** The switch's half of TIP on a channel: every place there is. `secure`: with EKT. */
export function switchTip({
  media,
  conferenceId,
  ssrc,
  secure,
  suites,
}: Pick<ChannelSetup, 'media' | 'conferenceId'> & {
  readonly ssrc: number;
  readonly secure: boolean;
  readonly suites: readonly Suite[] | undefined;
}): TipMachine {
  const everyPlace = media === 'audio' ? 0b11110 : 0b1110;
  const places = media === 'audio' ? 4 : 3;
  return new TipMachine({
    ...{ role: 'switch', media, ssrc, version: 8, secure, feedback: false, conferenceId },
    ...{ numXmit: places, numRcv: places, transmitMask: everyPlace, receiveMask: everyPlace },
    options: secure ? switchOptions(media, true) : { transmit: [], receive: [] },
    ...(suites === undefined ? {} : { suites }),
  });
}

export function tipFacts({
  peer,
  inForce,
  capable,
  reason,
}: Extract<ChannelNews, { readonly type: 'negotiated' }>): TipFacts {
  return {
    version: peer.version,
    secure: peer.secure,
    ektTx: inForce.transmit.ekt,
    ektRx: inForce.receive.ekt,
    capable,
    ...(reason === undefined ? {} : { reason }),
    transmitMask: peer.transmitMask,
    receiveMask: peer.receiveMask,
    trailingByte: inForce.receive.activityMetric || inForce.receive.refreshFlag,
  };
}
