/** Can the ports of the configuration be bound? */
import { createSocket } from 'node:dgram';
import { createServer, isIPv6 } from 'node:net';
import { DOCTOR_CONNECT_TIMEOUT_MS } from '../../base/limits.js';
import type { Config } from '../config.js';
import { SIP_OVER, tlsPorts } from '../config-tls.js';
import { type Finding, fail, fine, messageOf, warn } from './finding.js';

function bindTcp(address: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(port, address, () => server.close(() => resolve()));
  });
}

function bindUdp(address: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
    socket.once('error', (error) => {
      socket.close();
      reject(error);
    });
    socket.bind(port, address, () => socket.close(() => resolve()));
  });
}

/** Is it a switch that runs which has the port? Only ours answers so. */
async function isOurs(config: Config): Promise<boolean> {
  try {
    const { address, port } = config.admin;
    const host = isIPv6(address) ? `[${address}]` : address;
    const signal = AbortSignal.timeout(DOCTOR_CONNECT_TIMEOUT_MS);
    return (await (await fetch(`http://${host}:${port}/health/live`, { signal })).text()) === 'alive\n';
  } catch {
    return false; // nobody there, or somebody else: the port is then what has to be mended
  }
}

export async function checkPorts(config: Config): Promise<Finding[]> {
  const { sip, admin, media } = config;
  const findings: Finding[] = [];
  const listeners = [
    ...tlsPorts(config).map(({ port, transport }) => ({
      name: SIP_OVER[transport],
      setting: `sip.address and ${transport === 'wss' ? '.wssPort' : '.port'}`,
      address: sip.address,
      port,
    })),
    ...config.trunks
      .filter(({ port, incoming }) => port !== undefined && incoming.some((transport) => transport !== 'tls'))
      .map(({ name, port }) => ({
        name: `trunk ${name}`,
        setting: 'sip.address and the port of the trunk',
        address: sip.address,
        port: port!,
      })),
    { name: 'administration', setting: 'admin.address and .port', address: admin.address, port: admin.port },
  ];
  const running = await isOurs(config);
  for (const { name, setting, address, port } of listeners) {
    const what = `${name}: TCP ${address} port ${port}`;
    try {
      await bindTcp(address, port);
      findings.push(fine('ports', `${what} is free`));
    } catch (error) {
      if (running && /EADDRINUSE/.test(messageOf(error)))
        findings.push(fine('ports', `${what} is taken by the switch that runs`));
      else findings.push(fail('ports', `${what}: ${messageOf(error)}`, `free it, or choose another with ${setting}`));
    }
  }
  findings.push(...(await checkMedia(media, config.conferences.maxMembers)));
  return findings;
}

async function checkMedia(media: Config['media'], members: number): Promise<Finding[]> {
  const ports = media.portMax - media.portMin + 1;
  const range = `media: UDP ${media.address} ports ${media.portMin}-${media.portMax}`;
  try {
    await bindUdp(media.address, 0);
  } catch (error) {
    return [fail('ports', `${range}: ${messageOf(error)}`, 'choose an address of this machine with media.address')];
  }
  const tried = [...new Set([media.portMin, Math.floor((media.portMin + media.portMax) / 2), media.portMax])];
  const taken: number[] = [];
  for (const port of tried) {
    try {
      await bindUdp(media.address, port);
    } catch {
      taken.push(port); // by a call, or by another program: the switch passes over it
    }
  }
  if (taken.length === tried.length)
    return [
      warn('ports', `${range}: none of ${tried.join(', ')} is free`, 'choose a range that no other program uses'),
    ];
  if (ports < 2 * members)
    return [
      warn(
        'ports',
        `${range}: ${ports} ports are not enough for ${members} members with audio and video each`,
        'widen it with media.portMin and media.portMax, in the firewall too',
      ),
    ];
  return [fine('ports', `${range}: ${ports} ports`)];
}
