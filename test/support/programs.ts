/** Programs of others that a test runs, and what they had to say. */
import { type ChildProcess, spawn } from 'node:child_process';

export interface Program {
  readonly child: ChildProcess;
  readonly output: { text: string };
}

const running: Program[] = [];

/** @param home where it finds and leaves files of its own. */
export function run(command: string, home: string, args: readonly string[]): Program {
  const child = spawn(command, args, {
    cwd: home,
    env: { ...process.env, HOME: home },
    stdio: 'pipe',
    detached: true,
  });
  const output = { text: '' };
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (output.text += chunk.toString('latin1')));
  const program = { child, output };
  running.push(program);
  return program;
}

/** Politely: it may say good-bye. */
export function stop({ child }: Program): void {
  if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
}

/** All that a test has started. With their children: a proxy has some, and they would outlive it. */
export function killPrograms(): void {
  for (const { child } of running.splice(0)) {
    try {
      process.kill(-child.pid!, 'SIGKILL');
    } catch (error) {
      // Nobody is left of it.
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
    }
  }
}
