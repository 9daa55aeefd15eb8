import { existsSync, readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { ok, type Result, refuse } from '../base/result.js';
import { assetPath } from '../endpoint/assets/assets.js';
import {
  type AudioInput,
  type Call,
  type CallOptions,
  call,
  DEFAULT_DTLS_ENGINE,
  openAudioSource,
  openVideoSource,
  type VideoInput,
} from '../endpoint/index.js';
import { openFileSink } from '../endpoint/media/file-sink.js';
import { openRtpInput, RtpOutput } from '../endpoint/rtp-bridge.js';
import { locateSips } from '../server/resolver.js';
import { type Flag, helpOfFlags, parseFlags, wholeNumber } from './arguments.js';
import { captureTo, keyLogTo, Recording } from './call-files.js';
import type { Command } from './command.js';

const FLAGS: readonly Flag[] = [
  {
    name: 'ca',
    value: 'FILE',
    help: 'PEM file of the authority that issued the switch its certificate; default: the system’s',
  },
  {
    name: 'video',
    value: 'FILE',
    help: 'H.264 to send (Annex B), again and again',
    default: 'a clip that ships with Claviger',
  },
  {
    name: 'audio',
    value: 'FILE',
    help: 'Opus to send (Ogg), again and again',
    default: 'a clip that ships with Claviger',
  },
  { name: 'screens', value: '1|3', help: 'displays, and cameras and microphones with them', default: '1' },
  { name: 'seconds', value: 'N', help: 'hang up after so long; default: at Ctrl-C, or when the switch ends the call' },
  { name: 'record', value: 'DIR', help: 'write what arrives, decrypted, into playable files' },
  { name: 'rtp-in', value: 'PORT', help: 'send what comes as plain RTP to 127.0.0.1: H.264 to PORT, Opus to PORT+2' },
  {
    name: 'rtp-out',
    value: 'HOST:PORT',
    help: 'play the center display (PORT) and loudspeaker (PORT+2) as plain RTP; loopback only',
  },
  { name: 'pcap', value: 'FILE', help: 'capture of the media sockets as on the wire' },
  {
    name: 'key-log',
    value: 'FILE',
    help: 'keys of the call, one JSON line each: whoever has them can decrypt the capture',
  },
  { name: 'name', value: 'TEXT', help: 'who we are', default: 'endpoint' },
  { name: 'dns', value: 'ADDRESS[:PORT]', help: 'asked where HOST is; default: the system’s' },
  { name: 'dtls-engine', value: 'openssl|werift', help: 'DTLS engine', default: DEFAULT_DTLS_ENGINE },
  {
    name: 'security',
    value: 'ekt|dtls-srtp|sdes',
    help: 'dtls-srtp, sdes: join as a standard endpoint, without TIP and EKT, where hop-by-hop will do',
    default: 'ekt',
  },
  {
    name: 'bundle',
    help: 'with --security dtls-srtp: audio and video over one socket and association, as browsers do',
  },
  { name: 'plain', help: 'plain RTP without keys, for non-secure and best-effort conferences' },
  {
    name: 'refuse-downgrade',
    help: 'refuse to go over to plain RTP when a best-effort conference does; it ends the call',
  },
];

const HELP = `Usage: claviger call sips:CONFERENCE@HOST[:PORT] [flags]

Dials a conference, sends H.264 and Opus under its own sender keys (or, with --security, as a standard endpoint does),
receives, verifies and decrypts.`;

/** An RTP destination on loopback: decrypted media must not leave the machine. */
function loopback(text: string): Result<{ readonly host: string; readonly port: number }, 'usage'> {
  const match = /^(127(?:\.\d{1,3}){3}|localhost):(\d{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  if (match === null || port < 1 || port > 65_533) {
    return refuse('usage', `--rtp-out takes a loopback address and a port, 127.0.0.1:5004, not '${text}'`);
  }
  return ok({ host: match[1] === 'localhost' ? '127.0.0.1' : match[1]!, port });
}

const POSITIONS: Readonly<Record<'1' | '3', readonly number[]>> = { 1: [1], 3: [1, 2, 3] };

function readFile(flag: string, path: string): Result<Uint8Array, 'usage'> {
  if (!existsSync(path)) return refuse('usage', `--${flag}: no such file: ${path}`);
  return ok(readFileSync(path));
}

function inputs(
  flags: Readonly<Record<string, string | boolean | undefined>>,
  positions: readonly number[],
): Result<{ audio: AudioInput[]; video: VideoInput[] }, 'usage'> {
  const bridged = flags['rtp-in'] !== undefined;
  const path = (flag: 'audio' | 'video', clip: 'tone.opus' | 'testsrc2.h264'): string | undefined => {
    const given = flags[flag];
    return typeof given === 'string' ? given : bridged ? undefined : assetPath(clip);
  };
  const audio: AudioInput[] = [];
  const video: VideoInput[] = [];
  for (const position of positions) {
    const audioPath = path('audio', 'tone.opus');
    const videoPath = path('video', 'testsrc2.h264');
    if (audioPath !== undefined) {
      const file = readFile('audio', audioPath);
      if (!file.ok) return file;
      const source = openAudioSource(file.value);
      if (!source.ok) return refuse('usage', `--audio: ${audioPath}: not an Ogg Opus file (${source.reason})`);
      audio.push({ position, source: source.value });
    }
    if (videoPath !== undefined) {
      const file = readFile('video', videoPath);
      if (!file.ok) return file;
      const source = openVideoSource(file.value);
      if (!source.ok) return refuse('usage', `--video: ${videoPath}: not an H.264 byte stream (${source.reason})`);
      video.push({ position, source: source.value });
    }
  }
  return ok({ audio, video });
}

const clock = (): number => performance.timeOrigin + performance.now();

function show(running: Call): string {
  const { sent, received, drops, icon } = running.status();
  const refused = Object.entries(drops).map(([name, n]) => `${name} ${n}`);
  return [
    `sent ${sent.audio} audio, ${sent.video} video`,
    `received ${received.audio} audio, ${received.video} video`,
    refused.length === 0 ? 'nothing refused' : `refused: ${refused.join(', ')}`,
    ...(icon === undefined ? [] : [`security icon ${icon ? 'on' : 'off'}`]),
  ].join('; ');
}

function readSecurity(text: string | undefined, plain: boolean): Result<NonNullable<CallOptions['security']>, 'usage'> {
  if (plain) return text === undefined ? ok('plain') : refuse('usage', '--plain has no --security');
  if (text === undefined || text === 'ekt') return ok('dtls');
  if (text === 'dtls-srtp' || text === 'sdes') return ok(text);
  return refuse('usage', `--security takes ekt, dtls-srtp or sdes, not '${text}'`);
}

interface Plan {
  readonly options: CallOptions;
  readonly seconds: number | undefined;
  readonly dns: readonly string[] | undefined;
  readonly rtpIn: number | undefined;
  readonly finish: () => string[];
}

function plan(
  target: string | undefined,
  flags: Readonly<Record<string, string | boolean | undefined>>,
): Result<Plan, 'usage'> {
  if (target === undefined || !/^sips:[^@\s]+@[^@\s]+$/.test(target)) {
    return refuse(
      'usage',
      `whom to call: sips:CONFERENCE@HOST[:PORT]${target === undefined ? '' : `, not '${target}'`}`,
    );
  }
  const text = (name: string): string | undefined => (typeof flags[name] === 'string' ? flags[name] : undefined);
  const screens = text('screens') ?? '1';
  if (screens !== '1' && screens !== '3') return refuse('usage', `--screens takes 1 or 3, not '${screens}'`);
  const engine = text('dtls-engine') ?? DEFAULT_DTLS_ENGINE;
  if (engine !== 'openssl' && engine !== 'werift') {
    return refuse('usage', `--dtls-engine takes openssl or werift, not '${engine}'`);
  }
  const security = readSecurity(text('security'), flags.plain === true);
  if (!security.ok) return security;
  const bundle = flags.bundle === true;
  if (bundle && security.value !== 'dtls-srtp') return refuse('usage', '--bundle needs --security dtls-srtp');
  const seconds = text('seconds') === undefined ? undefined : wholeNumber('seconds', text('seconds')!, 1, 1_000_000);
  if (seconds !== undefined && !seconds.ok) return seconds;
  const rtpIn = text('rtp-in') === undefined ? undefined : wholeNumber('rtp-in', text('rtp-in')!, 1, 65_533);
  if (rtpIn !== undefined && !rtpIn.ok) return rtpIn;
  const rtpOut = text('rtp-out') === undefined ? undefined : loopback(text('rtp-out')!);
  if (rtpOut !== undefined && !rtpOut.ok) return rtpOut;
  const ca = text('ca') === undefined ? undefined : readFile('ca', text('ca')!);
  if (ca !== undefined && !ca.ok) return ca;
  const media = inputs(flags, POSITIONS[screens]);
  if (!media.ok) return media;

  const folder = text('record');
  const recording = folder === undefined ? undefined : new Recording(folder, clock);
  const player = rtpOut === undefined ? undefined : new RtpOutput(rtpOut.value.host, rtpOut.value.port, clock);
  const pcapPath = text('pcap');
  const pcapSink = pcapPath === undefined ? undefined : openFileSink(pcapPath);
  const pcap = pcapSink === undefined ? undefined : captureTo(pcapSink);
  const keyLogPath = text('key-log');
  const keyLog = keyLogPath === undefined ? undefined : keyLogTo(keyLogPath);
  if (keyLog !== undefined) {
    console.error(
      `claviger call: warning: ${keyLogPath} will hold the keys of this call; whoever reads it can decrypt its media`,
    );
  }
  const options: CallOptions = {
    target,
    ...media.value,
    // With --rtp-in there is a camera and a microphone all the same; the pacer has nothing to send for them.
    ...(rtpIn === undefined ? {} : { externalPositions: POSITIONS['1'] }),
    screens: screens === '3' ? 3 : 1,
    dtlsEngine: engine,
    security: security.value,
    bundle,
    refuseDowngrade: flags['refuse-downgrade'] === true,
    onMoved: (to) => console.log(to === 'plain' ? 'media is plain RTP from now on' : 'media is secured again'),
    ...(text('name') === undefined ? {} : { name: text('name')! }),
    ...(ca === undefined ? {} : { caPem: new TextDecoder().decode(ca.value) }),
    onReceived: (rtp) => {
      recording?.packet(rtp);
      player?.packet(rtp);
    },
    onNotified: (secure) => console.log(`the switch says: this conference is ${secure ? '' : 'not '}secure`),
    ...(pcap === undefined
      ? {}
      : { onDatagram: (from, to, payload) => void pcap.datagram({ time: clock(), from, to, payload }) }),
    ...(keyLog === undefined ? {} : { onKeys: (kind, entry) => keyLog.write(kind, entry) }),
  };
  return ok({
    options,
    dns: text('dns') === undefined ? undefined : [text('dns')!],
    seconds: seconds?.value,
    rtpIn: rtpIn?.value,
    finish: () => {
      player?.close();
      pcapSink?.close();
      keyLog?.close();
      return recording?.close() ?? [];
    },
  });
}

async function run({ options, dns, seconds, rtpIn, finish }: Plan): Promise<number> {
  let running: Call;
  try {
    const servers = await locateSips(options.target, dns);
    running = await call({ ...options, servers });
  } catch (error) {
    finish();
    console.error(`claviger call: ${error instanceof Error ? error.message : String(error)}`);
    return 1;
  }
  const bridge = rtpIn === undefined ? undefined : await openRtpInput(rtpIn, clock, (packet) => running.send(packet));
  console.log('answered; agreeing keys ...');
  running.ready.then(() => {
    console.log('media flows; Ctrl-C hangs up');
    if (seconds !== undefined) setTimeout(() => void running.hangup(), seconds * 1000).unref();
  });
  const progress = setInterval(() => console.log(show(running)), 5_000);
  const onSignal = (): void => void running.hangup();
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  const end = await running.ended;
  clearInterval(progress);
  process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
  bridge?.close();
  console.log(show(running));
  for (const line of finish()) console.log(line);
  if (end.by === 'local') return 0;
  console.error(`claviger call: ended by ${end.by}${end.cause === '' ? '' : `: ${end.cause}`}`);
  return end.by === 'peer' && end.cause === '' ? 0 : 1;
}

export const callCommand: Command = {
  name: 'call',
  summary: 'dial a conference as the reference endpoint',
  help: () => `${HELP}\n\n${helpOfFlags(FLAGS)}`,
  run: async (args) => {
    const parsed = parseFlags(args, FLAGS, 1);
    const planned = parsed.ok ? plan(parsed.value.positionals[0], parsed.value.flags) : parsed;
    if (!planned.ok) {
      console.error(`claviger call: ${planned.detail}\nclaviger call --help lists the flags`);
      return 2;
    }
    return run(planned.value);
  },
};
