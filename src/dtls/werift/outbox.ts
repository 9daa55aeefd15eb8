/** Flights into datagrams: numbers, fragments, protection, packing up to the MTU (RFC 6347 §4.1.1.1, §4.2.3). */
import { concat } from '../../base/bytes.js';
import { DTLS_MAX_MTU_BYTES, DTLS_MIN_MTU_BYTES } from '../../base/limits.js';
import type { Outgoing } from './handshake.js';
import { frameFragment, frameMessage, HANDSHAKE_HEADER_BYTES, type HandshakeMessage } from './reassembly.js';
import {
  CONTENT,
  frameRecord,
  GCM_OVERHEAD_BYTES,
  RECORD_HEADER_BYTES,
  type RecordProtection,
  VERSION_1_0,
  VERSION_1_2,
} from './records.js';

/** A piece smaller than this is not worth a record of its own: it goes into the next datagram. */
const MIN_FRAGMENT_BYTES = 64;

/** Writes records; it alone knows the sequence numbers of what was sent, which are never used twice in an epoch. */
export class Outbox {
  readonly #mtuBytes: number;
  readonly #sequences: [number, number] = [0, 0];
  /** 1 once ChangeCipherSpec was sent. */
  #epoch: 0 | 1 = 0;

  constructor(mtuBytes: number) {
    this.#mtuBytes = Math.min(Math.max(mtuBytes, DTLS_MIN_MTU_BYTES), DTLS_MAX_MTU_BYTES);
  }

  /** RFC 6347 §4.2.1: the first ServerHello takes the record number of the ClientHello that it answers. */
  beginAt(sequence: number): void {
    if (this.#sequences[0] === 0) this.#sequences[0] = sequence;
  }

  /** The datagrams of a flight, each time with new record numbers. */
  flight(flight: readonly Outgoing[], protection: RecordProtection | undefined): Uint8Array[] {
    const datagrams: Uint8Array[] = [];
    let records: Uint8Array[] = [];
    let room = this.#mtuBytes;
    const put = (record: Uint8Array) => {
      if (record.length > room) flush();
      records.push(record);
      room -= record.length;
    };
    const flush = () => {
      if (records.length > 0) datagrams.push(concat(...records));
      records = [];
      room = this.#mtuBytes;
    };
    for (const item of flight) {
      if (item.type === 'change-cipher-spec') {
        put(this.#record(CONTENT.changeCipherSpec, 0, Uint8Array.of(1), undefined));
        this.#epoch = 1;
        continue;
      }
      const overhead = RECORD_HEADER_BYTES + HANDSHAKE_HEADER_BYTES + (item.epoch === 1 ? GCM_OVERHEAD_BYTES : 0);
      const { type, sequence, body } = item.message;
      let offset = 0;
      do {
        const left = body.length - offset;
        if (room - overhead < Math.min(left, MIN_FRAGMENT_BYTES)) flush();
        const bytes = body.subarray(offset, offset + Math.min(left, room - overhead));
        const fragment = frameFragment({ type, sequence, length: body.length, offset, bytes });
        put(this.#record(CONTENT.handshake, item.epoch, fragment, protection));
        offset += bytes.length;
      } while (offset < body.length);
    }
    flush();
    return datagrams;
  }

  /** RFC 6347 §4.2.1: with the record number of the ClientHello it answers, so that no state is needed. */
  helloVerify(message: HandshakeMessage, sequence: number): Uint8Array {
    return frameRecord(CONTENT.handshake, VERSION_1_0, 0, sequence, frameMessage(message));
  }

  alert(fatal: boolean, description: number, protection: RecordProtection | undefined): Uint8Array {
    return this.#record(CONTENT.alert, this.#epoch, Uint8Array.of(fatal ? 2 : 1, description), protection);
  }

  #record(type: number, epoch: 0 | 1, payload: Uint8Array, protection: RecordProtection | undefined): Uint8Array {
    const sequence = this.#sequences[epoch]++;
    if (epoch === 0) return frameRecord(type, VERSION_1_2, 0, sequence, payload);
    if (protection === undefined) throw new Error('epoch 1 without keys: sent before they were agreed');
    return protection.seal(type, 1, sequence, payload);
  }
}
