/** The demo of a mixed conference: endpoints of every kind join one after another and leave again (best-effort, C4 to C7). */
import { concat, toHex } from '../base/bytes.js';
import { type AssetName, readAsset } from '../endpoint/assets/assets.js';
import {
  type AudioSource,
  type Call,
  type CallOptions,
  call,
  openAudioSource,
  openVideoSource,
} from '../endpoint/index.js';
import { columns, Timeline, type TimelineEntry } from './demo-show.js';
import { type DemoEvent, DemoSwitch } from './demo-switch.js';

export type DemoRestore = 'automatic' | 'never';

const KINDS = [
  { name: 'ekt', security: 'dtls', audio: 'tone.opus', video: 'bars.h264' },
  { name: 'dtls-srtp', security: 'dtls-srtp', audio: 'noise.opus', video: 'mandelbrot.h264' },
  { name: 'sdes', security: 'sdes', audio: 'tone.opus', video: 'testsrc2.h264' },
  { name: 'rtp', security: 'plain', audio: 'noise.opus', video: 'bars.h264' },
] as const satisfies readonly {
  readonly name: string;
  readonly security: NonNullable<CallOptions['security']>;
  readonly audio: AssetName;
  readonly video: AssetName;
}[];

/** What one member received while the conference was as it was. */
export interface Heard {
  readonly name: string;
  /** Audio packets whose payload is one that this other member put in. */
  readonly audioFrom: Readonly<Record<string, number>>;
  readonly audio: number;
  readonly video: number;
  /** Audio that nobody put in, and its own. */
  readonly altered: number;
  readonly echoed: number;
  readonly notAuthentic: number;
}

export interface MixedStep {
  readonly change: string;
  readonly level: string;
  /** What the policy makes of who is there. */
  readonly expected: string;
  readonly heard: readonly Heard[];
}

export interface MixedReport {
  readonly conference: string;
  readonly restore: DemoRestore;
  readonly seconds: number;
  readonly steps: readonly MixedStep[];
  readonly switch: DemoSwitch['counters'];
  readonly events: readonly DemoEvent[];
  readonly timeline: readonly TimelineEntry[];
}

/** How long a level may take to come, and media after it; going back up waits until nobody has come for a while (C7). */
const PATIENCE_MS = 40_000;
const LOOK_EVERY_MS = 10;

/** What is wrong with a run, in words; empty when the conference was as secure as its weakest member, and no less. */
export function mixedFaults(report: MixedReport): string[] {
  const faults: string[] = [];
  for (const { change, level, expected, heard } of report.steps) {
    if (level !== expected) faults.push(`${change}: the conference is at ${level}, not ${expected}`);
    for (const one of heard) {
      if (heard.length > 1 && one.audio === 0) faults.push(`${change}: ${one.name} hears nobody`);
      for (const count of ['altered', 'echoed', 'notAuthentic'] as const) {
        if (one[count] > 0) faults.push(`${change}: ${one.name}: ${count} ${one[count]}`);
      }
    }
  }
  for (const name of ['auth_failed', 'below_level']) {
    if ((report.switch.drops[name] ?? 0) > 0) faults.push(`the switch refused ${name} ${report.switch.drops[name]}`);
  }
  const wanted =
    report.restore === 'automatic' ? ['conference-downgraded', 'conference-restored'] : ['conference-downgraded'];
  for (const code of wanted) {
    if (!report.events.some((event) => event.code === code)) faults.push(`there was no event ${code}`);
  }
  return faults;
}

/**
 * The same sound with padding (RFC 6716 §3.2.5: one frame, code 3) that makes each packet another one, so that whoever hears
 * it knows whose it is, whatever SSRC it comes under.
 */
function unmistakable(source: AudioSource, member: number): AudioSource {
  let count = 0;
  return {
    channels: source.channels,
    next() {
      const frame = source.next();
      if (frame === undefined) return undefined;
      const stamp = Uint8Array.of(member, count >>> 16, count >>> 8, count++);
      const [toc = 0, ...rest] = frame.payload;
      if ((toc & 3) !== 0) throw new Error('the clips of the demo have one Opus frame a packet');
      return { ...frame, payload: concat(Uint8Array.of(toc | 3, 0x41, stamp.length), Uint8Array.from(rest), stamp) };
    },
  };
}

class Member {
  readonly name: string;
  #call: Call | undefined;
  #refusedBefore = 0;
  #audioFrom: Record<string, number> = {};
  #counts = { audio: 0, video: 0, altered: 0, echoed: 0 };

  constructor(
    private readonly number: number,
    /** Whose payload is it? */
    private readonly sentBy: Map<string, string>,
  ) {
    this.name = KINDS[number]!.name;
  }

  async join(host: DemoSwitch, timeline: Timeline): Promise<void> {
    const { security, audio, video } = KINDS[this.number]!;
    const sound = openAudioSource(readAsset(audio));
    const picture = openVideoSource(readAsset(video));
    if (!sound.ok || !picture.ok) throw new Error('a clip of the demo cannot be read');
    this.#call = await call({
      ...{ target: host.target, caPem: host.caPem, name: this.name, security },
      audio: [{ position: 1, source: unmistakable(sound.value, this.number) }],
      video: [{ position: 1, source: picture.value }],
      onSent: ({ payload }) => void this.sentBy.set(toHex(payload), this.name),
      onReceived: ({ media, payload }) => this.#received(media, payload),
      onNotified: (secure) => void timeline.note(this.name, `the icon says ${secure ? 'secure' : 'not secure'}`),
      onMoved: (to) =>
        void timeline.note(this.name, `answered the re-INVITE: ${to === 'plain' ? 'plain RTP' : 'DTLS'} from now on`),
    });
    await this.#call.ready;
  }

  async leave(): Promise<void> {
    await this.#call?.hangup();
  }

  listenAnew(): void {
    this.#audioFrom = {};
    this.#counts = { audio: 0, video: 0, altered: 0, echoed: 0 };
    this.#refusedBefore = this.#refused();
  }

  heard(): Heard {
    return {
      ...{ name: this.name, audioFrom: { ...this.#audioFrom }, ...this.#counts },
      notAuthentic: this.#refused() - this.#refusedBefore,
    };
  }

  #refused(): number {
    return this.#call?.status().drops.auth_failed ?? 0;
  }

  #received(media: 'audio' | 'video', payload: Uint8Array): void {
    this.#counts[media]++;
    if (media === 'video') return;
    const from = this.sentBy.get(toHex(payload));
    if (from === undefined) this.#counts.altered++;
    else if (from === this.name) this.#counts.echoed++;
    else this.#audioFrom[from] = (this.#audioFrom[from] ?? 0) + 1;
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function patiently(condition: () => boolean): Promise<void> {
  for (const end = performance.now() + PATIENCE_MS; !condition() && performance.now() < end; )
    await pause(LOOK_EVERY_MS);
}

/** The lowest that one of them can do. */
function expectedLevel(names: readonly string[]): string {
  if (names.includes('rtp')) return 'none';
  return names.some((name) => name !== 'ekt') ? 'hop-by-hop' : 'end-to-end';
}

export async function runMixed(
  seconds: number,
  restore: DemoRestore,
  say: (line: string) => void,
): Promise<MixedReport> {
  const timeline = new Timeline(say);
  const events: DemoEvent[] = [];
  const host = await DemoSwitch.start({
    flags: { 'conferences-policy': 'best-effort', 'conferences-restore': restore },
    onEvent: (event) => {
      events.push(event);
      timeline.note('switch', `${event.code}: ${event.cause}`);
    },
  });
  let level: string = 'unknown';
  const look = (): void => {
    const now = host.level();
    if (now === 'unknown' || now === level) return;
    timeline.note('switch', `the conference is at ${now}`);
    level = now;
  };
  let looking: NodeJS.Timeout | undefined;
  try {
    timeline.begin();
    const sentBy = new Map<string, string>();
    const members = KINDS.map((_, i) => new Member(i, sentBy));
    const steps: MixedStep[] = [];
    const settle = async (change: string, present: readonly Member[]): Promise<void> => {
      const free = expectedLevel(present.map(({ name }) => name));
      const was = steps.at(-1)?.level;
      const expected = restore === 'never' && present.length < members.length && was === 'none' ? 'none' : free;
      await patiently(() => host.level() === expected);
      look();
      for (const member of present) member.listenAnew();
      await pause((seconds * 1_000) / (2 * members.length - 1));
      await patiently(() => present.length < 2 || present.every((member) => member.heard().audio > 0));
      steps.push({ change, level: host.level(), expected, heard: present.map((member) => member.heard()) });
    };
    for (const [i, member] of members.entries()) {
      timeline.note(member.name, 'dials');
      await member.join(host, timeline);
      looking ??= setInterval(look, LOOK_EVERY_MS);
      timeline.note(member.name, 'has its keys: media flows');
      await settle(`${member.name} has joined`, members.slice(0, i + 1));
    }
    for (let left = members.length - 1; left > 0; left--) {
      timeline.note(members[left]!.name, 'hangs up');
      await members[left]!.leave();
      await settle(`${members[left]!.name} has left`, members.slice(0, left));
    }
    const { counters } = host;
    // Without members there is no conference, and so no level.
    clearInterval(looking);
    timeline.note(members[0]!.name, 'hangs up');
    await members[0]!.leave();
    return {
      ...{ conference: host.conference, restore, seconds, steps },
      ...{ switch: counters, events, timeline: timeline.entries },
    };
  } finally {
    clearInterval(looking);
    await host.stop();
  }
}

export function mixedTable(report: MixedReport): string {
  const from = ({ audioFrom }: Heard): string =>
    Object.entries(audioFrom)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ') || '-';
  const rows = report.steps.flatMap(({ change, level, heard }) =>
    heard.map((one, i) => [
      i === 0 ? change : '',
      i === 0 ? level : '',
      one.name,
      from(one),
      ...[one.audio, one.video, one.notAuthentic].map(String),
    ]),
  );
  return [
    `Conference ${report.conference}, best-effort, restore ${report.restore}`,
    '',
    ...columns([['', 'level', 'who', 'heard audio packets of', 'audio', 'video', 'not authentic'], ...rows]),
    '',
    ...report.events.flatMap((event) => [
      `event ${event.code} (${event.severity}): ${event.cause}`,
      `what to do: ${event.remedy}`,
    ]),
  ].join('\n');
}
