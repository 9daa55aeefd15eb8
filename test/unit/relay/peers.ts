/** Peers of a relay on the loopback. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { Address } from '../../../src/base/ids.js';

export const LOOPBACK = '127.0.0.1';

/** What arrives, in order; `until` waits for it. */
export class Inbox<T> {
  readonly items: T[] = [];
  #wake: () => void = () => {};

  push(item: T): void {
    this.items.push(item);
    this.#wake();
  }

  async until(done: (items: readonly T[]) => boolean): Promise<readonly T[]> {
    while (!done(this.items)) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.items;
  }
}

export class Peer {
  readonly inbox = new Inbox<Uint8Array>();
  readonly socket: Socket;
  readonly address: Address;

  private constructor(socket: Socket) {
    this.socket = socket;
    this.address = { address: LOOPBACK, port: socket.address().port };
    socket.on('message', (message) => this.inbox.push(Uint8Array.from(message)));
  }

  static async open(): Promise<Peer> {
    const socket = createSocket('udp4');
    socket.bind(0, LOOPBACK);
    await once(socket, 'listening');
    return new Peer(socket);
  }

  async send(port: number, bytes: Uint8Array): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.socket.send(bytes, port, LOOPBACK, (error) => (error === null ? resolve() : reject(error)));
    });
  }
}

export async function counted(done: () => boolean): Promise<void> {
  while (!done()) await new Promise((resolve) => setImmediate(resolve));
}
