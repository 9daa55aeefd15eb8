/** One m-line of a call: its UDP socket, and the timer and datagrams of its channel. */
import { createSocket, type Socket } from 'node:dgram';
import { isIP } from 'node:net';
import type { Address, Media } from '../base/ids.js';
import { EndpointChannel } from './channel.js';
import type { ChannelInput, ChannelOptions, ChannelOutput } from './channel-types.js';
import { clock } from './sip-connection.js';

const SOCKET_BUFFER_BYTES = 1 << 20;

export type LineOutput = Exclude<ChannelOutput, { type: 'send' }>;

export interface LineCallbacks {
  readonly onOutput: (line: MediaLine, output: LineOutput) => void;
  /** Every datagram as on the wire. */
  readonly onDatagram: ((from: Address, to: Address, bytes: Uint8Array) => void) | undefined;
  /** For tests: see CallOptions. */
  readonly dropIncoming: ((media: Media, bytes: Uint8Array) => boolean) | undefined;
}

export class MediaLine {
  readonly media: Media;
  readonly local: Address;
  /** What our media is numbered as, fixed by the answer. */
  payloadType = 0;
  readonly #socket: Socket;
  readonly #callbacks: LineCallbacks;
  #channel: EndpointChannel | undefined;
  #remote: Address | undefined;
  #timer: NodeJS.Timeout | undefined;

  static open(media: Media, address: string, callbacks: LineCallbacks): Promise<MediaLine> {
    return new Promise((resolve, reject) => {
      const socket = createSocket({ type: isIP(address) === 6 ? 'udp6' : 'udp4' });
      socket.once('error', reject);
      socket.bind(0, address, () => {
        socket.off('error', reject);
        socket.setRecvBufferSize(SOCKET_BUFFER_BYTES);
        resolve(new MediaLine(media, socket, callbacks));
      });
    });
  }

  private constructor(media: Media, socket: Socket, callbacks: LineCallbacks) {
    this.media = media;
    this.#socket = socket;
    this.#callbacks = callbacks;
    const { address, port } = socket.address();
    this.local = { address, port };
    socket.on('message', (bytes, from) => {
      const remote = this.#remote;
      // Only the switch's address counts; what a stranger sends is not even looked at.
      if (remote === undefined || from.port !== remote.port || from.address !== remote.address) return;
      if (callbacks.dropIncoming?.(media, bytes) === true) return;
      callbacks.onDatagram?.(remote, this.local, bytes);
      this.receive({ type: 'datagram', bytes });
    });
    // ECONNREFUSED and the like: the switch's port is gone; SIP tells what it means.
    socket.on('error', () => undefined);
  }

  start(remote: Address, options: ChannelOptions): void {
    this.#remote = remote;
    this.#channel = new EndpointChannel(options);
    this.receive({ type: 'start' });
  }

  get canSend(): boolean {
    return this.#channel?.canSend ?? false;
  }

  receive(input: ChannelInput): void {
    const channel = this.#channel;
    if (channel === undefined) return;
    channel.receive(input, clock());
    for (let out = channel.poll(); out !== undefined; out = channel.poll()) {
      if (out.type === 'send') this.#send(out.bytes);
      else this.#callbacks.onOutput(this, out);
    }
    clearTimeout(this.#timer);
    const deadline = channel.deadline();
    if (deadline === undefined || this.#channel === undefined) return;
    this.#timer = setTimeout(() => this.receive({ type: 'tick' }), Math.max(0, Math.ceil(deadline - clock())));
  }

  /** Says goodbye (close_notify) and closes once that is out. */
  close(): void {
    this.receive({ type: 'close' });
    clearTimeout(this.#timer);
    this.#channel = undefined;
    this.#remote = undefined;
    this.#socket.close();
  }

  #send(bytes: Uint8Array): void {
    const remote = this.#remote;
    if (remote === undefined) return;
    this.#callbacks.onDatagram?.(this.local, remote, bytes);
    this.#socket.send(bytes, remote.port, remote.address);
  }
}
