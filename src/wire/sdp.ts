/** SDP (RFC 8866): a strict parser and a writer. Lines may end with CRLF or LF (§5); their order is the RFC's. */
import { SDP_MAX_BYTES, SDP_MAX_LINES, SDP_MAX_MEDIA } from '../base/limits.js';
import { ok, type Result, refuse } from '../base/result.js';
import type {
  Sdp,
  SdpAttribute,
  SdpBandwidth,
  SdpConnection,
  SdpMedia,
  SdpOrigin,
  SdpRefusalReason,
} from './sdp-types.js';
import { addressFamily, isHostName } from './sip-address.js';
import { isToken, parseDigits } from './sip-scan.js';

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const BREAK = /[\r\n\0]/;
const BREAKS = /[\r\n\0]/g;
/** In a whole description; what ends a line is none. */
const CONTROL = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n|$)/;

interface Line {
  readonly type: string;
  readonly value: string;
}

type Refused = { readonly ok: false; readonly reason: SdpRefusalReason; readonly detail?: string };

/** @param input UTF-8 bytes or text. @returns the description, or the first thing wrong with it. */
export function parseSdp(input: string | Uint8Array): Result<Sdp, SdpRefusalReason> {
  if (input.length > SDP_MAX_BYTES) return refuse('too-large');
  let text: string;
  if (typeof input === 'string') text = input;
  else {
    try {
      text = UTF8.decode(input);
    } catch {
      return refuse('not-utf8');
    }
  }
  const lines = splitLines(text);
  return lines.ok ? new SdpReader(lines.value).read() : lines;
}

function splitLines(text: string): Result<readonly Line[], SdpRefusalReason> {
  const control = text.search(CONTROL);
  if (control >= 0) return refuse('control-character', `line ${text.slice(0, control).split('\n').length}`);
  const raw = text.split('\n', SDP_MAX_LINES + 2);
  if (raw[raw.length - 1] === '') raw.pop();
  if (raw.length > SDP_MAX_LINES) return refuse('too-many-lines');
  const lines: Line[] = [];
  for (const [i, whole] of raw.entries()) {
    const line = whole.endsWith('\r') ? whole.slice(0, -1) : whole;
    const type = line.charAt(0);
    if (type < 'a' || type > 'z' || line.charAt(1) !== '=') return refuse('line-syntax', `line ${i + 1}`);
    lines.push({ type, value: line.slice(2) });
  }
  return ok(lines);
}

/** One pass over the lines in the order of RFC 8866 §5 and §9. */
class SdpReader {
  readonly #lines: readonly Line[];
  #at = 0;
  #refused: Refused | undefined;

  constructor(lines: readonly Line[]) {
    this.#lines = lines;
  }

  read(): Result<Sdp, SdpRefusalReason> {
    if (this.#one('v') !== '0') return refuse('version');
    const origin = parseOrigin(this.#one('o') ?? '');
    if (origin === undefined) return refuse('origin');
    const sessionName = this.#one('s');
    if (sessionName === undefined) return refuse('line-order', 's=');
    this.#one('i');
    this.#one('u');
    this.#many('e');
    this.#many('p');
    const connection = this.#connection();
    const bandwidth = this.#bandwidth();
    let timings = 0;
    for (; this.#peek() === 't'; timings++) {
      if (!/^[0-9]{1,20} [0-9]{1,20}$/.test(this.#one('t')!)) return refuse('timing');
      this.#many('r');
    }
    if (timings === 0) return refuse('timing');
    this.#one('z');
    this.#one('k');
    const attributes = this.#attributes();
    const media: SdpMedia[] = [];
    while (this.#peek() === 'm' && this.#refused === undefined) {
      if (media.length === SDP_MAX_MEDIA) return refuse('too-many-media');
      const line = parseMediaLine(this.#one('m')!);
      if (line === undefined) return refuse('media-line', `m-line ${media.length + 1}`);
      this.#one('i');
      const mediaConnection = this.#connection();
      const mediaBandwidth = this.#bandwidth();
      this.#one('k');
      media.push({
        ...line,
        ...(mediaConnection === undefined ? {} : { connection: mediaConnection }),
        bandwidth: mediaBandwidth,
        attributes: this.#attributes(),
      });
    }
    if (this.#refused !== undefined) return this.#refused;
    if (this.#at < this.#lines.length) return refuse('line-order', `line ${this.#at + 1}`);
    // RFC 8866 §5.7: a connection for the session, or one in every media description.
    if (connection === undefined && media.some((m) => m.connection === undefined && m.port !== 0)) {
      return refuse('connection', 'missing');
    }
    return ok({
      origin,
      sessionName,
      ...(connection === undefined ? {} : { connection }),
      bandwidth,
      attributes,
      media,
    });
  }

  #peek(): string | undefined {
    return this.#lines[this.#at]?.type;
  }

  #one(type: string): string | undefined {
    return this.#peek() === type ? this.#lines[this.#at++]!.value : undefined;
  }

  #many(type: string): readonly string[] {
    const out: string[] = [];
    for (let value = this.#one(type); value !== undefined; value = this.#one(type)) out.push(value);
    return out;
  }

  #connection(): SdpConnection | undefined {
    const value = this.#one('c');
    if (value === undefined) return undefined;
    const connection = parseConnection(value);
    if (connection === undefined) this.#refused ??= refuse('connection', `line ${this.#at}`);
    return connection;
  }

  #bandwidth(): readonly SdpBandwidth[] {
    return this.#many('b').map((value) => {
      const colon = value.indexOf(':');
      const type = value.slice(0, Math.max(colon, 0));
      const number = parseDigits(value.slice(colon + 1), 15);
      if (!isToken(type) || number === undefined) this.#refused ??= refuse('bandwidth', `line ${this.#at}`);
      return { type, value: number ?? 0 };
    });
  }

  #attributes(): readonly SdpAttribute[] {
    return this.#many('a').map((line) => {
      const colon = line.indexOf(':');
      const name = colon < 0 ? line : line.slice(0, colon);
      if (!isToken(name)) this.#refused ??= refuse('attribute', `line ${this.#at}`);
      return colon < 0 ? { name } : { name, value: line.slice(colon + 1) };
    });
  }
}

function parseOrigin(value: string): SdpOrigin | undefined {
  const parts = value.split(' ', 7);
  if (parts.length !== 6) return undefined;
  const [username, sessionId, sessionVersion, net, type, address] = parts as [
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  if (username === '' || net !== 'IN' || (type !== 'IP4' && type !== 'IP6')) return undefined;
  if (parseDigits(sessionId, 30) === undefined || parseDigits(sessionVersion, 30) === undefined) return undefined;
  const family = type === 'IP4' ? 4 : 6;
  if (addressFamily(address) !== family && !isHostName(address)) return undefined;
  return { username, sessionId, sessionVersion, family, address };
}

/** Unicast literals only: a TTL, an address count or a name is refused. */
function parseConnection(value: string): SdpConnection | undefined {
  const parts = value.split(' ', 4);
  if (parts.length !== 3 || parts[0] !== 'IN') return undefined;
  const family = parts[1] === 'IP4' ? 4 : parts[1] === 'IP6' ? 6 : undefined;
  const address = parts[2]!;
  if (family === undefined || addressFamily(address) !== family) return undefined;
  const multicast = family === 4 ? Number.parseInt(address, 10) >> 4 === 14 : /^ff/i.test(address);
  return multicast ? undefined : { family, address };
}

function parseMediaLine(value: string): Pick<SdpMedia, 'media' | 'port' | 'protocol' | 'formats'> | undefined {
  const parts = value.split(' ', 260);
  const [media, portText, protocol, ...formats] = parts;
  if (media === undefined || portText === undefined || protocol === undefined || formats.length === 0) return undefined;
  const port = parseDigits(portText, 5); // `port/count` (§5.14) has no use here and is refused
  if (port === undefined || port > 65_535 || !isToken(media) || formats.length > 256) return undefined;
  if (!protocol.split('/').every(isToken) || !formats.every(isToken)) return undefined;
  return { media, port, protocol, formats };
}

/** Writes a description with CRLF line ends and `t=0 0`. Values come from this program; line breaks in them become spaces. */
export function writeSdp(sdp: Sdp): string {
  const { origin } = sdp;
  const lines = [
    'v=0',
    `o=${origin.username} ${origin.sessionId} ${origin.sessionVersion} IN IP${origin.family} ${origin.address}`,
    `s=${sdp.sessionName}`,
    ...connectionLine(sdp.connection),
    ...sdp.bandwidth.map((b) => `b=${b.type}:${b.value}`),
    't=0 0',
    ...sdp.attributes.map(attributeLine),
  ];
  for (const m of sdp.media) {
    lines.push(
      `m=${m.media} ${m.port} ${m.protocol} ${m.formats.join(' ')}`,
      ...connectionLine(m.connection),
      ...m.bandwidth.map((b) => `b=${b.type}:${b.value}`),
      ...m.attributes.map(attributeLine),
    );
  }
  let text = '';
  for (const line of lines) text += `${BREAK.test(line) ? line.replaceAll(BREAKS, ' ') : line}\r\n`;
  return text;
}

function connectionLine(connection: SdpConnection | undefined): readonly string[] {
  return connection === undefined ? [] : [`c=IN IP${connection.family} ${connection.address}`];
}

function attributeLine(attribute: SdpAttribute): string {
  return attribute.value === undefined ? `a=${attribute.name}` : `a=${attribute.name}:${attribute.value}`;
}
