/**
 * Cameras that nobody watches (REQUIREMENTS S4): TXFLOWCTRL stops them FLOW_STOP_DELAY_MS after the last display has turned
 * away, and starts them as soon as somebody may want them: at the latest with the plan that shows them. Pure.
 */
import type { ChannelId } from '../base/ids.js';
import { FLOW_STOP_DELAY_MS } from '../base/limits.js';
import { channelOf, positionOf, type SourceKey } from './speaker.js';

/** Cameras that nobody watches: since when, ms, and whether they are stopped. One that is watched is not in here. */
export type Flow = ReadonlyMap<SourceKey, { readonly sinceMs: number; readonly stopped: boolean }>;

export interface FlowEffect {
  readonly type: 'flow';
  readonly channel: ChannelId;
  readonly position: number;
  readonly start: boolean;
}

export interface FlowStep {
  readonly flow: Flow;
  readonly effects: readonly FlowEffect[];
}

/**
 * What to stop and to start now.
 * @param cameras those that understand TXFLOWCTRL.
 * @param wanted sources that are shown, planned, or about to be.
 * @param held a display still shows what it is to leave: nothing is stopped meanwhile.
 */
export function controlFlow(
  before: Flow,
  cameras: readonly SourceKey[],
  wanted: ReadonlySet<SourceKey>,
  held: boolean,
  now: number,
): FlowStep {
  const flow = new Map<SourceKey, { sinceMs: number; stopped: boolean }>();
  const effects: FlowEffect[] = [];
  const tell = (camera: SourceKey, start: boolean) =>
    effects.push({ type: 'flow', channel: channelOf(camera), position: positionOf(camera), start });
  for (const camera of cameras) {
    const entry = before.get(camera);
    if (wanted.has(camera)) {
      if (entry?.stopped === true) tell(camera, true);
      continue;
    }
    const sinceMs = entry === undefined || (held && !entry.stopped) ? now : entry.sinceMs;
    const due = now >= sinceMs + FLOW_STOP_DELAY_MS;
    if (due && entry?.stopped !== true) tell(camera, false);
    flow.set(camera, { sinceMs, stopped: due || entry?.stopped === true });
  }
  return { flow, effects };
}

/** When {@link controlFlow} has something to stop, ms. */
export function flowDeadline(flow: Flow): number | undefined {
  let earliest: number | undefined;
  for (const { sinceMs, stopped } of flow.values()) {
    const at = sinceMs + FLOW_STOP_DELAY_MS;
    if (!stopped && (earliest === undefined || at < earliest)) earliest = at;
  }
  return earliest;
}
