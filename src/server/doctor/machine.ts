/** Clock, kernel and storage of this machine. */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { openRelay } from '../../relay/relay.js';
import type { Config } from '../config.js';
import { type Finding, fail, fine, messageOf, warn } from './finding.js';

/** This program was written after it: a clock before it is wrong. */
const EARLIEST_MS = Date.UTC(2026, 0, 1);
/** UDP_SEGMENT came with Linux 4.18. */
const UDP_SEGMENT_SINCE = [4, 18] as const;
const SOCKET_BUFFER_BYTES = 4_194_304;
const BYTES_PER_MEBIBYTE = 1_048_576;

export async function checkClock(now: number): Promise<Finding[]> {
  const time = new Date(now).toISOString();
  if (now < EARLIEST_MS)
    return [fail('clock', `the clock says ${time}`, 'set it: certificates are not valid yet at that time')];
  try {
    const { stdout } = await promisify(execFile)('timedatectl', ['show', '--property=NTPSynchronized', '--value']);
    return stdout.trim() === 'yes'
      ? [fine('clock', `${time}, synchronised`)]
      : [warn('clock', `${time}, not synchronised`, 'start a time service (Debian: systemd-timesyncd or chrony)')];
  } catch {
    return [
      warn(
        'clock',
        `${time}; whether it is synchronised cannot be told here`,
        'look on the host: a time service is needed',
      ),
    ];
  }
}

export function checkKernel(config: Config): Finding[] {
  const findings: Finding[] = [];
  const [major = 0, minor = 0] = release()
    .split('.')
    .map((part) => Number.parseInt(part, 10));
  const [needMajor, needMinor] = UDP_SEGMENT_SINCE;
  findings.push(
    major > needMajor || (major === needMajor && minor >= needMinor)
      ? fine('kernel', `Linux ${release()} has UDP_SEGMENT`)
      : warn(
          'kernel',
          `Linux ${release()} has no UDP_SEGMENT`,
          'take 4.18 or later: sending costs twice as much without',
        ),
  );
  try {
    const { address: bindAddress, portMin, portMax } = config.media;
    openRelay({ threads: 1, bindAddress, portMin, portMax }, () => undefined).close();
    findings.push(fine('kernel', 'the native relay loads and starts its threads'));
  } catch (error) {
    findings.push(fail('kernel', `the native relay: ${messageOf(error)}`, 'build it again: node src/setup.mjs'));
  }
  for (const name of ['rmem_max', 'wmem_max']) {
    const file = `/proc/sys/net/core/${name}`;
    if (!existsSync(file)) continue; // a container without it: the host decides
    const bytes = Number(readFileSync(file, 'utf8'));
    findings.push(
      bytes >= SOCKET_BUFFER_BYTES
        ? fine('kernel', `net.core.${name} is ${bytes} bytes`)
        : warn(
            'kernel',
            `net.core.${name} is ${bytes} bytes: bursts of a large conference may not fit`,
            `sysctl -w net.core.${name}=${SOCKET_BUFFER_BYTES}`,
          ),
    );
  }
  findings.push(checkFiles(config));
  return findings;
}

/** A channel is a socket; two of them a member. */
function checkFiles({ conferences }: Config): Finding {
  const limits = existsSync('/proc/self/limits') ? readFileSync('/proc/self/limits', 'utf8') : '';
  const files = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? Number.POSITIVE_INFINITY);
  const needed = Math.min(8_192, 2 * conferences.maxMembers) + 1_024;
  return files >= needed
    ? fine('kernel', `${files} files may be open`)
    : warn('kernel', `${files} files may be open, ${needed} may be needed`, `raise it: ulimit -n ${needed}`);
}

export function checkStorage(config: Config): Finding[] {
  const file = resolve(config.events.file ?? `${config.data.dir}/audit.db`);
  let folder = dirname(file);
  while (!existsSync(folder) && folder !== dirname(folder)) folder = dirname(folder);
  try {
    const probe = join(folder, `.claviger-doctor-${process.pid}`);
    writeFileSync(probe, '');
    rmSync(probe);
    const { bavail, bsize } = statfsSync(folder);
    const free = Math.floor((bavail * bsize) / BYTES_PER_MEBIBYTE);
    return free >= config.events.maxMegabytes
      ? [fine('storage', `${file}: ${free} MiB free`)]
      : [
          warn(
            'storage',
            `${file}: ${free} MiB free, the audit store may take ${config.events.maxMegabytes}`,
            'make room, or lower events.maxMegabytes: with a full disk events wait in memory',
          ),
        ];
  } catch (error) {
    return [fail('storage', `${folder}: ${messageOf(error)}`, 'choose a folder that can be written with data.dir')];
  }
}
