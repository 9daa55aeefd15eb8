/** Whether payloads of one caller reached another. */
import type { Caller } from './caller.js';

/** What came since `from` and what the sender put in: the same payloads. */
export function hears(at: Caller, from: Caller, media: 'audio' | 'video', since = 0): boolean {
  const sent = new Set(from.sent.map(({ payload }) => Buffer.from(payload).toString('base64')));
  const of = at.received.slice(since).filter((rtp) => rtp.media === media);
  return of.filter(({ payload }) => sent.has(Buffer.from(payload).toString('base64'))).length > 20;
}
