import { Secret } from '../../src/base/secret.js';
import { sealEktRtcp, sealEktRtp } from '../../src/srtp/ekt-packet.js';
import { FieldKeys } from '../../src/srtp/field-keys.js';
import { sealFieldRtcp, sealFieldRtp } from '../../src/srtp/field-packet.js';
import { type GroupSet, InstalledSet, senderKeyBytes } from '../../src/srtp/group-set.js';
import { rocOf } from '../../src/srtp/index-estimate.js';
import { SenderKeys } from '../../src/srtp/sender-keys.js';
import { fieldPlaintext, fullField, shortField } from '../../src/wire/ekt-field.js';
import type { Random } from './random.js';

/** A sender key of the random traffic, by tag or by field. It does, now and then, what receivers must bear or refuse. */
export interface ScenarioKey {
  readonly spiWord: number;
  readonly epoch: number;
  readonly announcedByRtcp: boolean;
  /** Full where `isn` is given. */
  rtp(header: Uint8Array, payload: Uint8Array, index: number, isn: number | undefined, trailing?: number): Uint8Array;
  rtcp(compound: Uint8Array, index: number, full: { readonly roc: number; readonly isn: number }): Uint8Array;
}

export function scenarioKey(random: Random, set: GroupSet, ssrc: number, last: ScenarioKey | undefined): ScenarioKey {
  const installed = new InstalledSet(set);
  const { spiWord } = set;
  const key = new Secret(random.bytes(senderKeyBytes(installed.suite)));
  if (installed.suite === 1) {
    const wrapped = key.use((bytes) => installed.wrap(bytes));
    const keys = SenderKeys.derived(spiWord, wrapped, key, set.masterSalt);
    return {
      spiWord,
      epoch: 0,
      announcedByRtcp: true,
      rtp: (header, payload, index, isn, trailing) => {
        const bytes = sealEktRtp(keys, header, payload, index, isn, trailing);
        if (isn === undefined && random.oneIn(10)) bytes[bytes.length - 1] = random.u32() & 0xfe;
        return bytes;
      },
      rtcp: (compound, index, full) => sealEktRtcp(keys, compound, index, random.oneIn(8) ? undefined : full),
    };
  }
  const keys = new FieldKeys({ spiWord, wrapped: new Uint8Array(0), ssrc, roc: 0 }, key, set.masterSalt);
  // Epochs rise; they need not do so by one.
  const epoch = last?.spiWord === spiWord ? last.epoch + 1 + random.below(3) : random.below(3);
  const field = (index: number): Uint8Array => {
    // Rarely what is no sender's: an epoch that does not rise, the key of another SSRC.
    const [told, named] = [random.oneIn(60) ? random.below(3) : epoch, random.oneIn(200) ? ssrc ^ 0x100 : ssrc];
    const plain = key.use((bytes) => fieldPlaintext(bytes, named >>> 0, rocOf(index)));
    return fullField(installed.wrap(plain), spiWord, told);
  };
  const keyless = () =>
    random.oneIn(10) ? Uint8Array.from([...random.bytes(1 + random.below(30)), 0, 0, 0x03]) : shortField();
  return {
    spiWord,
    epoch,
    announcedByRtcp: false,
    rtp: (header, payload, index, isn, trailing) => {
      const bytes = isn === undefined ? keyless() : field(index);
      if (isn === undefined && bytes.length > 1) bytes[bytes.length - 2] = bytes.length;
      return sealFieldRtp(keys, header, payload, index, bytes, trailing);
    },
    rtcp: (compound, index) => sealFieldRtcp(keys, compound, index),
  };
}
