/** What a man in the middle can do to plaintext: read and rewrite handshake messages, make records of his own. */
import { concat } from '../../../src/base/bytes.js';
import { frameMessage, type HandshakeMessage, splitFragments } from '../../../src/dtls/werift/reassembly.js';
import { CONTENT, frameRecord, splitRecords, VERSION_1_2 } from '../../../src/dtls/werift/records.js';
import type { Network, Side } from './pair.js';

/** Plaintext handshake messages of a datagram; those in fragments are left out. */
export function messagesIn(datagram: Uint8Array): HandshakeMessage[] {
  return splitRecords(datagram)
    .filter((record) => record.type === CONTENT.handshake && record.epoch === 0)
    .flatMap((record) => splitFragments(record.payload))
    .filter((fragment) => fragment.bytes.length === fragment.length)
    .map(({ type, sequence, bytes }) => ({ type, sequence, body: bytes }));
}

/** A network that rewrites the body of each plaintext message of `type` that `from` sends. */
export function rewriting(from: Side, type: number, change: (body: Uint8Array) => Uint8Array): Network {
  return (sender, bytes) => {
    if (sender !== from) return [bytes];
    const records = splitRecords(bytes).map((record) => {
      const [message] = record.epoch === 0 && record.type === CONTENT.handshake ? splitFragments(record.payload) : [];
      const payload =
        message === undefined || message.type !== type
          ? record.payload
          : frameMessage({ type, sequence: message.sequence, body: change(Uint8Array.from(message.bytes)) });
      return frameRecord(record.type, record.version, record.epoch, record.sequence, payload);
    });
    return [concat(...records)];
  };
}

/** A datagram with one record. */
export function record(type: number, payload: Uint8Array, epoch = 0, sequence = 1000): Uint8Array {
  return frameRecord(type, VERSION_1_2, epoch, sequence, payload);
}
