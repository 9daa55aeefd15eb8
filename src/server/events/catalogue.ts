/** The catalogue of security events as a page for operators. */
import { SECURITY_EVENTS } from '../../security/events.js';

/** Markdown; one row a code, in the order of the catalogue. */
export function catalogueAsMarkdown(): string {
  const words = (text: string): string => text.replace(/\{(\w+)\}/g, '<$1>').replaceAll('|', '\\|');
  const rows = Object.entries(SECURITY_EVENTS).map(
    ([code, { severity, cause, remedy }]) => `| \`${code}\` | ${severity} | ${words(cause)} | ${words(remedy)} |`,
  );
  return [
    '# Security events',
    '',
    'Every event has an id, a time, a code, a severity, what it is about (conference, endpoint, channel, the address that its',
    'signalling comes from), its cause and what to do next. It is written to the audit store before the call that brought it',
    'about is answered, and goes to the log, the metrics, live listeners, the webhook and syslog. Of one cause (a code and an',
    'address) a burst is kept in full and one a second after it; the others are counted (`suppressed`).',
    '',
    '| code | severity | what has happened | what to do next |',
    '|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}
