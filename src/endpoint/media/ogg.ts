/** Ogg (RFC 3533): a byte stream of pages to packets of one logical stream, and back. */
import { concat } from '../../base/bytes.js';
import { MAX_OGG_PACKET_BYTES } from '../../base/limits.js';
import { ok, type Result, refuse } from '../../base/result.js';

const HEADER_BYTES = 27;
const MAX_SEGMENTS = 255;
const CONTINUED = 1;
const FIRST = 2;
const LAST = 4;
/** RFC 3533 §6 field 4: no packet ends on this page. */
const NO_GRANULE = -1n;

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, i) => {
  let r = i << 24;
  for (let bit = 0; bit < 8; bit++) r = (r << 1) ^ (r < 0 ? 0x04c11db7 : 0);
  return r;
});

/** RFC 3533 §6 field 7: polynomial 0x04c11db7, most significant bit first, starting from 0, not inverted. */
function crcUpdate(crc: number, bytes: Uint8Array): number {
  let r = crc;
  for (const b of bytes) r = (r << 8) ^ CRC_TABLE[((r >>> 24) ^ b) & 0xff]!;
  return r >>> 0;
}

const FOUR_ZEROS = new Uint8Array(4);

export interface OggPage {
  /** The first packet on the page began on an earlier one. */
  readonly continued: boolean;
  readonly first: boolean;
  readonly last: boolean;
  /** Position at the end of the last packet that ends here; -1: none does. */
  readonly granule: bigint;
  readonly serial: number;
  readonly sequence: number;
  /** Lacing values (RFC 3533 §5): a packet ends at each value below 255. */
  readonly lacing: Uint8Array;
  readonly body: Uint8Array;
}

export type OggRefusal =
  | 'no_capture_pattern'
  | 'bad_version'
  | 'bad_crc'
  | 'truncated'
  | 'lost_page'
  | 'broken_continuation'
  | 'too_large'
  | 'no_such_stream';

/** Reads the page at `at` (views into `file`) and tells where the next one begins. */
export function readOggPage(file: Uint8Array, at: number): Result<{ page: OggPage; next: number }, OggRefusal> {
  const where = `at byte ${at}`;
  if (at + HEADER_BYTES > file.length) return refuse('truncated', where);
  const view = new DataView(file.buffer, file.byteOffset + at, file.length - at);
  if (view.getUint32(0) !== 0x4f676753) return refuse('no_capture_pattern', where);
  if (view.getUint8(4) !== 0) return refuse('bad_version', where);
  const segments = view.getUint8(26);
  const bodyAt = at + HEADER_BYTES + segments;
  if (bodyAt > file.length) return refuse('truncated', where);
  const lacing = file.subarray(at + HEADER_BYTES, bodyAt);
  const next = lacing.reduce((sum, value) => sum + value, bodyAt);
  if (next > file.length) return refuse('truncated', where);
  let crc = crcUpdate(0, file.subarray(at, at + 22));
  crc = crcUpdate(crc, FOUR_ZEROS); // the checksum counts its own field as zero
  crc = crcUpdate(crc, file.subarray(at + 26, next));
  if (crc !== view.getUint32(22, true)) return refuse('bad_crc', where);
  const flags = view.getUint8(5);
  const page: OggPage = {
    continued: (flags & CONTINUED) !== 0,
    first: (flags & FIRST) !== 0,
    last: (flags & LAST) !== 0,
    granule: view.getBigInt64(6, true),
    serial: view.getUint32(14, true),
    sequence: view.getUint32(18, true),
    lacing,
    body: file.subarray(bodyAt, next),
  };
  return ok({ page, next });
}

/** The bytes of a page; at most 255 lacing values. */
export function writeOggPage(page: OggPage): Uint8Array {
  if (page.lacing.length > MAX_SEGMENTS) throw new Error('an Ogg page has at most 255 lacing values');
  const header = new Uint8Array(HEADER_BYTES);
  const view = new DataView(header.buffer);
  view.setUint32(0, 0x4f676753);
  view.setUint8(5, (page.continued ? CONTINUED : 0) | (page.first ? FIRST : 0) | (page.last ? LAST : 0));
  view.setBigInt64(6, page.granule, true);
  view.setUint32(14, page.serial, true);
  view.setUint32(18, page.sequence, true);
  view.setUint8(26, page.lacing.length);
  const out = concat(header, page.lacing, page.body);
  new DataView(out.buffer).setUint32(22, crcUpdate(0, out), true);
  return out;
}

export interface OggPacket {
  readonly bytes: Uint8Array;
  /** The page's granule position if this is the last packet that ends on it. */
  readonly granule?: bigint;
  /** Ends on the stream's last page. */
  readonly last: boolean;
}

/**
 * The packets of one logical stream: of the first whose first packet starts with `magic`. Pages of other streams are
 * passed over; a second link of a chained file ends the reading, and so does the end of the file within a packet.
 */
export function readOggPackets(file: Uint8Array, magic: Uint8Array): Result<OggPacket[], OggRefusal> {
  const packets: OggPacket[] = [];
  let serial: number | undefined;
  let sequence = 0;
  let parts: Uint8Array[] = [];
  let partsBytes = 0;
  for (let at = 0; at < file.length; ) {
    const read = readOggPage(file, at);
    if (!read.ok) return read;
    const { page, next } = read.value;
    const startsOurs = page.first && magic.every((byte, i) => page.body[i] === byte);
    at = next;
    if (serial === undefined && startsOurs) serial = page.serial;
    else if (page.serial !== serial) continue;
    else if (page.first) break;
    else if (page.sequence !== (sequence + 1) >>> 0) return refuse('lost_page', `page ${page.sequence}`);
    sequence = page.sequence;
    if (page.continued !== parts.length > 0) return refuse('broken_continuation', `page ${page.sequence}`);
    const lastEnd = page.lacing.findLastIndex((value) => value < 255);
    let offset = 0;
    for (const [i, value] of page.lacing.entries()) {
      partsBytes += value;
      if (partsBytes > MAX_OGG_PACKET_BYTES) return refuse('too_large', `page ${page.sequence}`);
      parts.push(page.body.subarray(offset, offset + value));
      offset += value;
      if (value === 255) continue;
      const bytes = parts.length === 1 ? parts[0]! : concat(...parts);
      packets.push(i === lastEnd ? { bytes, granule: page.granule, last: page.last } : { bytes, last: page.last });
      parts = [];
      partsBytes = 0;
    }
    if (page.last) break;
  }
  return serial === undefined ? refuse('no_such_stream') : ok(packets);
}

/** Writes one logical stream. Holds back the packets of the page in hand, so that the last page can say that it is. */
export class OggWriter {
  readonly #append: (bytes: Uint8Array) => void;
  readonly #serial: number;
  #sequence = 0;
  #lacing: number[] = [];
  #parts: Uint8Array[] = [];
  #granule = NO_GRANULE;
  #continued = false;
  #closed = false;

  constructor(append: (bytes: Uint8Array) => void, serial: number) {
    this.#append = append;
    this.#serial = serial;
  }

  /** Adds a packet; `granule`: the position at its end. A full page goes out before it, or within it if it is long. */
  packet(bytes: Uint8Array, granule: bigint): void {
    if (this.#closed) throw new Error('packet after close');
    const segments = Math.floor(bytes.length / 255) + 1;
    if (this.#lacing.length > 0 && this.#lacing.length + segments > MAX_SEGMENTS) this.flush();
    for (let i = 0; i < segments; i++) {
      if (this.#lacing.length === MAX_SEGMENTS) {
        this.flush();
        this.#continued = true;
      }
      const part = bytes.subarray(i * 255, (i + 1) * 255);
      this.#lacing.push(part.length);
      this.#parts.push(part);
    }
    this.#granule = granule;
  }

  /** Ends the page in hand. Headers must end their page (RFC 7845 §3). */
  flush(): void {
    if (this.#lacing.length > 0) this.#writePage(false);
  }

  /** Writes the last page; without packets in hand it is empty (RFC 3533 §6 allows it). Twice is once. */
  close(granule: bigint): void {
    if (this.#closed) return;
    this.#granule = granule;
    this.#writePage(true);
    this.#closed = true;
  }

  #writePage(last: boolean): void {
    const page: OggPage = {
      continued: this.#continued,
      first: this.#sequence === 0,
      last,
      granule: this.#granule,
      serial: this.#serial,
      sequence: this.#sequence,
      lacing: Uint8Array.from(this.#lacing),
      body: concat(...this.#parts),
    };
    this.#append(writeOggPage(page));
    this.#sequence = (this.#sequence + 1) >>> 0;
    this.#lacing = [];
    this.#parts = [];
    this.#granule = NO_GRANULE;
    this.#continued = false;
  }
}
