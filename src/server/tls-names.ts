/** Whom a certificate names, and whether that is whom we meant (REQUIREMENTS X3, T3). */
import type { PeerCertificate, TLSSocket } from 'node:tls';

const ALT_NAME = /(?:^|, )(DNS|IP Address|URI):("(?:[^"\\]|\\.)*"|[^,]*)/g;

/** Node writes a name that could be taken for two as a JSON string. */
function unquoted(text: string): string {
  if (!text.startsWith('"')) return text;
  try {
    return String(JSON.parse(text));
  } catch {
    return '';
  }
}

function alternatives(certificate: PeerCertificate): readonly string[] {
  return [...(certificate.subjectaltname ?? '').matchAll(ALT_NAME)]
    .map((m) => unquoted(m[2]!))
    .filter((name) => name !== '');
}

function commonNames(certificate: PeerCertificate): readonly string[] {
  const cn: unknown = certificate.subject?.CN; // a list where there are several, whatever the types say
  return (Array.isArray(cn) ? cn : [cn]).filter((name): name is string => typeof name === 'string' && name !== '');
}

/** Every name of a verified certificate: subject common names and subject alternative names (T3). */
export function certificateNames(certificate: PeerCertificate): readonly string[] {
  return [...new Set([...commonNames(certificate), ...alternatives(certificate)])];
}

/** Of the peer's certificate, empty where it showed none that was verified. */
export function verifiedNames(socket: TLSSocket): readonly string[] {
  return socket.authorized ? certificateNames(socket.getPeerCertificate()) : [];
}

/** X3, `host`: without case; the alternative names where there are any, else the common name; a wildcard names nobody. */
export function namesHost(certificate: PeerCertificate, host: string): boolean {
  const wanted = host.toLowerCase();
  // RFC 5922 §7.1: a sip: URI without a user stands for its domain.
  const alternative = alternatives(certificate).map((name) => /^sip:([^@;?]+)$/i.exec(name)?.[1] ?? name);
  const names = alternative.length > 0 ? alternative : commonNames(certificate);
  return names.some((name) => name.toLowerCase() === wanted);
}
