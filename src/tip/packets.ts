/** Inputs into requests, received requests into answers and outputs: translation without state. */
import { unreachable } from '../base/result.js';
import { type FlowLimits, type TipPacket, type TipRequest, type TipVersion, writeTip } from '../wire/tip.js';
import type { OptionBits } from './options.js';
import type { Unstamped, UnstampedOf } from './outbox.js';
import type { TipInput, TipOptions, TipOutput } from './types.js';

const NO_LIMITS: FlowLimits = { bitrate: 0, levelIncrement: 0, levelDecrement: 0, maxMbps: 0, maxFs: 0, maxFps: 0 };

/** The inputs that ask the peer for something and need nothing but their own words. */
export type PlainRequest = Extract<
  TipInput,
  { readonly type: 'notify' | 'refresh' | 'flow' | 'request-to-send' | 'echo' }
>;

export function requestOf(input: PlainRequest, ssrc: number): Unstamped {
  switch (input.type) {
    case 'notify':
      return { type: 'notify', ssrc, secure: input.secure };
    case 'refresh':
      return { type: 'refresh', ssrc, targetCsrc: input.targetCsrc, flags: input.flags };
    case 'flow': {
      const type = input.direction === 'transmit' ? 'txflowctrl' : 'rxflowctrl';
      const { opcode, targetCsrc, limits } = input;
      return { type, ssrc, opcode, targetCsrc, ...(limits === undefined ? {} : { limits }) };
    }
    case 'request-to-send': {
      const { start, videoMask, audioMask } = input;
      return { type: 'reqtosend', ssrc, start, videoMask, audioMask };
    }
    case 'echo':
      return { type: 'echo', ssrc, receiveNtp: 0n };
    default:
      return unreachable(input, 'requestOf');
  }
}

export function muxCtrlOf(o: TipOptions, version: TipVersion): UnstampedOf<'muxctrl'> {
  return {
    type: 'muxctrl',
    ssrc: o.ssrc,
    version,
    secure: o.secure,
    feedback: o.feedback,
    isFocus: o.role === 'switch',
    numXmit: o.numXmit,
    numRcv: o.numRcv,
    conferenceId: o.conferenceId,
    transmitMask: o.transmitMask,
    receiveMask: o.receiveMask,
    numShared: o.numShared ?? 0,
    sharedMask: o.sharedMask ?? 0,
    ...(o.participantId === undefined ? {} : { participantId: o.participantId }),
    ...(o.suites === undefined ? {} : { suites: o.suites }),
  };
}

/** One block for every stream of the channel. */
export function mediaOptsOf(ssrc: number, bits: OptionBits): UnstampedOf<'mediaopts'> {
  return { type: 'mediaopts', ssrc, blocks: [{ ssrc: 0, ...bits, words: [] }] };
}

/** Writes a request in the form of the version that is in force when it goes out: TXFLOWCTRL is longer in version 8. */
export function stamp(request: Unstamped, ntp: bigint, version: TipVersion): Uint8Array {
  if (request.type !== 'txflowctrl' && request.type !== 'rxflowctrl') return writeTip({ ...request, ntp });
  const { limits = NO_LIMITS, ...short } = request;
  const long = request.type === 'txflowctrl' && version === 8;
  return writeTip(long ? { ...short, limits, ntp } : { ...short, ntp });
}

/** What acknowledges `packet`; of an ECHO the one with `receiveNtp`. */
export function answerOf(packet: TipRequest, ssrc: number, receiveNtp: bigint): TipPacket {
  const { type, ntp } = packet;
  if (type === 'echo') return { type, ssrc, ntp, receiveNtp };
  if (type !== 'reqtosend') return { type: 'ack', of: type, ssrc, ntp };
  const { start, videoMask, audioMask } = packet;
  return { type: 'reqtosend-ack', ssrc, ntp, start, videoMask, audioMask };
}

/** What a received request means to the machine's user; undefined: nothing. */
export function outputOf(packet: Exclude<TipRequest, { readonly type: 'spimap' }>): TipOutput | undefined {
  switch (packet.type) {
    case 'notify':
      return packet.secure === undefined ? undefined : { type: 'notified', secure: packet.secure };
    case 'refresh':
      return { type: 'refresh-requested', targetCsrc: packet.targetCsrc, flags: packet.flags };
    case 'txflowctrl':
    case 'rxflowctrl': {
      const { opcode, targetCsrc, limits } = packet;
      const direction = packet.type === 'txflowctrl' ? 'transmit' : 'receive';
      const flow = { type: 'flow-requested', direction, opcode, targetCsrc } as const;
      return limits === undefined ? flow : { ...flow, limits };
    }
    case 'reqtosend': {
      const { start, videoMask, audioMask } = packet;
      return { type: 'send-requested', start, videoMask, audioMask };
    }
    case 'muxctrl':
    case 'mediaopts':
    case 'echo':
      return undefined;
    default:
      return unreachable(packet, 'outputOf');
  }
}
