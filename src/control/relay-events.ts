/** What the relay reports of a channel, brought to the channel or its conference. */
import type { RelayEvent } from '../relay/contract.js';
import type { HeldChannel } from './call-setup.js';

export function onRelayEvent({ channel, conference }: HeldChannel, event: RelayEvent, now: number): void {
  switch (event.type) {
    case 'dtls':
      channel.dtls(event.from, event.bytes, now);
      break;
    case 'control':
      channel.control(event.rtcp, event.tipAllowed, now);
      conference.news(channel, now);
      break;
    case 'ice':
      channel.consent.news(event.what, event.address, now);
      break;
    case 'bound':
      conference.bound(event.channel, event.ssrc, event.position);
      break;
    case 'activity':
    case 'refresh':
    case 'switched':
      conference.apply(event, now);
      break;
    case 'claimed':
      conference.claim(event, now);
      break;
    case 'reports':
      channel.report(event.reports);
      break;
    case 'refusals':
      conference.refusals(event, now);
      break;
  }
}
