import { concat } from '../../src/base/bytes.js';
import { Secret } from '../../src/base/secret.js';
import { EktReceiver } from '../../src/srtp/ekt-receiver.js';
import { EktSender } from '../../src/srtp/ekt-sender.js';
import { type GroupSet, senderKeyBytes } from '../../src/srtp/group-set.js';
import { writeSdesCname, writeSr } from '../../src/wire/rtcp-write.js';
import { writeRtpHeader } from '../../src/wire/rtp.js';

export const SSRC = 0xcafebabe;
export const NOW = 1_700_000_000_000;

/** A set that follows from its number; 1, 2, 3 are ever newer. */
export function groupSet(n: number, cipher = 1): GroupSet {
  return {
    spiWord: 0x1001 + 2 * n,
    suite: 1,
    cipher,
    kek: new Secret(new Uint8Array(16).fill(0x10 + n)),
    masterSalt: new Secret(new Uint8Array(14).fill(0x20 + n)),
  };
}

/** The same for the suites whose keys ride in fields. */
export function fieldSet(n: number, suite: 17 | 18 = 17): GroupSet {
  const kek = new Secret(new Uint8Array(senderKeyBytes(suite)).fill(0x10 + n));
  return { ...groupSet(n), suite, cipher: suite === 17 ? 3 : 4, kek };
}

export function senderKey(n: number, bytes = 16): Secret {
  return new Secret(Uint8Array.from({ length: bytes }, (_, i) => 16 * n + i));
}

export function newSender(options: { ssrc?: number; sequence?: number; set?: GroupSet; key?: number } = {}): EktSender {
  const set = options.set ?? groupSet(1);
  return new EktSender({
    ssrc: options.ssrc ?? SSRC,
    sequence: options.sequence ?? 1000,
    set,
    key: senderKey(options.key ?? 1, senderKeyBytes(set.suite)),
  });
}

export function newReceiver(...sets: GroupSet[]): EktReceiver {
  const receiver = new EktReceiver();
  for (const set of sets.length > 0 ? sets : [groupSet(1)]) {
    if (!receiver.addSet(set).ok) throw new Error('set refused');
  }
  return receiver;
}

/** A header with the multiplex word of position `position`. */
export function header(position = 1): Uint8Array {
  return writeRtpHeader({ payloadType: 96, sequence: 0, timestamp: 7, ssrc: 0, csrcs: [(position << 4) | position] });
}

export function packet(sender: EktSender, full: boolean, text = 'payload'): Uint8Array {
  return sender.protectRtp(header(), new TextEncoder().encode(text), { full });
}

export function senderReport(ssrc = SSRC): Uint8Array {
  const sr = writeSr({ ssrc, ntp: 1n, rtpTimestamp: 2, packets: 3, octets: 4, reports: [] });
  return concat(sr, writeSdesCname(ssrc, 'a@b'));
}

/** "ok" or the reason of refusal. */
export function verdict(result: { ok: true } | { ok: false; reason: string }): string {
  return result.ok ? 'ok' : result.reason;
}
