/** Certificates of ours, and the peers of trunks. */
import { connect as connectTcp, isIP } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { DOCTOR_CONNECT_TIMEOUT_MS, TLS_EXPIRY_WARNING_MS } from '../../base/limits.js';
import { SECURITY_EVENTS } from '../../security/events.js';
import type { Config } from '../config.js';
import { trunkProfile } from '../config-trunks.js';
import { readCertificatesOf } from '../signalling.js';
import { clientContext, serverCheck } from '../tls-contexts.js';
import { expiriesOf, type TlsSet } from '../tls-set.js';
import { type Finding, fail, fine, messageOf, warn } from './finding.js';

/** Makes the certificates of a first run, as a start would. */
export async function checkCertificatesAndTrunks(config: Config, now: number): Promise<Finding[]> {
  let store: Awaited<ReturnType<typeof readCertificatesOf>>;
  try {
    store = await readCertificatesOf(config, now);
  } catch (error) {
    return [fail('certificates', messageOf(error), SECURITY_EVENTS['tls-key-invalid'].remedy)];
  }
  try {
    const findings: Finding[] = [];
    const told = new Set<string>();
    for (const set of store.sets.values()) {
      for (const { what, at } of expiriesOf(set)) {
        if (told.has(what)) continue;
        told.add(what);
        const until = `${what} (${set.where}) is valid until ${new Date(at).toISOString()}`;
        const { remedy } = SECURITY_EVENTS['certificate-expiring'];
        if (at <= now) findings.push(fail('certificates', until, remedy));
        else if (at - now < TLS_EXPIRY_WARNING_MS) findings.push(warn('certificates', until, remedy));
        else findings.push(fine('certificates', until));
      }
    }
    const [first] = store.sets.values();
    if (first !== undefined) findings.push(...(await checkTrunks(config, first)));
    return findings;
  } finally {
    store.close();
  }
}

async function checkTrunks({ trunks }: Config, set: TlsSet): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const settings of trunks) {
    const { name, outgoing, peers, x509Names } = trunkProfile(settings);
    if (peers.length === 0) findings.push(fine('trunks', `${name}: no peer to call`));
    for (const { host, port } of peers) {
      const what = `${name}: ${outgoing.toUpperCase()} ${host} port ${port}`;
      if (outgoing === 'udp') {
        findings.push(warn('trunks', `${what} cannot be tried over UDP`, 'place a call to see whether it answers'));
        continue;
      }
      const problem = await reach(host, port, outgoing === 'tls' ? set : undefined, (target, certificate) =>
        serverCheck(host, x509Names, settings.targetNameCheck)(target, certificate),
      );
      if (problem === undefined) findings.push(fine('trunks', `${what} answers`));
      else if (problem.tls)
        findings.push(fail('trunks', `${what}: ${problem.text}`, SECURITY_EVENTS['tls-verify-failed'].remedy));
      else findings.push(fail('trunks', `${what}: ${problem.text}`, SECURITY_EVENTS['peer-unreachable'].remedy));
    }
  }
  return findings;
}

/** @returns undefined when a connection could be made. `tls`: the peer is there, and TLS failed. */
function reach(
  host: string,
  port: number,
  set: TlsSet | undefined,
  checkServerIdentity: ReturnType<typeof serverCheck>,
): Promise<{ readonly tls: boolean; readonly text: string } | undefined> {
  return new Promise((resolve) => {
    let connected = false;
    const socket = connectTcp({ host, port });
    const done = (problem: { readonly tls: boolean; readonly text: string } | undefined): void => {
      socket.destroy();
      resolve(problem);
    };
    socket.setTimeout(DOCTOR_CONNECT_TIMEOUT_MS, () =>
      done({ tls: connected, text: `no answer in ${DOCTOR_CONNECT_TIMEOUT_MS} ms` }),
    );
    socket.once('error', (error) => done({ tls: connected, text: error.message }));
    socket.once('connect', () => {
      connected = true;
      if (set === undefined) return done(undefined);
      const tls = connectTls({
        ...{ socket, secureContext: clientContext(set), checkServerIdentity },
        ...(isIP(host) === 0 ? { servername: host } : {}),
      });
      tls.once('error', (error) => done({ tls: true, text: error.message }));
      tls.once('secureConnect', () => done(undefined));
    });
  });
}
