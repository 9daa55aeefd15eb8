/** The running switch in the words of the API's schemas. */
import type { z } from 'zod';
import type { ConferenceView } from '../../control/administration.js';
import type { AdminHost } from './host.js';
import type { conferenceDetail, conferenceSummary, drainView } from './schemas.js';

export function conferenceToJson(view: ConferenceView): z.output<typeof conferenceSummary> {
  const { name, origin, settings, state } = view;
  const speaker = state?.shownSpeaker === undefined ? undefined : state.members.get(state.shownSpeaker);
  return {
    ...{ name, origin, policy: settings.policy, requiredLevel: settings.requiredLevel, suite: settings.suite ?? 1 },
    switching: state?.switching ?? settings.switching ?? 'site',
    locked: state?.locked ?? false,
    level: state?.level ?? 'unknown',
    members: state?.members.size ?? 0,
    speaker: speaker?.name ?? null,
  };
}

export function detailToJson(view: ConferenceView, host: AdminHost): z.output<typeof conferenceDetail> {
  const { state } = view;
  return {
    ...conferenceToJson(view),
    members: [...(state?.members.values() ?? [])].map((member) => ({
      ...{ id: member.id, name: member.name, level: member.level, ready: member.ready },
      speaker: state?.shownSpeaker === member.id,
      muted: member.muted,
      channels: member.channels.map((channel) => {
        const { lossFraction, ...traffic } = host.traffic(channel.id);
        return {
          ...{ id: channel.id, media: channel.media, transport: channel.transport, phase: channel.phase },
          ...{ level: channel.level, ...traffic, lossFraction: lossFraction ?? null },
        };
      }),
    })),
    history: host.history(view.name).map(({ time, level }) => ({ time: new Date(time).toISOString(), level })),
  };
}

export function drainToJson(host: AdminHost): z.output<typeof drainView> {
  const { draining, deadlineMs } = host.drain;
  return {
    draining,
    deadline: deadlineMs === undefined ? null : new Date(deadlineMs).toISOString(),
    conferences: host.conferences().filter(({ state }) => state !== undefined).length,
  };
}
