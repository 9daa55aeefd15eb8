/** The TLS options of the configuration (REQUIREMENTS X1): one schema for all levels, and which levels a listener has. */
import { z } from 'zod';
import type { TlsLevel, TlsSettings } from './tls-set.js';

const files = z.union([z.string().min(1), z.array(z.string().min(1)).min(1).max(32)]).optional();

export const tlsSchema = z.strictObject({
  certificate: files.describe('certificate chain, PEM or DER, in any order; default: issued by the CA in data.dir'),
  key: z.string().min(1).optional().describe('private key of the certificate, PEM or DER'),
  ca: files.describe('authorities that certificates of peers must come from, PEM or DER'),
  crl: files.describe('revocation lists (PEM), one of every authority of a chain'),
  ciphers: z.string().min(1).max(1_024).optional().describe('cipher suites as OpenSSL writes them'),
});

export const tlsPortSchema = tlsSchema.extend({ port: z.int().min(1).max(65_535) });

/** What of the configuration decides the certificates of SIP. */
export interface TlsConfig {
  readonly data: { readonly dir: string };
  readonly sip: { readonly port: number; readonly wssPort?: number | undefined; readonly tls: TlsSettings };
  readonly tls: TlsSettings & { readonly ports: readonly (TlsSettings & { readonly port: number })[] };
  readonly trunks: readonly { readonly port?: number | undefined; readonly incoming: readonly string[] }[];
}

export interface TlsPort {
  /** Whose certificates these are, for the store of them. */
  readonly user: string;
  readonly transport: 'tls' | 'wss';
  /** As configured. */
  readonly port: number;
  /** Port before application before host; what is set nowhere is not in it. */
  readonly levels: readonly TlsLevel[];
}

/** As an operator reads it. */
export const SIP_OVER = { tls: 'SIP over TLS', wss: 'SIP over secure WebSocket' } as const;

export const MAIN = 'main';
export const WSS = 'wss';
export const userOf = (port: number, mainPort: number): string => (port === mainPort ? MAIN : `port ${port}`);

/** The SIP ports with TLS: the switch's own, those of trunks that have one, and the one for WebSocket. */
export function tlsPorts(config: TlsConfig): readonly TlsPort[] {
  const { sip, tls, trunks } = config;
  const ofTrunks = trunks.flatMap((t) => (t.port !== undefined && t.incoming.includes('tls') ? [t.port] : []));
  const streams = [...new Set([sip.port, ...ofTrunks])].map((port) => ({ port, transport: 'tls' as const }));
  const wss = sip.wssPort === undefined ? [] : [{ port: sip.wssPort, transport: 'wss' as const }];
  return [...streams, ...wss].map(({ port, transport }) => ({
    user: transport === 'wss' ? WSS : userOf(port, sip.port),
    transport,
    port,
    levels: [
      ...tls.ports.filter((p) => p.port === port).map((p) => ({ where: `tls.ports ${port}`, settings: p })),
      { where: 'sip.tls', settings: sip.tls },
      { where: 'tls', settings: tls },
    ],
  }));
}
