import { beforeEach, describe, expect, it } from 'vitest';
import { concat, toHex } from '../../../src/base/bytes.js';
import { MAX_STREAMS_PER_CHANNEL } from '../../../src/base/limits.js';
import { Secret } from '../../../src/base/secret.js';
import { ChannelCrypto } from '../../../src/srtp/channel-crypto.js';
import type { EktSender } from '../../../src/srtp/ekt-sender.js';
import { type OracleParameters, type OracleVerdict, RelayOracle } from '../../../src/srtp/relay-oracle.js';
import { buildControlCompound, writeApp, writePli } from '../../../src/wire/rtcp-write.js';
import { writeRtpHeader } from '../../../src/wire/rtp.js';
import { groupSet, header, NOW, newReceiver, newSender, packet, senderReport } from '../../support/ekt.js';

const [ALICE, BOB, CAROL] = [1, 2, 3];
const parameters: OracleParameters = {
  transmitMask: 0b0110,
  trailingByte: false,
  level: 'end-to-end',
  ready: true,
  payloadTypes: [{ payloadType: 96, codec: 1 }],
};
const zero = (fill: number) => new Secret(new Uint8Array(30).fill(fill));
const keys = { profile: 1 as const, local: zero(1), remote: zero(2) };
const peerKeys = { profile: 1 as const, local: zero(2), remote: zero(1) };

let oracle: RelayOracle;
let sender: EktSender;

function open(channel: number, more: Partial<OracleParameters> = {}): void {
  oracle.openChannel({
    channel,
    conference: 1,
    member: channel,
    media: 'video',
    parameters: { ...parameters, ...more },
    keys,
  });
  oracle.setAcked(channel, groupSet(1).spiWord);
}

function feed(bytes: Uint8Array, channel = ALICE): OracleVerdict {
  return oracle.feed(channel, bytes, NOW);
}

function expectRefused(bytes: Uint8Array, drop: string, channel = ALICE): void {
  const before = oracle.describe();
  expect(feed(bytes, channel)).toEqual({ drop, outputs: [], withheld: [] });
  expect(oracle.describe()).toBe(before);
}

const from = (position: number, full = true) => sender.protectRtp(header(position), new Uint8Array(9), { full });

beforeEach(() => {
  oracle = new RelayOracle();
  oracle.installSet(1, groupSet(1));
  for (const channel of [ALICE, BOB, CAROL]) open(channel);
  oracle.setEdges(1, 'video', [
    { source: ALICE, position: 1, receiver: BOB, sink: 1 },
    { source: ALICE, position: 1, receiver: CAROL, sink: 2 },
  ]);
  sender = newSender();
});

describe('ingress', () => {
  it('sorts by the first byte', () => {
    expectRefused(Uint8Array.of(0), 'unknown_protocol');
    expectRefused(Uint8Array.of(200, 1), 'unknown_protocol');
    expect(feed(Uint8Array.of(22, 1))).toEqual({ dtls: true, outputs: [], withheld: [] });
  });

  it('asks for shape, multiplex word, readiness, set and key in this order', () => {
    const good = from(1);
    const bare = sender.protectRtp(
      writeRtpHeader({ payloadType: 96, sequence: 0, timestamp: 0, ssrc: 0 }),
      new Uint8Array(3),
      { full: true },
    );
    oracle.setParameters(ALICE, { ...parameters, ready: false });
    expectRefused(good.subarray(0, 20), 'malformed');
    expectRefused(bare, 'no_multiplex_word');
    expectRefused(good, 'not_ready');
    oracle.setParameters(ALICE, { ...parameters, level: 'hop-by-hop' });
    expectRefused(good, 'not_ready');
    oracle.setParameters(ALICE, parameters);
    expectRefused(packet(newSender({ set: groupSet(2) }), true), 'unknown_spi');
    expectRefused(from(1, false), 'no_key');
    expect(feed(good).drop).toBeUndefined();
    expectRefused(good, 'replayed');
  });

  it('a set that the channel has not ACKed is unknown to it', () => {
    oracle.installSet(1, groupSet(2));
    const bytes = packet(newSender({ set: groupSet(2) }), true);
    oracle.setAcked(BOB, groupSet(2).spiWord);
    expectRefused(bytes, 'unknown_spi');
    oracle.setAcked(ALICE, groupSet(2).spiWord);
    expect(feed(bytes).drop).toBeUndefined();
  });

  it('without channel keys nothing is ready', () => {
    oracle.openChannel({ channel: 9, conference: 1, member: 9, media: 'video', parameters });
    expectRefused(from(1), 'not_ready', 9);
    expectRefused(sender.protectRtcp(senderReport()), 'not_ready', 9);
  });

  it('ssrc_owned: a verified packet does not move an SSRC to another channel, until the owner closes', () => {
    const [first, second, third] = [from(1), from(1), from(1)];
    expect(feed(first).drop).toBeUndefined();
    expectRefused(second, 'ssrc_owned', BOB);
    expectRefused(sender.protectRtcp(senderReport()), 'ssrc_owned', BOB);
    oracle.closeChannel(ALICE);
    expect(feed(third, BOB).drop).toBeUndefined();
  });

  it('bad_position: 0, outside the transmit mask, or another than the first one', () => {
    oracle.setParameters(ALICE, { ...parameters, transmitMask: 0b0111 });
    expectRefused(from(0), 'bad_position');
    expectRefused(from(3), 'bad_position');
    expect(feed(from(2)).drop).toBeUndefined();
    expectRefused(from(1), 'bad_position');
    expect(feed(from(2)).drop).toBeUndefined();
  });

  it('a wrong tag is seen before owner and position', () => {
    const bytes = from(3);
    bytes[20]! ^= 1;
    expectRefused(bytes, 'auth_failed');
  });

  it('stream_limit: 16 streams a channel', () => {
    for (let i = 0; i < MAX_STREAMS_PER_CHANNEL; i++) {
      expect(feed(packet(newSender({ ssrc: 0x100 * i + 1 }), true)).drop).toBeUndefined();
    }
    expectRefused(packet(newSender({ ssrc: 0xff01 }), true), 'stream_limit');
    expectRefused(newSender({ ssrc: 0xff01 }).protectRtcp(senderReport(0xff01)), 'stream_limit');
  });

  it('a trailing byte that was negotiated must be there', () => {
    oracle.setParameters(ALICE, { ...parameters, trailingByte: true });
    expectRefused(sender.protectRtp(header(1), new Uint8Array(0), { full: true }), 'malformed');
    const bytes = sender.protectRtp(header(1), new Uint8Array(0), { full: true, trailingByte: 77 });
    const verdict = feed(bytes);
    expect(verdict.trailingByte).toBe(77);
    expect(verdict.outputs[0]!.bytes.length).toBe(bytes.length - 1);
  });
});

describe('egress', () => {
  it('rewrites sink and payload type, and every receiver can read it', () => {
    oracle.setParameters(CAROL, { ...parameters, payloadTypes: [{ payloadType: 110, codec: 1 }] });
    const bytes = packet(sender, true);
    const { outputs } = feed(bytes);
    expect(outputs.map((output) => output.receiver)).toEqual([BOB, CAROL]);
    expect(toHex(outputs[0]!.bytes)).toBe(toHex(bytes));
    const got = newReceiver().receiveRtp(outputs[1]!.bytes, NOW);
    expect(got).toMatchObject({ ok: true, value: { payloadType: 110, csrcs: [0x12] } });
    const differing = [...bytes.keys()].filter((i) => bytes[i] !== outputs[1]!.bytes[i]);
    expect(differing.filter((i) => i < bytes.length - 34 || i >= bytes.length - 24)).toEqual([1, 15]);
  });

  it('withholds below the level, without the set, when not ready, and without a payload type, each by its name', () => {
    oracle.setParameters(BOB, { ...parameters, level: 'hop-by-hop' });
    expect(feed(from(1))).toMatchObject({
      outputs: [{ receiver: CAROL }],
      withheld: [{ receiver: BOB, drop: 'below_level' }],
    });
    oracle.setConference(1, { requiredLevel: 'hop-by-hop' });
    oracle.setParameters(BOB, { ...parameters, level: 'unknown' });
    expect(feed(from(1)).withheld).toEqual([{ receiver: BOB, drop: 'below_level' }]);
    oracle.setParameters(BOB, { ...parameters, ready: false });
    oracle.setParameters(CAROL, { ...parameters, payloadTypes: [] });
    expect(feed(from(1)).withheld).toEqual([
      { receiver: BOB, drop: 'not_ready' },
      { receiver: CAROL, drop: 'no_payload_type' },
    ]);
    oracle.installSet(1, groupSet(2));
    oracle.setAcked(ALICE, groupSet(2).spiWord);
    for (const channel of [BOB, CAROL]) oracle.setParameters(channel, parameters);
    sender.rekey(groupSet(2), new Secret(new Uint8Array(16)));
    expect(feed(from(1)).withheld.map((entry) => entry.drop)).toEqual(['set_not_installed', 'set_not_installed']);
    expect(feed(sender.protectRtcp(senderReport())).withheld).toHaveLength(2);
  });

  it('media RTCP goes unchanged to the other members of the medium', () => {
    oracle.openChannel({ channel: 11, conference: 1, member: ALICE, media: 'video', parameters, keys });
    oracle.openChannel({ channel: 12, conference: 1, member: BOB, media: 'audio', parameters, keys });
    const bytes = sender.protectRtcp(senderReport());
    const { outputs } = feed(bytes);
    expect(outputs.map((output) => [output.receiver, toHex(output.bytes)])).toEqual([
      [BOB, toHex(bytes)],
      [CAROL, toHex(bytes)],
    ]);
    expectRefused(bytes, 'replayed');
  });
});

describe('RTCP under channel keys (WIRE.md 3)', () => {
  const peer = () => new ChannelCrypto(peerKeys);
  const tip = (ssrc: number) => writeApp(4, ssrc, 'xcts', new Uint8Array(16));

  it('TIP is believed from a control SSRC alone; a media SSRC may send reports and feedback', () => {
    const crypto = peer();
    const control = buildControlCompound({ ssrc: 0x500, cname: 'a' }, [tip(0x500)]);
    expect(feed(crypto.protectRtcp(control))).toMatchObject({ control: { rtcp: control, tipAllowed: true } });
    const feedback = buildControlCompound({ ssrc: 0x501, cname: 'a' }, [writePli(0x501, 7)]);
    expect(feed(crypto.protectRtcp(feedback))).toMatchObject({ control: { rtcp: feedback, tipAllowed: false } });
    expectRefused(crypto.protectRtcp(buildControlCompound({ ssrc: 0x501, cname: 'a' }, [tip(0x501)])), 'malformed');
    const report = feed(crypto.protectRtcp(senderReport(0x501)));
    expect([report.control, report.outputs]).toEqual([undefined, []]);
    expect(report.drop).toBeDefined();
  });

  it('works before the endpoint is ready, and is taken once', () => {
    oracle.setParameters(ALICE, { ...parameters, ready: false });
    const bytes = peer().protectRtcp(buildControlCompound({ ssrc: 0x500, cname: 'a' }, [tip(0x500)]));
    expect(feed(bytes).control).toBeDefined();
    expectRefused(bytes, 'replayed');
    expectRefused(sender.protectRtcp(senderReport()), 'not_ready');
  });

  it('feedback in the name of an SSRC of another channel is refused', () => {
    expect(feed(packet(newSender({ ssrc: 0x501 }), true), BOB).drop).toBeUndefined();
    const feedback = buildControlCompound({ ssrc: 0x501, cname: 'a' }, [writePli(0x501, 7)]);
    expectRefused(peer().protectRtcp(feedback), 'ssrc_owned');
  });

  it('a compound that is none is refused, though it verifies', () => {
    expectRefused(peer().protectRtcp(concat(senderReport(0x500), new Uint8Array(3))), 'malformed');
  });
});
