import { catalogueAsMarkdown } from '../server/events/catalogue.js';
import { parseFlags } from './arguments.js';
import type { Command } from './command.js';

export const eventsCommand: Command = {
  name: 'events',
  summary: 'print the catalogue of security events, with what to do about each',
  help: () => 'Usage: claviger events\n\nPrints the catalogue of security events as Markdown.',
  run: async (args) => {
    const parsed = parseFlags(args, [], 0);
    if (!parsed.ok) {
      console.error(`claviger events: ${parsed.detail}`);
      return 2;
    }
    process.stdout.write(catalogueAsMarkdown());
    return 0;
  },
};
