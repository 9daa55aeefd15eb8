/** `claviger` as a process, as a user runs it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const MAIN = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url));

export interface Cli {
  readonly child: ChildProcess;
  /** Everything it has printed so far, both streams. */
  readonly output: { text: string };
  /** Its exit code; null when a signal ended it. */
  readonly exit: Promise<number | null>;
}

const children: ChildProcess[] = [];

export function claviger(args: readonly string[], env: Record<string, string> = {}): Cli {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  const output = { text: '' };
  const take = (chunk: Buffer): void => {
    output.text += chunk.toString();
  };
  child.stdout.on('data', take);
  child.stderr.on('data', take);
  return { child, output, exit: new Promise((resolve) => child.on('close', (code) => resolve(code))) };
}

/** For afterEach: nothing outlives its test. */
/** `claviger serve` on loopback, on ports that are free. */
export function serve(folder: string, extra: readonly string[] = []): ReturnType<typeof claviger> {
  const loopback = ['--sip-address', '127.0.0.1', '--media-address', '127.0.0.1'];
  return claviger(['serve', '--data', folder, ...loopback, '--sip-port', '0', '--admin-port', '0', ...extra]);
}

export function killAll(): void {
  for (const child of children.splice(0)) child.kill('SIGKILL');
}
