import { examine, type Finding } from '../server/doctor/doctor.js';
import { helpOfFlags } from './arguments.js';
import type { Command } from './command.js';
import { CONFIG_FLAGS, configFromArguments } from './settings-flags.js';

const MARK: Readonly<Record<Finding['state'], string>> = { ok: 'ok  ', warn: 'WARN', fail: 'FAIL' };

const HELP = `Usage: claviger doctor [--json] [flags]

Looks at certificates, ports, clock, kernel, storage and trunk peers with the configuration that the flags name, and says
what to mend. Exit code 0: nothing fails (there may be warnings); 1: something does; 2: the configuration is wrong.`;

export const doctorCommand: Command = {
  name: 'doctor',
  summary: 'look for what keeps the switch from running well, and say what to mend',
  help: () => `${HELP}\n\n  --json    findings as one JSON object\n${helpOfFlags(CONFIG_FLAGS)}`,
  run: async (args) => {
    const json = args.includes('--json');
    const config = configFromArguments(
      args.filter((arg) => arg !== '--json'),
      process.env,
    );
    if (!config.ok) {
      console.error(
        config.detail
          ?.split('\n')
          .map((line) => `claviger doctor: ${line}`)
          .join('\n'),
      );
      return 2;
    }
    const findings = await examine(config.value, Date.now());
    if (json) console.log(JSON.stringify({ findings }));
    else {
      for (const { area, state, what, remedy } of findings) {
        console.log(`${MARK[state]}  ${area.padEnd(13)} ${what}`);
        if (remedy !== undefined) console.log(`${' '.repeat(20)}-> ${remedy}`);
      }
    }
    return findings.some(({ state }) => state === 'fail') ? 1 : 0;
  },
};
