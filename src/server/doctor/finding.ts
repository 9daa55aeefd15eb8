/** What one check of `claviger doctor` found. */
export interface Finding {
  readonly area: 'configuration' | 'certificates' | 'ports' | 'clock' | 'kernel' | 'storage' | 'trunks';
  /** `fail`: the switch does not start or calls fail; `warn`: it works, but not for long or not well. */
  readonly state: 'ok' | 'warn' | 'fail';
  readonly what: string;
  /** What to mend; with every `warn` and `fail`. */
  readonly remedy?: string;
}

type Area = Finding['area'];

export const fine = (area: Area, what: string): Finding => ({ area, state: 'ok', what });
export const warn = (area: Area, what: string, remedy: string): Finding => ({ area, state: 'warn', what, remedy });
export const fail = (area: Area, what: string, remedy: string): Finding => ({ area, state: 'fail', what, remedy });

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
