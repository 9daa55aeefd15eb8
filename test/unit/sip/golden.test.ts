/**
 * Whole dialogues of two user agents. What is on the wire stands in files that a person can read (test/vectors/dialogues,
 * written anew by `vitest -u`); replayed with the streams cut at every byte, and over UDP with every message lost or doubled.
 */
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { Line, type LineOptions, NAMES, type Name, type SaidEvent } from './line.js';
import { SDP_A, SDP_B, text } from './support.js';

type Script = (line: Line) => void;

function dial(line: Line, target = 'sip:8000@switch.example'): void {
  line.ua.ann.newCall();
  line.command('ann', { type: 'invite', call: 1, connection: 1, target, from: 'sip:ann@ann.example', sdp: SDP_A });
  line.until('switch', 'incoming');
}

function connect(line: Line): void {
  dial(line);
  line.command('switch', { type: 'accept', call: 1, sdp: SDP_B });
  line.until('ann', 'answered');
  line.until('switch', 'confirmed');
}

function over(line: Line): void {
  for (const name of NAMES) line.until(name, 'ended');
}

/** Forgets what was said, so that it can be waited for again. */
function hush(line: Line): void {
  for (const name of NAMES) line.said[name].length = 0;
}

const SCRIPTS: Readonly<Record<string, Script>> = {
  'the caller hangs up': (line) => {
    connect(line);
    line.command('ann', { type: 'hangup', call: 1 });
    over(line);
  },
  'the switch hangs up with a reason': (line) => {
    connect(line);
    line.command('switch', { type: 'hangup', call: 1, reason: 'SIP;cause=488;text="not secure"' });
    over(line);
  },
  'the switch refuses': (line) => {
    dial(line);
    const headers = [{ name: 'retry-after', value: '30' }];
    line.command('switch', { type: 'reject', call: 1, status: 503, headers });
    line.until('ann', 'failed');
  },
  'the caller cancels': (line) => {
    dial(line);
    line.advance(100); // the 100 must be there before a CANCEL may go
    line.command('ann', { type: 'hangup', call: 1, reason: 'SIP;cause=487' });
    over(line);
  },
  'the caller offers again': (line) => {
    connect(line);
    line.command('ann', { type: 'reinvite', call: 1, sdp: SDP_A });
    line.until('switch', 'offer-again');
    hush(line);
    line.command('switch', { type: 'accept', call: 1, sdp: SDP_B });
    line.until('switch', 'confirmed');
    line.command('ann', { type: 'hangup', call: 1 });
    over(line);
  },
  'the switch offers again and is refused': (line) => {
    connect(line);
    line.command('switch', { type: 'reinvite', call: 1, sdp: SDP_A });
    line.until('ann', 'offer-again');
    line.command('ann', { type: 'reject', call: 1, status: 488 });
    line.until('switch', 'offer-refused');
    line.command('switch', { type: 'hangup', call: 1 });
    over(line);
  },
  'a question before any call': (line) => {
    const to = { target: 'sip:switch.example', from: 'sip:ann@ann.example' };
    line.command('ann', { type: 'options', probe: 1, connection: 1, ...to });
    line.until('ann', 'options-answered');
  },
};

/** What both sides have said, and that nothing is left of it in the end. */
function play(script: Script, options: LineOptions): { readonly said: string; readonly sent: number } {
  const line = new Line(options);
  const said: Record<Name, SaidEvent[]> = { ann: [], switch: [] };
  for (const name of NAMES) {
    const list = line.said[name];
    const push = list.push.bind(list);
    list.push = (...events) => {
      said[name].push(...events);
      return push(...events);
    };
  }
  script(line);
  const { sent } = line;
  line.advance(200_000);
  for (const name of NAMES) expect(line.ua[name].counts).toEqual({ calls: 0, transactions: 0 });
  return { said: JSON.stringify(said, null, 1), sent };
}

describe.each(Object.entries(SCRIPTS))('%s', (title, script) => {
  it('reads as it should', async () => {
    let transcript = '';
    const onSent = (from: Name, bytes: Uint8Array): void => {
      const to = from === 'ann' ? 'switch' : 'ann';
      transcript += `>>> ${from} to ${to}\n${text(bytes).replaceAll('\r\n', '\n').trimEnd()}\n\n`;
    };
    play(script, { transport: 'tls', onSent });
    const file = fileURLToPath(new URL(`../../vectors/dialogues/${title.replaceAll(' ', '-')}.txt`, import.meta.url));
    await expect(transcript).toMatchFileSnapshot(file);
  });

  it('is the same wherever the stream is cut', () => {
    const whole = play(script, { transport: 'tls' });
    for (let at = 1; at < 900; at++) {
      const cut = (bytes: Uint8Array) => [bytes.slice(0, at), bytes.slice(at)];
      expect(play(script, { transport: 'tcp', cut }).said, `cut at ${at}`).toBe(whole.said);
    }
    const bytewise = (bytes: Uint8Array) => Array.from(bytes, (b) => Uint8Array.of(b));
    expect(play(script, { transport: 'tls', cut: bytewise }).said).toBe(whole.said);
  });

  it('comes to the same end over UDP with any message lost, doubled, or doubled late', () => {
    const { said, sent } = play(script, { transport: 'udp' });
    expect(sent).toBeGreaterThan(1);
    for (let n = 0; n < sent; n++) {
      for (const [what, delays] of [
        ['lost', []],
        ['doubled', [0, 0]],
        ['doubled late', [0, 700]],
        ['late', [600]],
      ] as const) {
        const fate = (k: number): readonly number[] => (k === n ? delays : [0]);
        expect(play(script, { transport: 'udp', fate }).said, `message ${n} ${what}`).toBe(said);
      }
    }
  });
});
