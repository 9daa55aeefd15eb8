/** sip: and sips: URIs (RFC 3261 §19.1). */
import { parseHostPort, writeHostPort } from './sip-address.js';
import { isToken, isUriHeaders, isUriParam, isUriUser } from './sip-scan.js';
import type { SipParams, SipUri } from './sip-types.js';

const NO_PARAMS: SipParams = new Map();

/** @returns undefined when the text is not a well-formed sip: or sips: URI. */
export function parseSipUri(text: string): SipUri | undefined {
  const colon = text.indexOf(':');
  const scheme = text.slice(0, Math.max(colon, 0)).toLowerCase();
  if (scheme !== 'sip' && scheme !== 'sips') return undefined;
  let rest = text.slice(colon + 1);

  let user: string | undefined;
  const at = rest.indexOf('@');
  if (at >= 0) {
    const info = rest.slice(0, at);
    const passwordAt = info.indexOf(':');
    user = passwordAt < 0 ? info : info.slice(0, passwordAt);
    if (!isUriUser(user)) return undefined;
    const password = passwordAt < 0 ? '' : info.slice(passwordAt + 1);
    if (password !== '' && !isUriUser(password)) return undefined;
    rest = rest.slice(at + 1);
  }

  let headers: string | undefined;
  const question = rest.indexOf('?');
  if (question >= 0) {
    headers = rest.slice(question + 1);
    if (!isUriHeaders(headers)) return undefined;
    rest = rest.slice(0, question);
  }

  const semicolon = rest.indexOf(';');
  const hostPort = parseHostPort(semicolon < 0 ? rest : rest.slice(0, semicolon));
  if (hostPort === undefined) return undefined;
  const params = semicolon < 0 ? NO_PARAMS : parseUriParams(rest.slice(semicolon + 1));
  if (params === undefined) return undefined;
  const uri: { -readonly [K in keyof SipUri]: SipUri[K] } = { scheme, host: hostPort.host, params };
  if (user !== undefined) uri.user = user;
  if (hostPort.port !== undefined) uri.port = hostPort.port;
  if (headers !== undefined) uri.headers = headers;
  return uri;
}

function parseUriParams(text: string): SipParams | undefined {
  const params = new Map<string, string>();
  for (const piece of text.split(';')) {
    const equals = piece.indexOf('=');
    const rawName = equals < 0 ? piece : piece.slice(0, equals);
    const rawValue = equals < 0 ? '' : piece.slice(equals + 1);
    if (!isUriParam(rawName) || (equals >= 0 && !isUriParam(rawValue))) return undefined;
    const name = plainEscapes(rawName).toLowerCase();
    if (params.has(name)) return undefined; // RFC 3261 §19.1.1: no parameter name twice
    params.set(name, plainEscapes(rawValue));
  }
  return params;
}

/** Escapes of characters that need none are taken away, once; the others stay (RFC 3986 §6.2.2.2, RFC 3261 §19.1.4). */
function plainEscapes(text: string): string {
  if (!text.includes('%')) return text;
  return text.replace(/%[0-9A-Fa-f]{2}/g, (triplet) => {
    const character = String.fromCharCode(Number.parseInt(triplet.slice(1), 16));
    return /[A-Za-z0-9\-_.!~*'()]/.test(character) ? character : triplet.toUpperCase();
  });
}

export function writeSipUri(uri: SipUri): string {
  let out = `${uri.scheme}:`;
  if (uri.user !== undefined) out += `${uri.user}@`;
  out += writeHostPort(uri.host, uri.port);
  for (const [name, value] of uri.params) out += value === '' ? `;${name}` : `;${name}=${value}`;
  return uri.headers === undefined ? out : `${out}?${uri.headers}`;
}

/** The user part without escapes; empty when there is none, undefined when it is not UTF-8 or hides a control character. */
export function userText(uri: SipUri): string | undefined {
  const user = uri.user ?? '';
  if (!user.includes('%')) return user;
  const bytes: number[] = [];
  for (let i = 0; i < user.length; i++) {
    const c = user.charCodeAt(i);
    const byte = c === 37 ? Number.parseInt(user.slice(i + 1, i + 3), 16) : c;
    if (c === 37) i += 2;
    if (byte < 32 || byte === 127) return undefined;
    bytes.push(byte);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes));
  } catch {
    return undefined;
  }
}

/** Any absolute URI, loosely: `scheme:` and printable ASCII without space, quotes and angle brackets. */
export function isAbsoluteUri(text: string): boolean {
  const colon = text.indexOf(':');
  if (colon < 1 || !isToken(text.slice(0, colon)) || colon === text.length - 1) return false;
  for (let i = colon + 1; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c <= 32 || c >= 127 || c === 34 || c === 60 || c === 62) return false;
  }
  return true;
}
