/** H.264 in RTP, packetization mode 1 (RFC 6184), the receiving half: payloads to whole access units. */
import {
  MAX_ACCESS_UNIT_BYTES,
  MAX_NALS_PER_ACCESS_UNIT,
  MAX_PARAMETER_SET_BYTES,
  MAX_PARAMETER_SETS_KEPT,
} from '../../base/limits.js';
import { isSlice, NAL, nalType } from './annexb.js';
import { FU_A, STAP_A } from './h264-payload.js';
import { parameterSetId } from './sps.js';
import type { TimedAccessUnit } from './types.js';

export interface H264Packet {
  /** Kept until its access unit is done: the caller must not reuse the bytes. */
  readonly payload: Uint8Array;
  readonly marker: boolean;
  /** 90 kHz, u32. */
  readonly timestamp: number;
  /** Sequence number without wraps (ReorderBuffer gives it). */
  readonly extendedSequence: number;
}

export type H264PayloadRefusal =
  | 'out_of_order'
  | 'malformed'
  | 'unsupported_packetization'
  | 'broken_fragment'
  | 'too_large';

export interface DepacketizerStep {
  /** The access units that this packet completed, none to two. */
  readonly accessUnits: readonly TimedAccessUnit[];
  /** Why this packet's content was not taken; its access unit is then dropped. */
  readonly refused?: H264PayloadRefusal;
}

export interface DepacketizerCounters {
  /** Access units given out. */
  delivered: number;
  /** Access units dropped because a packet was missing or refused. */
  damaged: number;
  /** Whole access units dropped because no IDR had come since the last damage. */
  undecodable: number;
}

interface Assembly {
  readonly timestamp: number;
  nals: Uint8Array[];
  bytes: number;
  /** Parts of the NAL unit that FU-A packets are carrying; undefined: none is open. */
  fragment: Uint8Array[] | undefined;
  /** Nothing of the beginning can be missing. */
  startKnown: boolean;
  damaged: boolean;
}

/**
 * Gives whole access units only, and after any loss the next one is an IDR whose parameter sets are known, so that what
 * comes out decodes without a fault. Holds one access unit, MAX_ACCESS_UNIT_BYTES at most.
 */
export class H264Depacketizer {
  readonly counters: DepacketizerCounters = { delivered: 0, damaged: 0, undecodable: 0 };
  readonly #parameterSets = new Map<string, Uint8Array>();
  #last: number | undefined;
  #current: Assembly | undefined;
  #awaitingIdr = true;

  /** True: nothing is delivered before an IDR comes, so the caller does well to ask for one (REFRESH, PLI). */
  get awaitingIdr(): boolean {
    return this.#awaitingIdr;
  }

  /** The newest parameter set of each id, SPS before PPS. */
  parameterSets(): Uint8Array[] {
    return [...this.#parameterSets.values()].sort((a, b) => nalType(a) - nalType(b));
  }

  /** Takes the next packet in sequence order; a gap in `extendedSequence` means that the packets between are lost. */
  push(packet: H264Packet): DepacketizerStep {
    if (this.#last !== undefined && packet.extendedSequence <= this.#last) {
      return { accessUnits: [], refused: 'out_of_order' };
    }
    const gap = this.#last === undefined || packet.extendedSequence !== this.#last + 1;
    this.#last = packet.extendedSequence;
    const accessUnits: TimedAccessUnit[] = [];
    if (gap) this.#lose();
    // RFC 6184 §5.1: the marker may be missing; then the timestamp tells where a picture ends.
    else if (this.#current !== undefined && this.#current.timestamp !== packet.timestamp) this.#finish(accessUnits);
    this.#current ??= {
      timestamp: packet.timestamp,
      nals: [],
      bytes: 0,
      fragment: undefined,
      startKnown: !gap,
      damaged: false,
    };
    const refused = this.#take(this.#current, packet.payload);
    if (refused !== undefined) damage(this.#current);
    if (packet.marker) this.#finish(accessUnits);
    return refused === undefined ? { accessUnits } : { accessUnits, refused };
  }

  #lose(): void {
    if (this.#current !== undefined) this.counters.damaged++;
    this.#current = undefined;
    this.#awaitingIdr = true;
  }

  #finish(accessUnits: TimedAccessUnit[]): void {
    const unit = this.#current;
    this.#current = undefined;
    if (unit === undefined) return;
    if (unit.damaged || unit.fragment !== undefined) {
      this.counters.damaged++;
      this.#awaitingIdr = true;
      return;
    }
    if (!unit.nals.some((nal) => isSlice(nalType(nal)))) return; // parameter sets sent by themselves
    const idr = unit.nals.some((nal) => nalType(nal) === NAL.idrSlice);
    if (this.#awaitingIdr && !(idr && unit.startKnown && this.#hasParameterSets())) {
      if (unit.startKnown) this.counters.undecodable++;
      else this.counters.damaged++;
      return;
    }
    this.#awaitingIdr = false;
    this.counters.delivered++;
    accessUnits.push({ nals: unit.nals, idr, timestamp: unit.timestamp });
  }

  #hasParameterSets(): boolean {
    const types = new Set(this.parameterSets().map(nalType));
    return types.has(NAL.sps) && types.has(NAL.pps);
  }

  #take(unit: Assembly, payload: Uint8Array): H264PayloadRefusal | undefined {
    if (payload.length === 0 || (payload[0]! & 0x80) !== 0) return 'malformed'; // RFC 6184 §5.3: F is a known bit error
    const type = nalType(payload);
    if (type === FU_A) return this.#takeFragment(unit, payload);
    if (unit.fragment !== undefined) return 'broken_fragment'; // §5.8: fragments follow one another without a stranger
    if (type === STAP_A) return this.#takeAggregate(unit, payload);
    if (type >= 1 && type <= 23) return this.#add(unit, payload);
    return 'unsupported_packetization'; // STAP-B, MTAP, FU-B are mode 2 (§6.4); 0, 30 and 31 are reserved
  }

  #takeAggregate(unit: Assembly, payload: Uint8Array): H264PayloadRefusal | undefined {
    if (payload.length === 1) return 'malformed';
    for (let at = 1; at < payload.length; ) {
      if (at + 2 > payload.length) return 'malformed';
      const size = (payload[at]! << 8) | payload[at + 1]!;
      const nal = payload.subarray(at + 2, at + 2 + size);
      if (size === 0 || nal.length < size) return 'malformed';
      const type = nalType(nal);
      if (type < 1 || type > 23 || (nal[0]! & 0x80) !== 0) return 'malformed'; // §5.7: no aggregate inside an aggregate
      const refused = this.#add(unit, nal);
      if (refused !== undefined) return refused;
      at += 2 + size;
    }
    return undefined;
  }

  #takeFragment(unit: Assembly, payload: Uint8Array): H264PayloadRefusal | undefined {
    if (payload.length < 2) return 'malformed';
    const start = (payload[1]! & 0x80) !== 0;
    const end = (payload[1]! & 0x40) !== 0;
    const type = payload[1]! & 0x1f;
    if ((start && end) || type < 1 || type > 23) return 'malformed'; // RFC 6184 §5.8
    if (start !== (unit.fragment === undefined)) return 'broken_fragment';
    const header = (payload[0]! & 0x60) | type;
    const fragment = unit.fragment ?? [Uint8Array.of(header)];
    if (fragment[0]![0] !== header) return 'broken_fragment';
    const part = payload.subarray(2); // may be empty (§5.8)
    unit.bytes += part.length;
    if (unit.bytes > MAX_ACCESS_UNIT_BYTES) return 'too_large';
    if (part.length > 0) fragment.push(part);
    unit.fragment = fragment;
    if (!end) return undefined;
    unit.fragment = undefined;
    const size = fragment.reduce((sum, p) => sum + p.length, 0);
    const nal = new Uint8Array(size);
    let at = 0;
    for (const p of fragment) {
      nal.set(p, at);
      at += p.length;
    }
    unit.bytes -= size - 1;
    return this.#add(unit, nal);
  }

  #add(unit: Assembly, nal: Uint8Array): H264PayloadRefusal | undefined {
    this.#learn(nal);
    if (unit.damaged) return undefined;
    const type = nalType(nal);
    // An access unit begins with its delimiter or its SPS if it has one (H.264 §7.4.1.2.3), so nothing is missing before it.
    if (unit.nals.length === 0 && (type === NAL.accessUnitDelimiter || type === NAL.sps)) unit.startKnown = true;
    unit.bytes += nal.length;
    if (unit.bytes > MAX_ACCESS_UNIT_BYTES || unit.nals.length >= MAX_NALS_PER_ACCESS_UNIT) return 'too_large';
    unit.nals.push(nal);
    return undefined;
  }

  #learn(nal: Uint8Array): void {
    const id = parameterSetId(nal);
    if (id === undefined || nal.length > MAX_PARAMETER_SET_BYTES) return;
    const key = `${nalType(nal)}/${id}`;
    if (!this.#parameterSets.has(key) && this.#parameterSets.size >= MAX_PARAMETER_SETS_KEPT) return;
    this.#parameterSets.set(key, Uint8Array.from(nal));
  }
}

/** Lets go of the bytes; the rest of the access unit is read past. */
function damage(unit: Assembly): void {
  unit.damaged = true;
  unit.nals = [];
  unit.fragment = undefined;
}
