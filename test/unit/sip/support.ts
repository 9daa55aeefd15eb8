/** What the SIP tests share: readable messages, two user agents on one line, a random source that can be repeated. */
import type { SipTransport, UserAgentInput, UserAgentOptions, UserAgentOutput } from '../../../src/sip/contract.js';
import { UserAgent } from '../../../src/sip/user-agent.js';
import { StreamFramer } from '../../../src/wire/sip-framing.js';
import { parseSipMessage } from '../../../src/wire/sip-message.js';
import type { SipMessage, SipResponse } from '../../../src/wire/sip-types.js';

export const SDP_A = 'v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n';
export const SDP_B = SDP_A.replace('- 1 1', '- 2 2');

/** A message from text with LF line ends and no Content-Length. */
export function wire(text: string, body = ''): Uint8Array {
  const [head] = text.split('\n\n');
  const type = body === '' ? '' : 'Content-Type: application/sdp\n';
  const lines = `${head!.trimEnd()}\n${type}Content-Length: ${new TextEncoder().encode(body).length}\n\n`;
  return new TextEncoder().encode(lines.replaceAll('\n', '\r\n') + body);
}

export function parse(bytes: Uint8Array): SipMessage {
  const result = parseSipMessage(bytes);
  if (!result.ok) throw new Error(`our own message was refused: ${JSON.stringify(result)}\n${text(bytes)}`);
  return result.value;
}

export function response(status: number, cseq = '1 INVITE'): SipResponse {
  const m = parse(
    wire(`SIP/2.0 ${status} x
Via: SIP/2.0/TLS a.example;branch=z9hG4bK1
From: <sip:a@a.example>;tag=1
To: <sip:b@b.example>;tag=2
Call-ID: 1
CSeq: ${cseq}`),
  );
  if (m.kind !== 'response') throw new Error('not a response');
  return m;
}

export function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** Tokens 1, 2, 3, ... with a prefix. */
export function counter(prefix: string): () => string {
  let n = 0;
  return () => `${prefix}${++n}`;
}

/** mulberry32: numbers in [0, 1) that repeat with their seed. */
export function seeded(seed: number): () => number {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function drain(ua: UserAgent): UserAgentOutput[] {
  const out: UserAgentOutput[] = [];
  for (let o = ua.poll(); o !== undefined; o = ua.poll()) out.push(o);
  return out;
}

/** One user agent and the far end of its connection 1, played by the test. */
export class Bench {
  readonly ua: UserAgent;
  now = 1_000_000;
  readonly #framer = new StreamFramer();
  /** Everything but what was sent. */
  events: UserAgentOutput[] = [];
  sent: Uint8Array[] = [];

  constructor(options: Partial<UserAgentOptions> = {}, transport: SipTransport = 'tls') {
    this.ua = new UserAgent({ random: counter('t'), ...options });
    this.put({
      type: 'connected',
      connection: 1,
      remote: { address: '192.0.2.7', port: 40001 },
      local: { address: '192.0.2.100', port: 5061 },
      transport,
    });
  }

  put(input: UserAgentInput): void {
    this.ua.receive(input, this.now);
    for (const out of drain(this.ua)) {
      if (out.type === 'send') this.sent.push(out.bytes);
      else this.events.push(out);
    }
  }

  /** Bytes from the peer. */
  feed(bytes: Uint8Array, connection = 1): void {
    for (const event of this.#framer.feed(bytes)) {
      if (event.type === 'message') this.put({ type: 'message', connection, message: event.message });
      else if (event.type === 'refused') this.put({ ...event, connection });
    }
  }

  /** Runs the clock, waking the user agent exactly at its deadlines. */
  advance(milliseconds: number): void {
    const end = this.now + milliseconds;
    for (let d = this.ua.deadline(); d !== undefined && d <= end; d = this.ua.deadline()) {
      this.now = Math.max(this.now, d);
      this.put({ type: 'tick' });
    }
    this.now = end;
  }

  /** First lines of what was sent since the last call. */
  lines(): string[] {
    return this.take().map((m) => m.split('\r\n')[0]!);
  }

  take(): string[] {
    return this.sent.splice(0).map(text);
  }

  takeEvents(): UserAgentOutput[] {
    return this.events.splice(0);
  }
}

export function headerOf(message: string, name: string): string | undefined {
  const line = message.split('\r\n').find((l) => l.toLowerCase().startsWith(`${name.toLowerCase()}: `));
  return line?.slice(name.length + 2);
}

/** What differs from a plain INVITE of Ann's. */
export interface Fields {
  readonly method?: string;
  readonly uri?: string;
  readonly branch?: string;
  readonly to?: string;
  readonly from?: string;
  readonly callId?: string;
  readonly cseq?: string;
  readonly extra?: string;
  readonly body?: string;
  readonly contact?: string;
}

export function req(f: Fields = {}): Uint8Array {
  const method = f.method ?? 'INVITE';
  return wire(
    `${method} ${f.uri ?? 'sip:8000@switch.example'} SIP/2.0
Via: SIP/2.0/TLS client.example:5061;branch=z9hG4bK${f.branch ?? 'c'}
From: <sip:ann@client.example>;tag=${f.from ?? 'a1'}
To: <sip:8000@switch.example>${f.to === undefined ? '' : `;tag=${f.to}`}
Call-ID: ${f.callId ?? 'call-1'}
CSeq: ${f.cseq ?? '1'} ${method}
Contact: ${f.contact ?? '<sip:ann@client.example:5061>'}
${f.extra ?? ''}`,
    f.body ?? '',
  );
}

/** A bench with call 1 answered and acknowledged; its To tag is t1. */
export function confirmed(options: Partial<UserAgentOptions> = {}, fields: Fields = {}): Bench {
  const bench = new Bench(options);
  bench.feed(req({ body: SDP_A, ...fields }));
  bench.put({ type: 'accept', call: 1, sdp: SDP_B });
  bench.feed(req({ method: 'ACK', branch: 'k', to: 't1' }));
  bench.take();
  bench.takeEvents();
  return bench;
}

/** A response to one of our requests. */
export function reply(request: string, status: string, tag: string, extra = '', body = ''): Uint8Array {
  const get = (name: string) => headerOf(request, name)!;
  const to = get('To').includes(';tag=') ? get('To') : `${get('To')};tag=${tag}`;
  return wire(
    `SIP/2.0 ${status}\nVia: ${get('Via')}\nFrom: ${get('From')}\nTo: ${to}
Call-ID: ${get('Call-ID')}\nCSeq: ${get('CSeq')}${extra}`,
    body,
  );
}
