/** Longest text that one value from outside may add to an event, a Warning or a Reason, in characters. */
export const MAX_FOREIGN_TEXT_CHARS = 256;

/**
 * Text of foreign origin (names, details) made fit for one log line and for a SIP quoted string: everything but printable
 * ASCII becomes `?`, quote and backslash become `'` (RFC 3261 §25.1 quoted-string), and it is cut at
 * {@link MAX_FOREIGN_TEXT_CHARS} characters. So nobody can start a second log line or a second header with a name.
 */
export function safeText(text: string): string {
  const clean = text
    .slice(0, MAX_FOREIGN_TEXT_CHARS)
    .replace(/[^\x20-\x7e]/g, '?')
    .replace(/["\\]/g, "'");
  return text.length > MAX_FOREIGN_TEXT_CHARS ? `${clean.slice(0, -3)}...` : clean;
}
