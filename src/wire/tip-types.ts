/**
 * The packets of WIRE.md 4 as values. Every packet is one RTCP APP packet (RFC 3550 §6.7, PT 204) named `xcts`; the
 * compound around it is somebody else's. SSRCs, CSRCs and masks are unsigned numbers; `ntp` is the 64-bit NTP timestamp.
 */
import type { Secret } from '../base/secret.js';

export const RTCP_APP = 204;
/** `xcts` in ASCII. */
export const TIP_NAME = 0x78637473;
/** Header of every TIP packet but MUXCTRL, and the whole of an ACK, bytes. */
export const TIP_HEADER_BYTES = 20;
export const SALT_BYTES = 14;

export type TipVersion = 6 | 7 | 8;

/** Subtypes of the packets that ask for something; an ACK is the subtype with bit 0x10 set, except for ECHO. */
export const TIP_SUBTYPES = {
  muxctrl: 1,
  notify: 3,
  echo: 4,
  txflowctrl: 5,
  rxflowctrl: 6,
  mediaopts: 7,
  refresh: 8,
  spimap: 12,
  reqtosend: 15,
} as const;
export const TIP_ACK_BIT = 0x10;

/** The names of the packets that ask; timestamps, repeats and order are kept for each of them separately. */
export type TipKind = keyof typeof TIP_SUBTYPES;

export const MUXCTRL_IS_FOCUS = 0x01;
export const MUXCTRL_SECURE = 0x01;
export const MUXCTRL_FEEDBACK = 0x02;
export const TLV_PADDING = 0;
export const TLV_PARTICIPANT_ID = 1;
export const TLV_SECURITY_ICON = 3;
export const TLV_SUITES = 0xe0;
export const MEDIAOPTS_VERSION = 3;
/** Ends the option words of a MEDIAOPTS block. */
export const MEDIAOPTS_BLOCK_END = 0xff000000;

/** SRTP suite and EKT cipher of a group parameter set (WIRE.md 4.3). */
export interface Suite {
  readonly suite: number;
  readonly cipher: number;
}

interface Stamped {
  readonly ssrc: number;
  readonly ntp: bigint;
}

export interface MuxCtrl extends Stamped {
  readonly type: 'muxctrl';
  readonly version: TipVersion;
  readonly secure: boolean;
  readonly feedback: boolean;
  /** The sender is the switch. */
  readonly isFocus: boolean;
  readonly numXmit: number;
  readonly numRcv: number;
  readonly conferenceId: bigint;
  /** Masks are 1 << position. */
  readonly transmitMask: number;
  readonly receiveMask: number;
  /** Version 6 has no room for this and what follows: 0 and absent there. */
  readonly numShared: number;
  readonly sharedMask: number;
  readonly participantId?: Uint8Array;
  readonly suites?: readonly Suite[];
}

export interface Notify extends Stamped {
  readonly type: 'notify';
  /** SECURITYICON: true only for the value 1; absent when the packet has no such TLV. */
  readonly secure?: boolean;
}

export interface Echo extends Stamped {
  readonly type: 'echo';
  /** 0 in a request; an answer repeats the request's `ntp` and has the time of receipt here. */
  readonly receiveNtp: bigint;
}

export const FLOW_START = 0;
export const FLOW_STOP = 1;
export const FLOW_H264_CONTROL = 2;

/** What version 8 adds to TXFLOWCTRL. */
export interface FlowLimits {
  readonly bitrate: number;
  readonly levelIncrement: number;
  readonly levelDecrement: number;
  readonly maxMbps: number;
  readonly maxFs: number;
  readonly maxFps: number;
}

export interface FlowCtrl extends Stamped {
  readonly type: 'txflowctrl' | 'rxflowctrl';
  readonly opcode: 0 | 1 | 2;
  readonly targetCsrc: number;
  /** TXFLOWCTRL of version 8 only. */
  readonly limits?: FlowLimits;
}

export interface MediaOptionsBlock {
  /** 0: every stream of the channel. */
  readonly ssrc: number;
  readonly transmit: number;
  readonly receive: number;
  /** Tag 0-254, value 24 bits. */
  readonly words: readonly { readonly tag: number; readonly value: number }[];
}

export interface MediaOpts extends Stamped {
  readonly type: 'mediaopts';
  readonly blocks: readonly MediaOptionsBlock[];
}

export const REFRESH_REQUIRE_IDR = 0;
export const REFRESH_REQUIRE_GDR = 1;
export const REFRESH_PREFER_IDR = 2;
export const REFRESH_PREFER_GDR = 3;

export interface Refresh extends Stamped {
  readonly type: 'refresh';
  readonly targetCsrc: number;
  /** One of the `REFRESH_` values; passed on as it came. */
  readonly flags: number;
}

export interface SpiMap extends Stamped, Suite {
  readonly type: 'spimap';
  readonly spiWord: number;
  /** 14 bytes. Whoever parsed the packet owns both secrets and wipes them. */
  readonly masterSalt: Secret;
  /** 16 bytes; 32 with EKT cipher 4. */
  readonly kek: Secret;
}

interface SendPositions extends Stamped {
  readonly start: boolean;
  readonly videoMask: number;
  readonly audioMask: number;
}

export interface RequestToSend extends SendPositions {
  readonly type: 'reqtosend';
}

export interface RequestToSendAck extends SendPositions {
  readonly type: 'reqtosend-ack';
}

/** An ACK of 20 bytes; ECHO is answered by ECHO and REQTOSEND by `reqtosend-ack`. `ntp` is the acknowledged packet's. */
export interface Ack extends Stamped {
  readonly type: 'ack';
  readonly of: Exclude<TipKind, 'echo' | 'reqtosend'>;
}

/** The packets that ask for something and are repeated until answered. */
export type TipRequest = MuxCtrl | Notify | Echo | FlowCtrl | MediaOpts | Refresh | SpiMap | RequestToSend;
export type TipPacket = TipRequest | RequestToSendAck | Ack;

/** KEK bytes of an EKT cipher (WIRE.md 4.3): 32 for cipher 4 (AESKWP-256), else 16. */
export function kekBytes(cipher: number): 16 | 32 {
  return cipher === 4 ? 32 : 16;
}
