import type { SipHeader } from '../wire/sip-types.js';

/** Text inside a quoted-string of a header (RFC 3261 §25.1): no quote, no backslash, printable ASCII only. */
function quotable(text: string): string {
  return text
    .replace(/["\\]/g, "'")
    .replace(/[^\x20-\x7e]/g, '?')
    .slice(0, 256);
}

/** RFC 3326: `SIP;cause=<status>;text="..."`. */
export function reasonHeader(status: number, text: string): string {
  return `SIP;cause=${status};text="${quotable(text)}"`;
}

/** What every refusal carries: Reason, Warning (RFC 3261 §20.43), and Retry-After with a 503. */
export function refusalHeaders(
  agent: string,
  status: number,
  reasonText: string,
  warning: { readonly code: number; readonly text: string } | undefined,
  retryAfterSeconds?: number,
): SipHeader[] {
  const headers: SipHeader[] = [{ name: 'reason', value: reasonHeader(status, reasonText) }];
  if (warning !== undefined) {
    headers.push({
      name: 'warning',
      value: `${warning.code} ${agent.replace(/[^A-Za-z0-9.-]/g, '-')} "${quotable(warning.text)}"`,
    });
  }
  if (retryAfterSeconds !== undefined) headers.push({ name: 'retry-after', value: String(retryAfterSeconds) });
  return headers;
}
