/** One m-line of a call: its UDP socket, or that of its bundle's leader, and the timer and datagrams of its channel. */
import { createSocket, type Socket } from 'node:dgram';
import { isIP } from 'node:net';
import type { Address, Media } from '../base/ids.js';
import { classify } from '../wire/demux.js';
import { EndpointChannel } from './channel.js';
import type { Security } from './channel-security.js';
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
  /** Whose socket and keys it uses (RFC 9143); undefined: it has its own. */
  readonly leader: MediaLine | undefined;
  readonly #followers: MediaLine[] = [];
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

  /** A line of the bundle that `leader` has the socket of. */
  static following(leader: MediaLine, media: Media): MediaLine {
    return new MediaLine(media, leader.#socket, leader.#callbacks, leader);
  }

  private constructor(media: Media, socket: Socket, callbacks: LineCallbacks, leader?: MediaLine) {
    this.media = media;
    this.leader = leader;
    this.#socket = socket;
    this.#callbacks = callbacks;
    const { address, port } = socket.address();
    this.local = { address, port };
    if (leader !== undefined) {
      leader.#followers.push(this);
      return;
    }
    socket.on('message', (bytes, from) => {
      const remote = this.#remote;
      // Only the switch's address counts; what a stranger sends is not even looked at.
      if (remote === undefined || from.port !== remote.port || from.address !== remote.address) return;
      if (callbacks.dropIncoming?.(this.#lineOf(bytes).media, bytes) === true) return;
      callbacks.onDatagram?.(remote, this.local, bytes);
      this.#arrived(bytes);
    });
    // ECONNREFUSED and the like: the switch's port is gone; SIP tells what it means.
    socket.on('error', () => undefined);
  }

  /** Of the bundle's lines the one that the switch sends this payload type on. */
  #lineOf(bytes: Uint8Array): MediaLine {
    const payloadType = (bytes[1] ?? 0) & 0x7f;
    const named =
      classify(bytes) === 'rtp' ? this.#followers.find((line) => line.payloadType === payloadType) : undefined;
    return named ?? this;
  }

  #arrived(bytes: Uint8Array): void {
    this.#lineOf(bytes).receive({ type: 'datagram', bytes });
    // RTCP is opened once; each line hears of it. A line that follows has its keys when the leader has.
    const rtcp = classify(bytes) === 'rtcp';
    for (const line of this.#followers) line.receive(rtcp ? { type: 'datagram', bytes } : { type: 'tick' });
  }

  start(remote: Address, options: ChannelOptions): void {
    this.#remote = remote;
    this.#channel = new EndpointChannel(options);
    this.receive({ type: 'start' });
  }

  get canSend(): boolean {
    return this.#channel?.canSend ?? false;
  }

  /** Once started. */
  get security(): Security | undefined {
    return this.#channel?.security;
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

  /** Says goodbye (close_notify) and closes once that is out; those that follow go first. */
  close(): void {
    for (const line of this.#followers.splice(0)) line.close();
    this.receive({ type: 'close' });
    clearTimeout(this.#timer);
    this.#channel = undefined;
    this.#remote = undefined;
    if (this.leader === undefined) this.#socket.close();
  }

  #send(bytes: Uint8Array): void {
    const remote = this.#remote;
    if (remote === undefined) return;
    this.#callbacks.onDatagram?.(this.local, remote, bytes);
    this.#socket.send(bytes, remote.port, remote.address);
  }
}
