/** A value or a named refusal. Hostile bytes give one of these, never an exception. */
export type Result<T, E extends string = string> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly reason: E; readonly detail?: string };

export function ok<T>(value: T): { readonly ok: true; readonly value: T } {
  return { ok: true, value };
}

/** @param detail free text for a log or an error message; it never carries bytes of the input beyond what is safe to print. */
export function refuse<E extends string>(
  reason: E,
  detail?: string,
): { readonly ok: false; readonly reason: E; readonly detail?: string } {
  return detail === undefined ? { ok: false, reason } : { ok: false, reason, detail };
}

/** For a place that no input can reach: our own bug, and it ends the process loudly. */
export function unreachable(value: never, where: string): never {
  throw new Error(`${where}: unreachable case ${JSON.stringify(value)}`);
}
