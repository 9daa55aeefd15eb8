/** A Control with a recording relay, a SIP user agent as the caller, and DTLS played by the test. */

import type { Address } from '../../../src/base/ids.js';
import { ok } from '../../../src/base/result.js';
import { Secret } from '../../../src/base/secret.js';
import type { AssociationReport, ControlInput, ControlOptions, ControlOutput } from '../../../src/control/contract.js';
import { Control } from '../../../src/control/control.js';
import { DROP_NAMES, type DropName, type OpenChannel, type Relay } from '../../../src/relay/contract.js';
import type { SipTransport, UserAgentInput, UserAgentOutput } from '../../../src/sip/contract.js';
import { createOffer } from '../../../src/sip/offer-answer.js';
import type { Access } from '../../../src/sip/trunk.js';
import { UserAgent } from '../../../src/sip/user-agent.js';
import { endpointOptions, TipMachine } from '../../../src/tip/index.js';
import { splitCompound } from '../../../src/wire/rtcp.js';
import { StreamFramer } from '../../../src/wire/sip-framing.js';
import type { Suite } from '../../../src/wire/tip.js';

export interface RelayCall {
  readonly name: keyof Relay;
  readonly args: readonly unknown[];
}

const noDrops = Object.fromEntries(DROP_NAMES.map((name) => [name, 0])) as Record<DropName, number>;

export function fakeRelay(calls: RelayCall[]): Relay {
  let port = 20_000;
  const ports = new Map<number, number>();
  const note =
    (name: keyof Relay) =>
    (...args: unknown[]): void =>
      void calls.push({ name, args });
  return {
    openChannel: (options: OpenChannel) => {
      calls.push({ name: 'openChannel', args: [options] });
      port += 2;
      ports.set(options.channel, options.leader === undefined ? port : ports.get(options.leader)!);
      return ok({ port: ports.get(options.channel)! });
    },
    closeChannel: note('closeChannel'),
    sendDatagram: note('sendDatagram'),
    provePeer: note('provePeer'),
    setRtcpPort: note('setRtcpPort'),
    setIce: note('setIce'),
    latch: note('latch'),
    awaitPeer: note('awaitPeer'),
    setChannelKeys: note('setChannelKeys'),
    setParameters: note('setParameters'),
    sendControl: note('sendControl'),
    setConference: note('setConference'),
    closeConference: note('closeConference'),
    installSet: note('installSet'),
    dropSet: note('dropSet'),
    setAcked: note('setAcked'),
    setRoutes: note('setRoutes'),
    counters: () => ({
      ingress: 0,
      verified: 0,
      egress: 0,
      variants: 0,
      unsegmented: 0,
      retransmitted: 0,
      retransmitUnknown: 0,
      retransmitLimited: 0,
      handedOver: 0,
      drops: noDrops,
    }),
    bytes: () => ({ in: 0, out: 0 }),
    channelCounters: () => undefined,
    threadCpuNs: () => [],
    threadLoads: () => [],
    close: note('close'),
  };
}

export const FINGERPRINT = { algorithm: 'sha-256' as const, value: new Uint8Array(32).fill(7) };
export const SIGNALLED: Address = { address: '192.0.2.7', port: 40_000 };

let seed = 1;
export function testRandom(bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, () => {
    seed = (seed * 1_103_515_245 + 12_345) & 0x7fffffff;
    return (seed >>> 16) & 0xff;
  });
}

/** Control on one side of a SIP connection, a plain user agent on the other. */
export class Bench {
  readonly relayCalls: RelayCall[] = [];
  readonly outputs: ControlOutput[] = [];
  readonly control: Control;
  readonly caller: UserAgent;
  readonly heard: UserAgentOutput[] = [];
  /** Every message that control has sent. */
  readonly texts: string[] = [];
  now = 1_700_000_000_000;
  readonly #toControl = new StreamFramer();
  readonly #toCaller = new StreamFramer();

  /**
   * @param tip the caller says in its Contact that it speaks TIP.
   * @param access what the port and the certificate made of the caller.
   */
  constructor(options: Partial<ControlOptions> = {}, tip = true, access?: Access, transport: SipTransport = 'tls') {
    this.caller = new UserAgent({ random: () => Buffer.from(testRandom(12)).toString('hex'), tip });
    this.control = new Control({
      relay: fakeRelay(this.relayCalls),
      random: testRandom,
      fingerprint: FINGERPRINT,
      name: 'claviger',
      adHoc: { policy: 'secure', requiredLevel: 'end-to-end' },
      fixed: new Map(),
      maxConferences: 10,
      maxMembers: 10,
      ...options,
    });
    const remote = { address: '192.0.2.7', port: 5_061 };
    const local = { address: '192.0.2.1', port: 5_061 };
    const known = access === undefined ? {} : { access };
    this.sip({ type: 'connected', connection: 1, remote, local, transport, ...known });
    this.callerDoes({ type: 'connected', connection: 1, remote: local, local: remote, transport });
  }

  sip(input: UserAgentInput): void {
    this.control.receive({ type: 'sip', input }, this.now);
    this.#pump();
  }

  relay(events: Parameters<Control['receive']>[0] & { type: 'relay' }): void {
    this.control.receive(events, this.now);
    this.#pump();
  }

  association(association: number, report: AssociationReport): void {
    this.control.receive({ type: 'association', association, report }, this.now);
    this.#pump();
  }

  receive(input: ControlInput): void {
    this.control.receive(input, this.now);
    this.#pump();
  }

  stop(): void {
    this.receive({ type: 'stop', retryAfterSeconds: 60 });
  }

  advance(ms: number): void {
    const end = this.now + ms;
    for (let due = this.control.deadline(); due !== undefined && due <= end; due = this.control.deadline()) {
      this.now = Math.max(this.now, due);
      this.control.receive({ type: 'tick' }, this.now);
      this.#pump();
    }
    this.now = end;
  }

  callerDoes(input: UserAgentInput): void {
    this.caller.receive(input, this.now);
    for (let out = this.caller.poll(); out !== undefined; out = this.caller.poll()) {
      if (out.type !== 'send') this.heard.push(out);
      else {
        for (const event of this.#toControl.feed(out.bytes)) {
          if (event.type === 'message') this.sip({ type: 'message', connection: 1, message: event.message });
        }
      }
    }
  }

  /** Dials with audio and video; the answer is in `heard`. */
  dial(
    user = '8000',
    security: 'dtls' | 'plain' = 'dtls',
    media: readonly ('audio' | 'video')[] = ['audio', 'video'],
    address = SIGNALLED.address,
  ): number {
    return this.dialWith(user, security, media, address).call;
  }

  dialWith(
    user = '8000',
    security: 'dtls' | 'plain' = 'dtls',
    media: readonly ('audio' | 'video')[] = ['audio', 'video'],
    address = SIGNALLED.address,
  ): { readonly call: number; readonly offer: string } {
    const call = this.caller.newCall();
    const sdp = createOffer({
      sessionId: '1',
      sessionVersion: 1,
      address,
      ...(security === 'dtls' ? { fingerprint: FINGERPRINT } : {}),
      media: media.map((m, i) => ({
        media: m,
        port: SIGNALLED.port + 2 * i,
        security,
        codecs: [
          m === 'audio'
            ? { name: 'opus', payloadType: 96 }
            : { name: 'H264', payloadType: 112, profileLevelId: '42e01f' },
        ],
      })),
    });
    const target = `sips:${user}@192.0.2.1`;
    this.callerDoes({ type: 'invite', call, connection: 1, target, from: 'sips:alice@192.0.2.7', sdp });
    return { call, offer: sdp };
  }

  /** Dials with an offer of its own, LF at its line ends. */
  dialSdp(sdp: string, user = '8000'): number {
    const call = this.caller.newCall();
    const [target, from] = [`sips:${user}@192.0.2.1`, 'sips:alice@192.0.2.7'];
    this.callerDoes({ type: 'invite', call, connection: 1, target, from, sdp: sdp.replaceAll('\n', '\r\n') });
    return call;
  }

  /** What a caller writes itself, as text with LF line ends. */
  raw(message: string): void {
    for (const event of new StreamFramer().feed(new TextEncoder().encode(message.replaceAll('\n', '\r\n')))) {
      if (event.type !== 'message') throw new Error(`not a message: ${event.type}`);
      this.sip({ type: 'message', connection: 1, message: event.message });
    }
  }

  called<N extends keyof Relay>(name: N): readonly Parameters<Relay[N]>[] {
    return this.relayCalls.filter((c) => c.name === name).map((c) => c.args as Parameters<Relay[N]>);
  }

  taken<T extends ControlOutput['type']>(type: T): Extract<ControlOutput, { type: T }>[] {
    return this.outputs.filter((o): o is Extract<ControlOutput, { type: T }> => o.type === type);
  }

  events(): string[] {
    return this.taken('security-event').map((o) => o.event.code);
  }

  #pump(): void {
    for (let out = this.control.poll(); out !== undefined; out = this.control.poll()) {
      this.outputs.push(out);
      if (out.type !== 'sip' || out.output.type !== 'send') continue;
      this.texts.push(Buffer.from(out.output.bytes).toString('utf8'));
      for (const event of this.#toCaller.feed(out.output.bytes)) {
        if (event.type === 'message') this.callerDoes({ type: 'message', connection: 1, message: event.message });
      }
    }
  }
}

/** A peer that leaves offers to the switch: INVITEs without one, each with its answer in the ACK (RFC 3261 §13.2.1). */
export class Offerless {
  #cseq = 0;
  #tag = '';

  constructor(private readonly bench: Bench) {}

  /** The first INVITE or the next. @returns what the 200 offers */
  invite(): string {
    this.#cseq++;
    this.bench.raw(this.#head('INVITE', 0));
    const ok = this.bench.texts.findLast((text) => text.startsWith('SIP/2.0 200'))!;
    this.#tag = /^To: .*(;tag=\S+)/m.exec(ok)![1]!;
    return ok.slice(ok.indexOf('\r\n\r\n') + 4);
  }

  acknowledge(sdp: string): void {
    const body = sdp.replaceAll('\r', '');
    this.bench.raw(this.#head('ACK', body.length + body.split('\n').length - 1) + body);
  }

  #head(method: string, length: number): string {
    return `${method} sips:8000@192.0.2.1 SIP/2.0
Via: SIP/2.0/TLS 192.0.2.7:5061;branch=z9hG4bK${method}${this.#cseq}
From: <sips:bob@192.0.2.7>;tag=b
To: <sips:8000@192.0.2.1>${this.#tag}
Call-ID: no-offer
CSeq: ${this.#cseq} ${method}
Contact: <sips:bob@192.0.2.7>
Max-Forwards: 70
${length === 0 ? '' : 'Content-Type: application/sdp\n'}Content-Length: ${length}

`;
  }
}

export const CLIENT_HELLO = Uint8Array.of(22, 254, 253, 0, 0);

export function keysReport(profile = 1): Extract<AssociationReport, { type: 'keys' }> {
  return {
    type: 'keys',
    profile,
    local: new Secret(testRandom(30)),
    remote: new Secret(testRandom(30)),
    peerFingerprint: '07'.repeat(32),
  };
}

/** The endpoint's TIP machine on one channel, wired to what Control sends through the relay. */
export class TipPeer {
  readonly machine: TipMachine;
  #seen = 0;

  constructor(
    private readonly bench: Bench,
    private readonly channel: number,
    media: 'audio' | 'video',
    version: 6 | 7 | 8 = 8,
    suites?: readonly Suite[],
  ) {
    this.machine = new TipMachine({
      role: 'endpoint',
      media,
      ssrc: 0xabcdef00,
      version,
      secure: true,
      feedback: false,
      conferenceId: 0n,
      numXmit: 1,
      numRcv: 1,
      transmitMask: 2,
      receiveMask: 2,
      options: endpointOptions(media, true),
      ...(suites === undefined ? {} : { suites }),
    });
    this.machine.receive({ type: 'start' }, bench.now);
  }

  /** Lets both sides talk until neither has anything to say. */
  run(): void {
    for (let quiet = false; !quiet; ) {
      quiet = true;
      const sent = this.bench.called('sendControl').filter(([channel]) => channel === this.channel);
      for (const [, compound] of sent.slice(this.#seen)) {
        quiet = false;
        const packets = splitCompound(compound);
        if (!packets.ok) throw new Error('control sent a malformed compound');
        for (const bytes of packets.value)
          if (bytes[1] === 204) this.machine.receive({ type: 'packet', bytes }, this.bench.now);
      }
      this.#seen = sent.length;
      for (let out = this.machine.poll(); out !== undefined; out = this.machine.poll()) {
        quiet = false;
        if (out.type === 'set')
          this.machine.receive({ type: 'set-installed', spiWord: out.set.spiWord }, this.bench.now);
        if (out.type !== 'send') continue;
        const events = [{ type: 'control' as const, channel: this.channel, rtcp: out.packet, tipAllowed: true }];
        this.bench.relay({ type: 'relay', events });
      }
    }
  }
}

/** Dials and brings every channel to end-to-end; gives the offer, too. */
export function secured(bench: Bench): {
  readonly call: number;
  readonly channels: readonly number[];
  readonly offer: string;
} {
  const { call, offer } = bench.dialWith();
  const opened = bench
    .called('openChannel')
    .slice(-2)
    .map(([o]) => o);
  for (const [i, { channel, media }] of opened.entries()) {
    const from = { address: SIGNALLED.address, port: SIGNALLED.port + 2 * i };
    bench.relay({ type: 'relay', events: [{ type: 'dtls', channel, from, bytes: CLIENT_HELLO }] });
    bench.association(bench.taken('association-open').at(-1)!.association, keysReport());
    new TipPeer(bench, channel, media).run();
  }
  return { call, channels: opened.map((o) => o.channel), offer };
}
