/**
 * The endpoints of a storm, in a process of their own so that their cost is not the switch's: one socket and one
 * association on OpenSSL for each channel, all of one certificate. Loss is drawn here, in both directions.
 */
import { createSocket, type Socket } from 'node:dgram';
import { Secret } from '../src/base/secret.js';
import { type Association, type AssociationInput, type Fingerprint, PROFILE_SIZES } from '../src/dtls/association.js';
import { opensslAssociation } from '../src/dtls/openssl/association.js';

const ADDRESS = '127.0.0.1';
const MTU_BYTES = 1_200;
/** Datagrams up to the hello that brings the cookie back. */
const HELLOS = 2;

export type ToEndpoints =
  | { readonly type: 'bind'; readonly channels: number }
  | {
      readonly type: 'start';
      readonly ports: readonly number[];
      readonly certificatePem: string;
      readonly privateKeyPem: string;
      readonly fingerprint: string;
      readonly lossPercent: number;
      /** Nothing is sent after the hellos until `go`. */
      readonly hold: boolean;
    }
  | { readonly type: 'go' };

export type FromEndpoints =
  | { readonly type: 'bound'; readonly ports: readonly number[] }
  | { readonly type: 'done'; readonly keysMs: readonly number[]; readonly failures: readonly string[] };

const now = (): number => performance.timeOrigin + performance.now();

const sockets: Socket[] = [];
const keysMs: number[] = [];
const failures: string[] = [];
let holding = false;

function post(message: FromEndpoints): void {
  process.send?.(message);
}

async function bind(channels: number): Promise<void> {
  for (let i = 0; i < channels; i++) {
    const socket = createSocket('udp4');
    await new Promise<void>((resolve) => socket.bind(0, ADDRESS, resolve));
    sockets.push(socket);
  }
  post({ type: 'bound', ports: sockets.map((socket) => socket.address().port) });
}

function drive(socket: Socket, port: number, association: Association, lost: () => boolean, began: number): () => void {
  let timer: NodeJS.Timeout | undefined;
  let sent = 0;
  const input = (given: AssociationInput): void => {
    association.receive(given, now());
    for (let out = association.poll(); out !== undefined; out = association.poll()) {
      if (out.type === 'datagram') {
        if (!(holding && sent >= HELLOS) && !lost()) socket.send(out.bytes, port, ADDRESS);
        sent++;
      } else if (out.type === 'keys') {
        out.local.wipe();
        out.remote.wipe();
        keysMs.push(now() - began);
      } else if (out.type === 'failed') failures.push(`${out.reason}: ${out.detail}`);
    }
    clearTimeout(timer);
    const at = association.deadline();
    if (at !== undefined) timer = setTimeout(() => input({ type: 'tick' }), Math.max(0, Math.ceil(at - now())));
    if (keysMs.length + failures.length === sockets.length) finish();
  };
  socket.on('message', (bytes) => {
    if (!lost()) input({ type: 'datagram', bytes });
  });
  return () => input({ type: 'start' });
}

let finished = false;
function finish(): void {
  if (finished) return;
  finished = true;
  post({ type: 'done', keysMs, failures });
}

function start(message: Extract<ToEndpoints, { type: 'start' }>): void {
  holding = message.hold;
  const lost = (): boolean => Math.random() * 100 < message.lossPercent;
  const fingerprint: Fingerprint = { algorithm: 'sha-256', value: Buffer.from(message.fingerprint, 'hex') };
  const began = now();
  const starts = sockets.map((socket, i) => {
    const association = opensslAssociation({
      role: 'client',
      certificatePem: message.certificatePem,
      privateKeyPem: new Secret(new TextEncoder().encode(message.privateKeyPem)),
      peerFingerprints: [fingerprint],
      profiles: Object.keys(PROFILE_SIZES).map(Number) as (keyof typeof PROFILE_SIZES)[],
      mtuBytes: MTU_BYTES,
    });
    return drive(socket, message.ports[i]!, association, lost, began);
  });
  for (const begin of starts) begin();
}

process.on('message', (message: ToEndpoints) => {
  if (message.type === 'bind') void bind(message.channels);
  else if (message.type === 'start') start(message);
  else holding = false;
});
process.on('disconnect', () => process.exit(0));
