/** The native relay in field mode (suites 17 and 18, WIRE.md 6): vectors bit for bit, and what it must never do. */
import { describe, expect, it } from 'vitest';
import { concat, fromHex, toHex } from '../../../src/base/bytes.js';
import { Secret } from '../../../src/base/secret.js';
import { RelayCore } from '../../../src/relay/harness.js';
import { FieldKeys } from '../../../src/srtp/field-keys.js';
import { sealFieldRtp } from '../../../src/srtp/field-packet.js';
import { type GroupSet, InstalledSet } from '../../../src/srtp/group-set.js';
import { packetIndex } from '../../../src/srtp/index-estimate.js';
import { classify } from '../../../src/wire/demux.js';
import { fieldPlaintext, fullField, shortField, splitEktField } from '../../../src/wire/ekt-field.js';
import { parseRtpHeader, writeRtpHeader } from '../../../src/wire/rtp.js';
import {
  fieldSet,
  groupSet,
  NOW,
  newReceiver,
  newSender,
  packet,
  SSRC,
  senderKey,
  senderReport,
} from '../../support/ekt.js';
import { scenario } from '../../support/packets.js';
import { vectors } from '../../support/vectors.js';
import { addMember, CONFERENCE, PARAMETERS } from './room.js';

const AEAD_TAG_BYTES = 16;

interface Vectors {
  fields: { kek: string; masterKey: string; spi: number }[];
  switched: { name: string; masterKey: string; masterSalt: string; sink: number; in: string; out: string }[];
}

/** Channel 1 sends, 2 receives at `sink`; the vectors are of the audio kind in having no switch-over to wait for. */
function room(set: GroupSet, sink = 1, trailingByte = false): RelayCore {
  const core = new RelayCore();
  core.setConference(CONFERENCE, { requiredLevel: 'end-to-end' });
  for (const id of [1, 2]) addMember(core, id, 'audio', { ...PARAMETERS, trailingByte });
  expect(core.installSet(CONFERENCE, set)).toBe(true);
  for (const id of [1, 2]) core.setAcked(id, set.spiWord);
  core.setRoutes(CONFERENCE, 'audio', [{ source: 1, position: 1, receiver: 2, sink }]);
  core.take();
  return core;
}

function refused(core: RelayCore, bytes: Uint8Array, reason: string): void {
  const before = core.stateHash();
  expect(core.feed(1, bytes, 0).drop).toBe(reason);
  expect(core.stateHash()).toBe(before);
}

const relayed = (core: RelayCore, bytes: Uint8Array): Uint8Array => {
  const { drop, outputs } = core.feed(1, bytes, 0);
  expect(drop).toBeUndefined();
  return outputs[0]!.bytes;
};

/** What somebody who holds a set and a key can seal. */
function sealed(key: number, sequence: number, field: Uint8Array, ssrc = SSRC): Uint8Array {
  const named = { spiWord: fieldSet(1).spiWord, wrapped: new Uint8Array(0), ssrc, roc: 0 };
  const keys = new FieldKeys(named, senderKey(key), fieldSet(1).masterSalt);
  const own = writeRtpHeader({ payloadType: 96, sequence, timestamp: 7, ssrc, csrcs: [0x11] });
  return sealFieldRtp(keys, own, Uint8Array.of(1, 2, 3), packetIndex(0, sequence), field);
}

function fieldOf(key: number, epoch: number, ssrc = SSRC): Uint8Array {
  const plain = senderKey(key).use((bytes) => fieldPlaintext(bytes, ssrc, 0));
  return fullField(new InstalledSet(fieldSet(1)).wrap(plain), fieldSet(1).spiWord, epoch);
}

describe('ekt-field vectors', () => {
  const { fields, switched } = vectors<Vectors>('ekt-field');
  const setOf = (v: Vectors['switched'][number]): GroupSet => {
    const field = fields.find((f) => f.masterKey === v.masterKey)!;
    const suite = field.kek.length === 64 ? 18 : 17;
    const masterSalt = new Secret(fromHex(`${v.masterSalt}0000`));
    return { spiWord: field.spi, suite, cipher: suite === 17 ? 3 : 4, kek: new Secret(fromHex(field.kek)), masterSalt };
  };

  it.each(switched)('$name', (v) => {
    const core = room(setOf(v), v.sink, true);
    // A Short field needs the key that the Full one of the same sender brings.
    if (v.name.includes('Short')) relayed(core, fromHex(switched[0]!.in));
    expect(toHex(relayed(core, fromHex(v.in)))).toBe(v.out);
    refused(core, fromHex(v.in), 'replayed');
  });
});

describe('a payload changed on the way', () => {
  it('before the relay: it cannot know and sends it on, and the receiver refuses it', () => {
    const [core, sender, receiver] = [room(fieldSet(1), 2), newSender({ set: fieldSet(1) }), newReceiver(fieldSet(1))];
    const bytes = packet(sender, true);
    bytes[17]! ^= 1;
    const before = receiver.describe();
    expect(receiver.receiveRtp(relayed(core, bytes), NOW)).toMatchObject({ ok: false, reason: 'auth_failed' });
    expect(receiver.describe()).toBe(before);
    expect(receiver.receiveRtp(relayed(core, packet(sender, true)), NOW).ok).toBe(true);
  });

  it('header, AEAD tag, trailing byte, route tag, field: no bit of them passes the relay', () => {
    const core = room(fieldSet(1), 1, true);
    const sender = newSender({ set: fieldSet(1) });
    const seal = (full: boolean) =>
      sender.protectRtp(
        writeRtpHeader({ payloadType: 96, sequence: 0, timestamp: 1, ssrc: 0, csrcs: [0x11] }),
        new Uint8Array(20),
        { full, trailingByte: 9 },
      );
    for (const full of [true, false]) {
      const bytes = seal(full);
      for (let bit = 0; bit < 8 * bytes.length; bit++) {
        const at = bit >>> 3;
        if (at >= 16 && at < 36) continue; // the payload
        const forged = Uint8Array.from(bytes);
        forged[at]! ^= 1 << (bit & 7);
        const before = core.stateHash();
        expect([bit, core.feed(1, forged, 0).drop === undefined]).toEqual([bit, false]);
        expect(core.stateHash()).toBe(before);
      }
      expect(relayed(core, bytes).length).toBe(bytes.length - 1);
    }
  });
});

describe('fields', () => {
  it('spliced to another SSRC', () => {
    const core = room(fieldSet(1));
    refused(core, sealed(1, 5, fieldOf(1, 0), SSRC ^ 0x100), 'auth_failed');
    relayed(core, sealed(1, 5, fieldOf(1, 0, SSRC ^ 0x100), SSRC ^ 0x100));
  });

  it('replay of an epoch', () => {
    const core = room(fieldSet(1));
    relayed(core, sealed(1, 10, fieldOf(1, 3)));
    for (const epoch of [3, 2, 0]) refused(core, sealed(2, 11, fieldOf(2, epoch)), 'too_old');
    relayed(core, sealed(2, 11, fieldOf(2, 4)));
    refused(core, sealed(1, 12, fieldOf(1, 3)), 'too_old');
  });

  it('an epoch raised on the way is not remembered, though the wrapped key is', () => {
    const core = room(fieldSet(1));
    const honest = sealed(1, 10, fieldOf(1, 0));
    const raised = Uint8Array.from(honest);
    raised[raised.length - 5] = 0xff;
    refused(core, raised, 'auth_failed');
    relayed(core, honest);
    relayed(core, sealed(2, 11, fieldOf(2, 1)));
  });

  it('of an unknown type go on as they are', () => {
    const core = room(fieldSet(1), 2);
    relayed(core, sealed(1, 10, fieldOf(1, 0)));
    const unknown = concat(new Uint8Array(9), Uint8Array.of(0, 12, 0x42));
    const out = relayed(core, sealed(1, 11, unknown));
    expect(toHex(out.subarray(-12))).toBe(toHex(unknown));
    expect(newReceiver(fieldSet(1)).receiveRtp(out, NOW)).toMatchObject({ ok: false, reason: 'no_key' });
  });
});

describe('one mode does not take the other for its own', () => {
  it.each([
    ['17', fieldSet(1), groupSet(1)],
    ['1', groupSet(1), fieldSet(1)],
  ] as const)('a conference of suite %s refuses the other mode’s packets and sets', (_suite, own, other) => {
    const core = room(own);
    const [friend, stranger] = [newSender({ set: own }), newSender({ set: other, ssrc: SSRC ^ 0x200 })];
    relayed(core, packet(friend, true));
    for (const full of [true, false]) {
      const before = core.stateHash();
      expect(core.feed(1, packet(stranger, full), 0).drop).toBeDefined();
      expect(core.stateHash()).toBe(before);
    }
    expect(core.installSet(CONFERENCE, { ...other, spiWord: 0x2001 })).toBe(false);
    expect(core.installSet(CONFERENCE, { ...own, spiWord: 0x2001 })).toBe(true);
  });
});

describe('media RTCP', () => {
  it('goes on as it came for a bound SSRC, and for no other', () => {
    const [core, sender] = [room(fieldSet(1)), newSender({ set: fieldSet(1) })];
    refused(core, sender.protectRtcp(senderReport()), 'no_key');
    relayed(core, packet(sender, true));
    const report = sender.protectRtcp(senderReport());
    for (let at = 4; at < report.length; at++) {
      const forged = Uint8Array.from(report);
      forged[at]! ^= 1;
      expect(core.feed(1, forged, 0).drop, `byte ${at}`).toBeDefined();
    }
    expect(toHex(relayed(core, report))).toBe(toHex(report));
    refused(core, report, 'replayed');
    refused(core, sealed(1, 1000, shortField()), 'replayed');
  });
});

describe('the GCM tag', () => {
  it.each([17, 18] as const)(
    'suite %i: no AEAD tag or ciphertext ever differs between what came in and what went out',
    (suite) => {
      const s = scenario(3, suite);
      const core = new RelayCore();
      core.setConference(s.conference, { requiredLevel: 'end-to-end' });
      for (const { channel, member, media, profile, local, remote, parameters } of s.channels) {
        core.openChannel({ channel, conference: s.conference, member, media, transport: 'dtls' });
        core.provePeer(channel, { address: '127.0.0.1', port: 10_000 + channel });
        core.setChannelKeys(channel, { profile, local: Secret.copyOf(local), remote: Secret.copyOf(remote) });
        core.setParameters(channel, { tip: true, ...parameters, trailingByte: false });
      }
      for (const media of ['audio', 'video'] as const) core.setRoutes(s.conference, media, s.edges[media]);
      for (const { channel, parameters } of s.channels) core.setParameters(channel, { tip: true, ...parameters });
      const body = (bytes: Uint8Array, trailing: number): string => {
        const header = parseRtpHeader(bytes);
        const field = splitEktField(bytes, 0, suite);
        if (!header.ok || !field.ok) throw new Error('the relay let a packet through that does not parse');
        const end = field.value.at - trailing;
        expect(end - header.value.length).toBeGreaterThanOrEqual(AEAD_TAG_BYTES);
        return toHex(bytes.subarray(header.value.length, end));
      };
      let [variants, rewritten] = [0, 0];
      for (const step of s.steps(4_000)) {
        if (step.type === 'installSet') core.installSet(s.conference, step.set);
        else if (step.type === 'acked') core.setAcked(step.channel, step.spiWord);
        else if (step.type === 'dropSet') core.dropSet(s.conference, step.spiWord);
        else {
          const { outputs } = core.feed(step.channel, step.bytes, step.now);
          if (classify(step.bytes) !== 'rtp' || outputs.length === 0) continue;
          const trailing = s.channels.find((c) => c.channel === step.channel)!.parameters.trailingByte ? 1 : 0;
          const came = body(step.bytes, trailing);
          for (const { bytes } of outputs) {
            expect(body(bytes, 0)).toBe(came);
            variants++;
            if (bytes[15] !== step.bytes[15] || bytes[1] !== step.bytes[1]) rewritten++;
          }
        }
      }
      core.close();
      expect(variants).toBeGreaterThan(3_000);
      expect(rewritten).toBeGreaterThan(1_000);
    },
  );
});
