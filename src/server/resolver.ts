/** DNS for SIP (RFC 3263): drives the locator with the system's resolver. */
import { lookup, Resolver } from 'node:dns/promises';
import { performance } from 'node:perf_hooks';
import type { ServerTransport } from '../sip/contract.js';
import { type DnsRecords, type Hop, Locator } from '../sip/locate.js';
import type { SipUri } from '../wire/sip-types.js';
import { parseSipUri } from '../wire/sip-uri.js';

/** Answers one question; a name that does not exist, or a server that does not answer, has no records. */
export type Resolve = (kind: DnsRecords['kind'], name: string) => Promise<DnsRecords>;

/** Where a sips: URI leads, best first. @param servers as {@link systemResolver} */
export async function locateSips(target: string, servers?: readonly string[]): Promise<readonly Hop[]> {
  const uri = parseSipUri(target);
  return uri?.scheme === 'sips' ? locate(systemResolver(servers), uri, ['tls']) : [];
}

/** As `[dns]` of the configuration says. */
export function resolverOf({ dns }: { readonly dns: { readonly servers: readonly string[] } }): Resolve {
  return systemResolver(dns.servers.length === 0 ? undefined : dns.servers);
}

/** @param servers `address:port` of the servers to ask; default: the system's, and its hosts file for addresses. */
export function systemResolver(servers?: readonly string[]): Resolve {
  const resolver = new Resolver({ timeout: 2_000, tries: 2 });
  if (servers !== undefined) resolver.setServers(servers);
  const addresses = async (name: string): Promise<string[]> => {
    if (servers === undefined) return (await lookup(name, { all: true })).map((a) => a.address);
    const families = await Promise.allSettled([resolver.resolve6(name), resolver.resolve4(name)]);
    return families.flatMap((f) => (f.status === 'fulfilled' ? f.value : []));
  };
  return async (kind, name) => {
    try {
      switch (kind) {
        case 'naptr':
          return { kind, records: await resolver.resolveNaptr(name) };
        case 'srv':
          return {
            kind,
            records: (await resolver.resolveSrv(name)).map(({ name: target, ...r }) => ({ ...r, target })),
          };
        case 'address':
          return { kind, records: await addresses(name) };
      }
    } catch {
      return { kind, records: [] }; // ENOTFOUND, ENODATA, ETIMEOUT, ...: there is nothing to go by
    }
  };
}

/**
 * Servers of the URI over these transports, best first (see {@link Locator}); none when there are none.
 * @param random a number in [0, 1), for the choice among servers of equal priority
 */
export function locate(
  resolve: Resolve,
  uri: Pick<SipUri, 'scheme' | 'host' | 'port' | 'params'>,
  transports: readonly ServerTransport[],
  random: () => number = Math.random,
): Promise<readonly Hop[]> {
  const locator = new Locator(random);
  return new Promise((done) => {
    let timer: NodeJS.Timeout | undefined;
    const put = (input: Parameters<Locator['receive']>[0]): void => {
      locator.receive(input, performance.now());
      for (let out = locator.poll(); out !== undefined; out = locator.poll()) {
        if (out.type === 'located') {
          clearTimeout(timer);
          done(out.hops);
        } else {
          const { query } = out;
          void resolve(out.kind, out.name).then((answer) => put({ type: 'answer', query, answer }));
        }
      }
    };
    put({ type: 'locate', lookup: 1, uri, transports });
    const deadline = locator.deadline();
    if (deadline !== undefined) timer = setTimeout(() => put({ type: 'tick' }), deadline - performance.now());
  });
}
