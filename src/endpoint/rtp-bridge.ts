/** `--rtp-in` and `--rtp-out`: plain RTP of local tools on loopback, as camera and as screen. */
import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import type { Media } from '../base/ids.js';
import { parseRtp } from '../wire/rtp.js';
import type { ReceivedMedia } from './channel-types.js';
import { BridgeIn, BridgeOut } from './media/bridge.js';
import type { DuePacket } from './pacer.js';

/** Video at the port itself, audio two above: RTP ports are even, the odd ones are for RTCP. */
const PORT_OFFSET: Readonly<Record<Media, number>> = { video: 0, audio: 2 };
const MEDIA: readonly Media[] = ['video', 'audio'];
const CENTER = 1;
/** A local tool sends no energy; while it sends it counts as speaking. */
const BRIDGED_ENERGY = 50;

export interface BridgeInput {
  close(): void;
}

/** Listens on 127.0.0.1 and hands on what comes. */
export async function openRtpInput(
  port: number,
  clock: () => number,
  send: (packet: DuePacket) => void,
): Promise<BridgeInput> {
  const sockets = await Promise.all(
    MEDIA.map(
      (media) =>
        new Promise<Socket>((resolve, reject) => {
          const socket = createSocket('udp4');
          const bridge = new BridgeIn(media);
          let lastTimestamp: number | undefined;
          socket.once('error', reject);
          socket.on('message', (datagram) => {
            const rtp = parseRtp(datagram);
            if (!rtp.ok) return;
            const { header, payload } = rtp.value;
            const { payloadType, marker, sequence, timestamp, ssrc } = header;
            const packet = bridge.receive({ payloadType, marker, sequence, timestamp, ssrc, payload }, clock());
            if (!packet.ok) return;
            const firstOfFrame = packet.value.timestamp !== lastTimestamp;
            lastTimestamp = packet.value.timestamp;
            const trailingByte = media === 'audio' ? BRIDGED_ENERGY : packet.value.refresh ? 1 : 0;
            send({
              media,
              position: CENTER,
              payload: packet.value.payload,
              marker: packet.value.marker,
              timestamp: packet.value.timestamp,
              firstOfFrame,
              trailingByte,
              skip: packet.value.skip,
            });
          });
          socket.bind(port + PORT_OFFSET[media], '127.0.0.1', () => {
            socket.off('error', reject);
            socket.on('error', () => undefined);
            resolve(socket);
          });
        }),
    ),
  );
  return { close: () => sockets.forEach((socket) => void socket.close()) };
}

/** What arrives at the center display and loudspeaker, decrypted, to a local player. */
export class RtpOutput {
  readonly #socket = createSocket('udp4');
  readonly #bridges: Readonly<Record<Media, BridgeOut>>;

  constructor(
    private readonly host: string,
    private readonly port: number,
    private readonly clock: () => number,
  ) {
    const open = (media: Media, payloadType: number): BridgeOut => {
      const random = randomBytes(10);
      return new BridgeOut({
        media,
        payloadType,
        ssrc: random.readUInt32BE(0),
        sequence: random.readUInt16BE(4),
        timestamp: random.readUInt32BE(6),
      });
    };
    this.#bridges = { audio: open('audio', 96), video: open('video', 112) };
    this.#socket.on('error', () => undefined); // nobody listens yet: media goes on
  }

  packet(rtp: ReceivedMedia): void {
    if (rtp.sink !== CENTER) return;
    const { media, payloadType, marker, sequence, timestamp, ssrc, payload } = rtp;
    const datagram = this.#bridges[media].write(
      { payloadType, marker, sequence, timestamp, ssrc, payload },
      this.clock(),
    );
    this.#socket.send(datagram, this.port + PORT_OFFSET[media], this.host);
  }

  close(): void {
    this.#socket.close();
  }
}
