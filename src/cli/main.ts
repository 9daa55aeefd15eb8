#!/usr/bin/env node
import { callCommand } from './call.js';
import type { Command } from './command.js';
import { demoCommand } from './demo.js';
import { dialCommand } from './dial.js';
import { doctorCommand } from './doctor.js';
import { eventsCommand } from './events.js';
import { portsCommand } from './ports.js';
import { serveCommand } from './serve.js';
import { tokenCommand } from './token.js';

const COMMANDS: readonly Command[] = [
  serveCommand,
  callCommand,
  dialCommand,
  demoCommand,
  portsCommand,
  tokenCommand,
  eventsCommand,
  doctorCommand,
];

function help(): string {
  const width = Math.max(...COMMANDS.map((c) => c.name.length)) + 2;
  return [
    'Claviger, a conference switch for secure media.',
    '',
    'Usage: claviger COMMAND [flags]',
    '',
    ...COMMANDS.map((c) => `  ${c.name.padEnd(width)}${c.summary}`),
    '',
    'claviger COMMAND --help tells the flags of a command.',
  ].join('\n');
}

async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    console.log(help());
    return name === undefined ? 2 : 0;
  }
  const command = COMMANDS.find((c) => c.name === name);
  if (command === undefined) {
    console.error(
      `claviger: unknown command '${name}'; there is ${COMMANDS.map((c) => c.name).join(', ')} (claviger --help)`,
    );
    return 2;
  }
  if (rest.includes('--help') || rest.includes('-h')) {
    console.log(command.help());
    return 0;
  }
  return command.run(rest);
}

// process.exitCode instead of exit(): what is still being written to a pipe gets out.
main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    console.error(error);
    process.exit(70);
  },
);
