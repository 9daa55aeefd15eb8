/** What would keep this machine from running the switch with a configuration, or from running it well. */
import type { Config } from '../config.js';
import type { Finding } from './finding.js';
import { checkClock, checkKernel, checkStorage } from './machine.js';
import { checkCertificatesAndTrunks } from './peers.js';
import { checkPorts } from './ports.js';

export type { Finding } from './finding.js';

export async function examine(config: Config, now: number): Promise<readonly Finding[]> {
  return [
    ...(await checkCertificatesAndTrunks(config, now)),
    ...(await checkPorts(config)),
    ...(await checkClock(now)),
    ...checkKernel(config),
    ...checkStorage(config),
  ];
}
