/** What TIP has agreed on a channel, in the words of the conference. */
import type { TipFacts } from '../conference/contract.js';
import type { ChannelNews } from './channel-contract.js';

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
