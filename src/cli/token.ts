import { makeToken, ROLES, type Role } from '../server/admin/credentials.js';
import { type Flag, helpOfFlags, parseFlags } from './arguments.js';
import type { Command } from './command.js';

const FLAGS: readonly Flag[] = [
  {
    name: 'role',
    value: 'ROLE',
    help: `one of ${ROLES.join(', ')}; each may what those before it may`,
    default: 'viewer',
  },
  { name: 'name', value: 'TEXT', help: 'whose it is', default: 'unnamed' },
];

/** The token is shown once; the configuration keeps its hash. */
export const tokenCommand: Command = {
  name: 'token',
  summary: 'make a token for the administration API',
  help: () =>
    `Usage: claviger token [flags]\n\nPrints a token, and what the configuration file needs of it.\n\n${helpOfFlags(FLAGS)}`,
  run: async (args) => {
    const parsed = parseFlags(args, FLAGS, 0);
    if (!parsed.ok) {
      console.error(`claviger token: ${parsed.detail}`);
      return 2;
    }
    const { role = 'viewer', name = 'unnamed' } = parsed.value.flags as Readonly<Record<string, string | undefined>>;
    if (!ROLES.includes(role as Role)) {
      console.error(`claviger token: --role takes one of ${ROLES.join(', ')}, not '${role}'`);
      return 2;
    }
    if (!/^[\x20-\x7e]{1,64}$/.test(name)) {
      console.error('claviger token: --name takes 1 to 64 printable characters');
      return 2;
    }
    const { token, sha256 } = makeToken();
    console.log(`token, shown this once: ${token}\n`);
    console.log(`[[admin.tokens]]\nname = ${JSON.stringify(name)}\nrole = "${role}"\nsha256 = "${sha256}"`);
    return 0;
  },
};
