import type { Secret } from '../base/secret.js';
import type { GroupSet } from './group-set.js';

export interface RtpProtection {
  /** Full tag (else Short): see {@link FullTagCadence}. */
  readonly full: boolean;
  /** Energy or refresh flag (WIRE.md 7), where it was negotiated. */
  readonly trailingByte?: number;
}

export class EktSender {
  constructor(options: {
    readonly ssrc: number;
    readonly sequence: number;
    readonly set: GroupSet;
    readonly key: Secret;
  }) {
    void options;
  }
  get ssrc(): number {
    throw new Error('not built yet');
  }
  /** The sequence number that the next packet gets. */
  get sequence(): number {
    throw new Error('not built yet');
  }
  get roc(): number {
    throw new Error('not built yet');
  }
  /** Rises by one whenever a new key comes into force. */
  get keyGeneration(): number {
    throw new Error('not built yet');
  }
  /** The SSRC and sequence number of `header` are filled in. */
  protectRtp(header: Uint8Array, payload: Uint8Array, protection: RtpProtection): Uint8Array {
    throw new Error(`not built yet ${header.length}${payload.length}${protection.full}`);
  }
  protectRtcp(compound: Uint8Array): Uint8Array {
    throw new Error(`not built yet ${compound.length}`);
  }
  /** A new key under the same or a newer set; it comes into force after `afterPackets` more packets and is announced by media RTCP until then. */
  rekey(set: GroupSet, key: Secret, afterPackets = 0): void {
    throw new Error(`not built yet ${set.spiWord}${key.length}${afterPackets}`);
  }
  wipe(): void {}
}
