/** A table for people: one header line, right-aligned columns, a caption below that says what was counted. */
import { cpus, loadavg, release } from 'node:os';

export function table(header: readonly string[], rows: readonly (readonly string[])[], caption: string): string {
  const widths = header.map((cell, i) => Math.max(cell.length, ...rows.map((row) => row[i]?.length ?? 0)));
  const line = (row: readonly string[]): string => row.map((cell, i) => cell.padStart(widths[i]!)).join('  ');
  return [line(header), ...rows.map(line), '', caption].join('\n');
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly kernel: string;
  readonly node: string;
  readonly openssl: string;
  /** Runnable tasks over the last minute, after the run: above `cores`, the figures were taken in a crowd. */
  readonly load: number;
}

export function machine(): Machine {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    kernel: release(),
    node: process.versions.node,
    openssl: process.versions.openssl,
    load: Math.round(loadavg()[0]! * 10) / 10,
  };
}

export function machineLine(m: Machine): string {
  return `${m.cpu}, ${m.cores} cores, load ${m.load}; Linux ${m.kernel}, Node ${m.node}, OpenSSL ${m.openssl}.`;
}
