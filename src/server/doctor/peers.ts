/** Certificates of ours, and the peers of trunks. */
import { connect as connectTcp } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { DOCTOR_CONNECT_TIMEOUT_MS, TLS_EXPIRY_WARNING_MS } from '../../base/limits.js';
import { SECURITY_EVENTS } from '../../security/events.js';
import type { Hop } from '../../sip/locate.js';
import { addressFamily } from '../../wire/sip-address.js';
import type { Config } from '../config.js';
import { type TrunkSettings, trunkProfile } from '../config-trunks.js';
import { resolverOf } from '../resolver.js';
import { readCertificatesOf } from '../signalling.js';
import { clientContext, serverCheck } from '../tls-contexts.js';
import { expiriesOf, type TlsSet } from '../tls-set.js';
import { serversOf, serverText } from '../trunk-connections.js';
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

async function checkTrunks(config: Config, set: TlsSet): Promise<Finding[]> {
  const findings: Finding[] = [];
  const resolve = resolverOf(config);
  for (const settings of config.trunks) {
    const trunk = trunkProfile(settings);
    if (trunk.peers.length === 0) findings.push(fine('trunks', `${trunk.name}: no peer to call`));
    for (const peer of trunk.peers) {
      const hops = await serversOf(resolve, trunk, peer);
      const what = `${trunk.name}: ${trunk.outgoing.toUpperCase()}`;
      if (hops.length === 0) {
        findings.push(fail('trunks', `${what} ${peer.host}: DNS has no server for it`, NO_SERVER));
      }
      for (const hop of hops) findings.push(await checkServer(`${what} ${serverText(hop)}`, hop, settings, set));
    }
  }
  return findings;
}

const NO_SERVER = 'mend the name in peers, its DNS records, or [dns] servers';

async function checkServer(what: string, hop: Hop, settings: TrunkSettings, set: TlsSet): Promise<Finding> {
  if (hop.transport === 'udp')
    return warn('trunks', `${what} cannot be tried over UDP`, 'place a call to see whether it answers');
  const check = serverCheck(hop.name, settings.x509Names, settings.targetNameCheck);
  const problem = await reach(hop, hop.transport === 'tls' ? set : undefined, check);
  if (problem === undefined) return fine('trunks', `${what} answers`);
  const { remedy } = SECURITY_EVENTS[problem.tls ? 'tls-verify-failed' : 'peer-unreachable'];
  return fail('trunks', `${what}: ${problem.text}`, remedy);
}

/** @returns undefined when a connection could be made. `tls`: the peer is there, and TLS failed. */
function reach(
  { address, port, name }: Hop,
  set: TlsSet | undefined,
  checkServerIdentity: ReturnType<typeof serverCheck>,
): Promise<{ readonly tls: boolean; readonly text: string } | undefined> {
  return new Promise((resolve) => {
    let connected = false;
    const socket = connectTcp({ host: address, port });
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
        ...(addressFamily(name) === undefined ? { servername: name } : {}),
      });
      tls.once('error', (error) => done({ tls: true, text: error.message }));
      tls.once('secureConnect', () => done(undefined));
    });
  });
}
