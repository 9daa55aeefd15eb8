/**
 * A caller whose media is GStreamer's: our user agent makes the call by SIP over TLS, gst-launch-1.0 makes, protects, opens and
 * decodes what is sent and heard. gst-launch cannot send from the socket that it receives on, which a switch wants for good
 * reasons: a socket here passes datagrams on, as they are, between the pipeline and the switch.
 */
import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Secret } from '../../src/base/secret.js';
import { createSelfSigned, fingerprintOf } from '../../src/dtls/certificate.js';
import { SipConnection } from '../../src/endpoint/sip-connection.js';
import { createOffer, readAnswer } from '../../src/sip/offer-answer.js';
import type { Answer } from '../../src/sip/offer-answer-types.js';
import type { SdesCrypto } from '../../src/wire/sdp-crypto.js';
import { type Colour, showsColour } from './colour.js';
import { type Program, run } from './programs.js';
import { until } from './running-switch.js';
import { toneShare } from './tone.js';

const LOOPBACK = '127.0.0.1';
const [WIDTH, HEIGHT, FRAMES_A_SECOND] = [160, 120, 15] as const;
const FRAME_BYTES = WIDTH * HEIGHT * 3;
const LAUNCH = 'gst-launch-1.0';

export type GstSecurity = 'plain' | 'sdes' | 'dtls';
type Kind = 'audio' | 'video';

export interface GstOptions {
  readonly name: string;
  readonly folder: string;
  readonly target: string;
  readonly caPem: string;
  readonly security: GstSecurity;
  readonly hertz: number;
  readonly colour: Colour;
  /** As before RFC 5761: RTCP by a port of its own, with rtpbin as who speaks it. Plain RTP only. */
  readonly rtcpApart?: boolean;
  /** Default H264. */
  readonly picture?: 'H264' | 'VP8';
}

export interface GstCaller {
  readonly programs: readonly Program[];
  /** Every datagram that went between the switch and one of our ports for RTCP, if they are apart. */
  readonly rtcp: readonly { readonly kind: Kind; readonly by: 'switch' | 'pipeline'; readonly bytes: Uint8Array }[];
  /** The next RTP packets of the picture on their way to the pipeline are lost. */
  lose(packets: number): void;
  /** What the pipeline has decoded last is this tone, this picture. */
  hears(hertz: number): boolean;
  sees(colour: Colour): boolean;
  close(): void;
}

const PAYLOAD_TYPES: Readonly<Record<Kind, number>> = { audio: 96, video: 97 };

/** One m-line: `outer` is what SDP names, `inner` what the pipeline talks to. */
interface Line {
  readonly kind: Kind;
  readonly rtp: Way;
  readonly rtcp: Way;
  readonly crypto: SdesCrypto;
}

/** `outer` is what SDP names, `inner` what the pipeline talks to. */
interface Way {
  readonly outer: Socket;
  readonly inner: Socket;
  /** Where the pipeline receives. */
  readonly pipelinePort: number;
}

async function bound(): Promise<Socket> {
  const socket = createSocket('udp4');
  await new Promise<void>((resolve) => socket.bind(0, LOOPBACK, resolve));
  return socket;
}

/** A port that was free a moment ago; GStreamer cannot tell which one it took. */
export async function freeUdpPort(): Promise<number> {
  const socket = await bound();
  const { port } = socket.address();
  await new Promise<void>((resolve) => socket.close(() => resolve()));
  return port;
}

async function openLine(kind: Kind): Promise<Line> {
  const keyAndSalt = new Secret(Uint8Array.from(randomBytes(30)));
  return {
    kind,
    rtp: await openWay(),
    rtcp: await openWay(),
    crypto: { tag: 1, suite: 'AES_CM_128_HMAC_SHA1_80', keyAndSalt },
  };
}

async function openWay(): Promise<Way> {
  return { outer: await bound(), inner: await bound(), pipelinePort: await freeUdpPort() };
}

function sourceOf(kind: Kind, { hertz, colour, picture = 'H264' }: GstOptions): string {
  const pt = PAYLOAD_TYPES[kind];
  if (kind === 'audio') {
    return `audiotestsrc is-live=true freq=${hertz} volume=0.5 ! audio/x-raw,rate=48000,channels=2 ! opusenc ! rtpopuspay pt=${pt}`;
  }
  const argb = (0xff000000 + (colour.rgb[0] << 16) + (colour.rgb[1] << 8) + colour.rgb[2]).toString();
  // A key frame a second: nothing asks this pipeline for one.
  return (
    `videotestsrc is-live=true pattern=solid-color foreground-color=${argb} ` +
    `! video/x-raw,format=I420,width=${WIDTH},height=${HEIGHT},framerate=${FRAMES_A_SECOND}/1 ` +
    (picture === 'VP8'
      ? `! vp8enc deadline=1 keyframe-max-dist=${FRAMES_A_SECOND} ! rtpvp8pay pt=${pt} mtu=1200`
      : `! openh264enc gop-size=${FRAMES_A_SECOND} complexity=low ! rtph264pay pt=${pt} mtu=1200 config-interval=-1`)
  );
}

function capsOf(kind: Kind, { picture = 'H264' }: GstOptions): string {
  const [clock, name] = kind === 'audio' ? [48_000, 'OPUS'] : [90_000, picture];
  return `media=(string)${kind},clock-rate=(int)${clock},encoding-name=(string)${name},payload=(int)${PAYLOAD_TYPES[kind]}`;
}

function sinkOf(kind: Kind, file: string, { picture = 'H264' }: GstOptions): string {
  const into = `filesink async=false buffer-mode=unbuffered location=${file}`;
  if (kind === 'audio') {
    return `rtpopusdepay ! opusdec ! audioconvert ! audioresample ! audio/x-raw,format=S16LE,rate=48000,channels=1 ! wavenc ! ${into}`;
  }
  return (
    (picture === 'VP8'
      ? 'rtpvp8depay ! vp8dec '
      : 'rtph264depay request-keyframe=true wait-for-keyframe=true ! h264parse ! openh264dec ') +
    '! videoconvert ! videoscale ' +
    `! video/x-raw,format=RGB,width=${WIDTH},height=${HEIGHT} ! ${into}`
  );
}

const NOWHERE = 'fakesink async=false';
const hex = (secret: Secret): string => secret.use((bytes) => Buffer.from(bytes).toString('hex'));
const SRTP = 'rtp-cipher=aes-128-icm rtp-auth=hmac-sha1-80 rtcp-cipher=aes-128-icm rtcp-auth=hmac-sha1-80';

class Pipelines implements GstCaller {
  readonly programs: Program[] = [];
  readonly rtcp: { kind: Kind; by: 'switch' | 'pipeline'; bytes: Uint8Array }[] = [];
  #toLose = 0;
  readonly #options: GstOptions;
  readonly #lines: readonly Line[];
  readonly #identity: { readonly pem: string; readonly fingerprint: ReturnType<typeof fingerprintOf> };
  #connection: SipConnection | undefined;
  #call = 0;

  constructor(options: GstOptions, lines: readonly Line[], pem: string) {
    this.#options = options;
    this.#lines = lines;
    this.#identity = { pem, fingerprint: fingerprintOf(pem, 'sha-256') };
  }

  hears(hertz: number): boolean {
    return toneShare(this.#file('audio'), hertz) > 0.9;
  }

  sees(colour: Colour): boolean {
    return showsColour(this.#file('video'), FRAME_BYTES, colour);
  }

  close(): void {
    this.#connection?.receive({ type: 'hangup', call: this.#call });
    this.#connection?.close();
    for (const { rtp, rtcp } of this.#lines)
      for (const way of [rtp, rtcp]) for (const s of [way.outer, way.inner]) s.close();
  }

  lose(packets: number): void {
    this.#toLose += packets;
  }

  #file(kind: Kind): string {
    return join(this.#options.folder, `${this.#options.name}.${kind}`);
  }

  async call(): Promise<void> {
    const { target, caPem, name } = this.#options;
    const { host, port } = /@(?<host>[^:;]+):(?<port>\d+)/.exec(target)!.groups!;
    let answered: string | undefined;
    let failure: string | undefined;
    this.#connection = await SipConnection.open({
      host: host!,
      port: Number(port),
      caPem,
      timeoutMs: 10_000,
      tip: false,
      onOutput: (out) => {
        if (out.type === 'answered') answered = out.sdp;
        else if (out.type === 'failed') failure = `${out.status} ${out.reason} ${out.warning}`;
      },
    });
    const offer = this.#offer();
    this.#call = this.#connection.invite(target, `sip:${name}@${LOOPBACK}`, offer);
    await until(`an answer for ${name}`, () => answered !== undefined || failure !== undefined);
    if (answered === undefined) throw new Error(failure);
    const read = readAnswer(offer, answered);
    if (!read.ok) throw new Error(`${read.reason} ${read.detail ?? ''}`);
    this.#start(read.value);
  }

  #offer(): string {
    const { security, rtcpApart, picture = 'H264' } = this.#options;
    const offer = createOffer({
      sessionId: '1',
      sessionVersion: 1,
      address: LOOPBACK,
      fingerprint: this.#identity.fingerprint,
      media: this.#lines.map(({ kind, rtp, crypto }) => ({
        media: kind,
        port: rtp.outer.address().port,
        security,
        ...(rtcpApart === true ? { protocol: 'RTP/AVPF' } : {}),
        cryptos: [crypto],
        codecs: [
          kind === 'audio'
            ? { name: 'opus' as const, payloadType: PAYLOAD_TYPES.audio }
            : picture === 'VP8'
              ? { name: picture, payloadType: PAYLOAD_TYPES.video }
              : { name: picture, payloadType: PAYLOAD_TYPES.video, profileLevelId: '42e01f' },
        ],
      })),
    });
    if (rtcpApart !== true) return offer;
    const ports = this.#lines.map(({ rtcp }) => rtcp.outer.address().port);
    return offer.replaceAll('a=rtcp-mux', () => `a=rtcp:${ports.shift()} IN IP4 ${LOOPBACK}`);
  }

  #start(answer: Answer): void {
    for (const [i, { kind, rtp, rtcp }] of this.#lines.entries()) {
      const { port } = answer.media[i]!;
      rtp.inner.on('message', (bytes) => rtp.outer.send(bytes, port, LOOPBACK));
      rtp.outer.on('message', (bytes) => {
        if (kind === 'video' && this.#toLose > 0) this.#toLose--;
        else rtp.inner.send(bytes, rtp.pipelinePort, LOOPBACK);
      });
      rtcp.inner.on('message', (bytes) => {
        this.rtcp.push({ kind, by: 'pipeline', bytes });
        rtcp.outer.send(bytes, port + 1, LOOPBACK);
      });
      rtcp.outer.on('message', (bytes) => {
        this.rtcp.push({ kind, by: 'switch', bytes });
        rtcp.inner.send(bytes, rtcp.pipelinePort, LOOPBACK);
      });
    }
    if (this.#options.rtcpApart === true) return this.#launch(this.#lines.flatMap((line) => this.#withRtcp(line)));
    switch (this.#options.security) {
      case 'plain':
        return this.#launch(this.#lines.flatMap((line) => [this.#sending(line), this.#receiving(line)]));
      case 'dtls':
        return this.#launch(this.#lines.flatMap((line) => this.#withDtls(line)));
      case 'sdes':
        for (const [i, line] of this.#lines.entries()) this.#withKeys(line, answer.media[i]!.cryptos[0]!);
    }
  }

  #withRtcp({ kind, rtp, rtcp }: Line): readonly string[] {
    const out = (way: Way): string =>
      `udpsink host=${LOOPBACK} port=${way.inner.address().port} sync=false async=false`;
    const bin = `r${kind}`;
    return [
      `rtpbin name=${bin} rtp-profile=avpf`,
      `${sourceOf(kind, this.#options)} ! ${bin}.send_rtp_sink_0`,
      `${bin}.send_rtp_src_0 ! ${out(rtp)}`,
      `${bin}.send_rtcp_src_0 ! ${out(rtcp)}`,
      `udpsrc address=${LOOPBACK} port=${rtp.pipelinePort} caps=application/x-rtp,${capsOf(kind, this.#options)},rtcp-fb-nack-pli=(boolean)true ! ${bin}.recv_rtp_sink_0`,
      `udpsrc address=${LOOPBACK} port=${rtcp.pipelinePort} ! ${bin}.recv_rtcp_sink_0`,
      `${bin}. ! ${sinkOf(kind, this.#file(kind), this.#options)}`,
    ];
  }

  /** RTP as it is. */
  #sending(line: Line, protection = ''): string {
    return `${sourceOf(line.kind, this.#options)} ${protection} ! udpsink host=${LOOPBACK} port=${line.rtp.inner.address().port} sync=false async=false`;
  }

  #receiving({ kind, rtp: { pipelinePort } }: Line): string {
    return `udpsrc address=${LOOPBACK} port=${pipelinePort} caps=application/x-rtp,${capsOf(kind, this.#options)} ! ${sinkOf(kind, this.#file(kind), this.#options)}`;
  }

  #withDtls({ kind, rtp: { inner, pipelinePort } }: Line): readonly string[] {
    return [
      `udpsrc address=${LOOPBACK} port=${pipelinePort} ! dtlssrtpdec name=d${kind} connection-id=${kind} PEM`,
      `d${kind}.rtp_src ! capssetter caps=application/x-rtp,${capsOf(kind, this.#options)} ! ${sinkOf(kind, this.#file(kind), this.#options)}`,
      `d${kind}.rtcp_src ! ${NOWHERE}`,
      `${sourceOf(kind, this.#options)} ! e${kind}.rtp_sink_0`,
      `dtlssrtpenc name=e${kind} connection-id=${kind} is-client=true`,
      `e${kind}.src ! udpsink host=${LOOPBACK} port=${inner.address().port} sync=false async=false`,
    ];
  }

  /** srtpdec must be told the SSRC with the key: the receiving half waits for the first packet. */
  #withKeys(line: Line, theirs: SdesCrypto): void {
    this.#launch([this.#sending(line, `! srtpenc key=${hex(line.crypto.keyAndSalt)} ${SRTP}`)]);
    const key = hex(theirs.keyAndSalt);
    const names = ['srtp-cipher', 'srtcp-cipher'].map((c) => `${c}=(string)aes-128-icm`);
    const auths = ['srtp-auth', 'srtcp-auth'].map((a) => `${a}=(string)hmac-sha1-80`);
    const first = (bytes: Buffer): void => {
      const type = bytes[1]!;
      if (type >= 192 && type <= 223) return; // RTCP (RFC 5761 §4)
      line.rtp.outer.off('message', first);
      const caps = [capsOf(line.kind, this.#options), `ssrc=(uint)${bytes.readUInt32BE(8)}`, `srtp-key=(buffer)${key}`];
      const all = ['application/x-srtp', ...caps, ...names, ...auths].join(',');
      const port = `udpsrc address=${LOOPBACK} port=${line.rtp.pipelinePort} caps=${all}`;
      const rtp = `${port} ! srtpdec name=d ! ${sinkOf(line.kind, this.#file(line.kind), this.#options)}`;
      this.#launch([rtp, `d.rtcp_src ! ${NOWHERE}`]);
    };
    line.rtp.outer.on('message', first);
  }

  #launch(parts: readonly string[]): void {
    const words = parts
      .join(' ')
      .split(' ')
      .filter((word) => word !== '');
    const pem = `pem=${JSON.stringify(this.#identity.pem).replaceAll('\\n', '\n')}`;
    const args = ['-q', ...words.map((word) => (word === 'PEM' ? pem : word))];
    this.programs.push(run(LAUNCH, this.#options.folder, args));
  }
}

/** Calls, and starts its pipelines as soon as there is an answer. */
export async function gstCaller(options: GstOptions): Promise<GstCaller> {
  mkdirSync(options.folder, { recursive: true });
  const { certificatePem, privateKeyPem } = await createSelfSigned('gst', Date.now());
  const pem = certificatePem + privateKeyPem.use((bytes) => `\n${Buffer.from(bytes).toString('latin1')}\n`);
  const caller = new Pipelines(options, [await openLine('audio'), await openLine('video')], pem);
  try {
    await caller.call();
  } catch (error) {
    caller.close();
    throw error;
  }
  return caller;
}
