/** Softphones that nobody here wrote, each sending a tone and recording what it decodes. */
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Colour } from './colour.js';
import type { Place } from './configured-switch.js';
import { isPictureOf } from './decoded.js';
import { put } from './pki.js';
import { type Program, run } from './programs.js';
import { until } from './running-switch.js';
import { purestToneShare, toneShare, toneWav } from './tone.js';

export interface Phone {
  readonly program: Program;
  readonly heard: () => string;
}

/** Calls, sends a sine of this frequency, and records what it decodes. */
export function baresip(
  place: Place,
  name: string,
  target: string | { readonly account: string },
  hertz: number,
  encryption?: 'srtp' | 'srtp-mand' | 'dtls_srtp',
  options: { readonly rtcpMux?: boolean; readonly video?: boolean; readonly ice?: boolean } = {},
): Phone {
  const { rtcpMux = true, video = false, ice = false } = options;
  const folder = place.file(name);
  mkdirSync(folder);
  const modules = [
    'stdio',
    'g711',
    'opus',
    'ausine',
    'aufile',
    'sndfile',
    'srtp',
    'dtls_srtp',
    ...(video ? ['vp8', 'fakevideo', 'snapshot'] : []),
    ...(ice ? ['ice'] : []),
  ].map((m) => `module ${m}.so`);
  const config = [
    'poll_method epoll',
    `rtcp_mux ${rtcpMux ? 'yes' : 'no'}`,
    'sip_listen 127.0.0.1:0',
    `sip_cafile ${place.file('tls/ca.pem')}`,
    `audio_source ausine,${hertz}`,
    `audio_player aufile,${folder}/played.wav`,
    `audio_alert ausine,400`,
    ...(video
      ? ['video_source fakevideo,nil', 'video_display fakevideo,nil', 'video_size 160x120', 'video_fps 15']
      : []),
    'rtp_ports 42000-42999',
    'module_path /usr/lib/baresip/modules',
    ...modules,
    `snd_path ${folder}`,
    'module_tmp uuid.so',
    'module_tmp account.so',
    'module_app menu.so',
  ];
  put(folder, 'config', `${config.join('\n')}\n`);
  const own = typeof target === 'string' ? `<sip:${name}@127.0.0.1;transport=tls>;regint=0` : target.account;
  const settings = [
    'audio_codecs=opus/48000/2',
    ...(video ? ['video_codecs=vp8'] : []),
    ...(encryption === undefined ? [] : [`mediaenc=${encryption}`]),
    ...(ice ? ['medianat=ice'] : []),
  ];
  put(folder, 'accounts', `${[own, ...settings].join(';')}\n`);
  put(folder, 'contacts', '');
  const program = run('baresip', place.folder, [
    '-4',
    '-n',
    '127.0.0.1',
    '-f',
    folder,
    ...(typeof target === 'string' ? ['-e', `/dial ${target}`] : []),
  ]);
  const heard = (): string => join(folder, readdirSync(folder).find((f) => f.endsWith('-dec.wav')) ?? 'nothing');
  return { program, heard };
}

export async function linphonec(
  place: Place,
  target: string,
  hertz: number,
  encryption: 'none' | 'srtp' | 'dtls' = 'none',
): Promise<Phone> {
  const folder = place.file('linphone');
  mkdirSync(join(folder, '.local/share/linphone'), { recursive: true });
  const rc = `[sip]
auto_net_state_mon=0
use_ipv6=0
sip_port=-1
sip_tcp_port=-1
sip_tls_port=-1
root_ca=${place.file('tls/ca.pem')}
verify_server_certs=1
verify_server_cn=1
guess_hostname=0
contact="linphone" <sip:linphone@127.0.0.1>
media_encryption=${encryption}
media_encryption_mandatory=${encryption === 'none' ? 0 : 1}
[rtp]
bind_address=127.0.0.1
audio_rtp_port=43000-43999
rtcp_mux=1
[video]
enabled=0
capture=0
display=0
[sound]
echocancellation=0
`;
  const program = run('linphonec', folder, ['-c', put(folder, 'rc', rc)]);
  const say = (line: string): void => void program.child.stdin!.write(`${line}\n`);
  await until('linphonec is ready', () => program.output.text.includes('linphonec>'));
  say('soundcard use files');
  say(`play ${put(folder, 'tone.wav', toneWav(hertz, 60))}`);
  say(`record ${join(folder, 'heard.wav')}`);
  say(`call ${target}`);
  return { program, heard: () => join(folder, 'heard.wav') };
}

/** Waits, and shows what the program had to say where it was in vain. */
export async function heeded(phone: Phone, what: string, condition: () => boolean): Promise<void> {
  try {
    await until(what, condition, 20_000);
  } catch (error) {
    throw new Error(`${String(error)}\n${phone.program.output.text.slice(-4_000)}`);
  }
}

export function hears(who: string, phone: Phone, hertz: number): Promise<void> {
  return heeded(phone, `${who} hears ${hertz} Hz`, () => toneShare(phone.heard(), hertz) > 0.9);
}

/** Of linphonec, whose recording can be read when it is closed: ends its call once there is enough of it. */
export async function hasHeard(phone: Phone, hertz: number): Promise<void> {
  const recorded = (): number => (existsSync(phone.heard()) ? statSync(phone.heard()).size : 0);
  await heeded(phone, 'linphonec has recorded two seconds', () => recorded() > 2 * 2 * 48_000);
  phone.program.child.stdin!.write('terminate\nquit\n');
  await heeded(phone, `linphonec has heard ${hertz} Hz`, () => purestToneShare(phone.heard(), hertz) > 0.9);
}

/** Has baresip write down the pictures that it shows until one has this colour. */
export async function sees(place: Place, who: string, phone: Phone, colour: Colour): Promise<void> {
  let shot = 0;
  const name = (): string => `shot-${shot}.png`;
  const ask = (): void => void phone.program.child.stdin!.write(`/snapshot_recv ${name()}\n`);
  ask();
  await heeded(phone, `${who} sees ${colour.name}`, () => {
    if (!phone.program.output.text.includes(`png: wrote ${name()}`)) return false;
    if (isPictureOf(join(place.folder, name()), colour)) return true;
    shot++;
    ask();
    return false;
  });
}
