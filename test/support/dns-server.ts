/** A DNS server on loopback with records of the test's own (RFC 1035, RFC 2782, RFC 3403), and what it was asked. */
import { createSocket } from 'node:dgram';

const TYPES = { A: 1, AAAA: 28, SRV: 33, NAPTR: 35 } as const;
export type RecordType = keyof typeof TYPES;

export interface DnsServer {
  /** `127.0.0.1:port`. */
  readonly address: string;
  /** `SRV _sips._tcp.example.com`, in the order of the questions. */
  readonly asked: string[];
  /** From now on; a question without records is answered that there is no such name. */
  readonly zone: Map<string, readonly Buffer[]>;
  /** Answers nothing any more. */
  silent: boolean;
  close(): Promise<void>;
}

const u16 = (...n: number[]): Buffer => Buffer.from(n.flatMap((v) => [v >> 8, v & 255]));
const string = (text: string): Buffer => Buffer.concat([Buffer.of(text.length), Buffer.from(text)]);
const name = (text: string): Buffer => Buffer.concat([...text.split('.').map(string), Buffer.of(0)]);

export const a = (address: string): Buffer => Buffer.from(address.split('.').map(Number));
/** @param hex 32 digits. */
export const aaaa = (hex: string): Buffer => Buffer.from(hex, 'hex');
export const srv = (priority: number, weight: number, port: number, target: string): Buffer =>
  Buffer.concat([u16(priority, weight, port), name(target)]);
export const naptr = (order: number, service: string, replacement: string): Buffer =>
  Buffer.concat([u16(order, 1), string('s'), string(service), string(''), name(replacement)]);

export async function openDnsServer(): Promise<DnsServer> {
  const zone = new Map<string, readonly Buffer[]>();
  const asked: string[] = [];
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  const server: DnsServer = {
    address: `127.0.0.1:${socket.address().port}`,
    asked,
    zone,
    silent: false,
    close: () => new Promise((resolve) => void socket.close(() => resolve())),
  };
  socket.on('message', (query, from) => {
    let at = 12;
    const labels: string[] = [];
    while (query[at] !== 0) {
      labels.push(query.toString('latin1', at + 1, at + 1 + query[at]!));
      at += 1 + query[at]!;
    }
    const number = query.readUInt16BE(at + 1);
    const type = Object.entries(TYPES).find(([, n]) => n === number)?.[0] ?? String(number);
    const question = `${type} ${labels.join('.').toLowerCase()}`;
    asked.push(question);
    if (server.silent) return;
    const answers = zone.get(question) ?? [];
    const flags = answers.length === 0 ? 0x8583 : 0x8580; // no such name, no error
    const header = Buffer.concat([query.subarray(0, 2), u16(flags, 1, answers.length, 0, 0)]);
    const records = answers.map((data) => Buffer.concat([u16(0xc00c, number, 1, 0, 60, data.length), data]));
    socket.send(Buffer.concat([header, query.subarray(12, at + 5), ...records]), from.port, from.address);
  });
  return server;
}
