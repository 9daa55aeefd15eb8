/** Reads the event batches of schema.ts. They come from our own native code: a batch that does not fit is our bug. */
import type { Address } from '../base/ids.js';
import { REPORT_BLOCK_BYTES, readReportBlocks } from '../wire/rtcp.js';
import { DROP_NAMES, type IceNews, type RelayEvent } from './contract.js';
import { EVENTS, ICE_NEWS } from './schema.js';

const ICE_NEWS_BY_NUMBER = new Map<number, IceNews>(
  Object.entries(ICE_NEWS).map(([name, number]) => [number, name as IceNews]),
);

class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get more(): boolean {
    return this.#at < this.#bytes.length;
  }

  u8(): number {
    return this.#view.getUint8(this.#move(1));
  }

  i8(): number {
    return this.#view.getInt8(this.#move(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#move(2));
  }

  u32(): number {
    return this.#view.getUint32(this.#move(4));
  }

  address(): Address {
    return { address: Buffer.from(this.bytes(this.u8())).toString('latin1'), port: this.u16() };
  }

  bytes(length: number): Uint8Array {
    const from = this.#move(length);
    if (this.#at > this.#bytes.length) throw new Error('relay event batch is cut short');
    return this.#bytes.slice(from, this.#at);
  }

  #move(by: number): number {
    const from = this.#at;
    this.#at += by;
    return from;
  }
}

function readEvent(r: Reader): RelayEvent {
  const type = r.u8();
  const channel = r.u32();
  switch (type) {
    case EVENTS.dtls:
      return { type: 'dtls', channel, from: r.address(), bytes: r.bytes(r.u16()) };
    case EVENTS.control: {
      const tipAllowed = r.u8() === 1;
      return { type: 'control', channel, tipAllowed, rtcp: r.bytes(r.u16()) };
    }
    case EVENTS.bound:
      return { type: 'bound', channel, ssrc: r.u32(), position: r.u8() };
    case EVENTS.activity:
      return { type: 'activity', channel, position: r.u8(), energy: r.i8(), packets: r.u32() };
    case EVENTS.refresh:
      return { type: 'refresh', channel, position: r.u8() };
    case EVENTS.switched:
      return { type: 'switched', receiver: channel, sink: r.u8(), source: r.u32(), position: r.u8() };
    case EVENTS.refusals: {
      const drop = DROP_NAMES[r.u8()];
      if (drop !== 'auth_failed' && drop !== 'ssrc_owned' && drop !== 'bad_position') {
        throw new Error('relay event names a drop that has no summary');
      }
      return { type: 'refusals', channel, drop, count: r.u32(), ssrc: r.u32() };
    }
    case EVENTS.reports: {
      const count = r.u8();
      return { type: 'reports', channel, reports: readReportBlocks(r.bytes(REPORT_BLOCK_BYTES * count), 0, count) };
    }
    case EVENTS.ice: {
      const what = ICE_NEWS_BY_NUMBER.get(r.u8());
      if (what === undefined) throw new Error('unknown news of ICE');
      return { type: 'ice', channel, what, address: r.address() };
    }
    case EVENTS.claimed:
      return { type: 'claimed', channel, ssrc: r.u32(), owner: r.u32() };
    default:
      throw new Error(`unknown relay event ${type}`);
  }
}

/** @param batch events one after the other; byte fields of the result are copies. */
export function readEvents(batch: Uint8Array): RelayEvent[] {
  const r = new Reader(batch);
  const events: RelayEvent[] = [];
  while (r.more) events.push(readEvent(r));
  return events;
}
