/** The switch of the bench `soak`, in a process of its own: what is measured is its memory and nobody else's. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../src/server/load-config.js';
import { openLog } from '../src/server/log.js';
import { Switch } from '../src/server/switch.js';
import { exposeCollector } from './disturbance.js';
import { benchAddon } from './native.js';
import type { Footprint, SwitchAnswer, SwitchRequest } from './soak.js';

const collect = exposeCollector();

function footprint(): Footprint {
  collect();
  const { rss, heapUsed, external } = process.memoryUsage();
  return {
    residentBytes: rss,
    heapBytes: heapUsed + external,
    nativeBytes: benchAddon().heapBytes(),
    descriptors: readdirSync('/proc/self/fd').length,
  };
}

async function main(suite: string, conference: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'claviger-soak-'));
  const config = loadConfig({
    flags: {
      'data-dir': folder,
      'sip-address': '127.0.0.1',
      'media-address': '127.0.0.1',
      'sip-port': '0',
      'admin-port': '0',
      'conferences-suite': suite,
    },
    env: {},
  });
  if (!config.ok) throw new Error(config.detail);
  const log = openLog({ level: 'error' }, { write: (line) => void process.stderr.write(line) });
  const running = await Switch.start(config.value, { log });
  const answer = (message: SwitchAnswer): void => void process.send!(message);
  let stopping = false;
  const stop = async (): Promise<void> => {
    if (stopping) return;
    stopping = true;
    await running.stop();
    rmSync(folder, { recursive: true, force: true });
    process.disconnect();
  };
  process.on('disconnect', () => void stop());
  process.on('message', (request: SwitchRequest) => {
    if (request === 'rekey') return running.operate(conference, { type: 'rekey' });
    if (request === 'stop') return void stop();
    answer({
      type: 'state',
      footprint: footprint(),
      level: running.conferenceLevel(conference),
      sets: running.groupSetsMade(conference),
      counters: running.counters(),
    });
  });
  answer({ type: 'ready', port: running.sip.port, caPem: readFileSync(running.caFile!, 'utf8') });
}

await main(process.argv[2]!, process.argv[3]!);
