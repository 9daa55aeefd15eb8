import { type Result, refuse } from '../base/result.js';
import type { Secret } from '../base/secret.js';
import type { DropName } from '../wire/drop.js';

/** The DTLS-SRTP profiles of WIRE.md 2, as in dtls/association. */
export type ChannelProfile = 0x0001 | 0x0007 | 0x0008;

export interface ChannelKeys {
  readonly profile: ChannelProfile;
  /** Master key ‖ master salt for what this side sends; copied. */
  readonly local: Secret;
  /** For what the peer sends. */
  readonly remote: Secret;
}

/** SRTCP under the keys that DTLS-SRTP gave a channel. */
export class ChannelCrypto {
  constructor(keys: ChannelKeys) {
    void keys;
  }
  protectRtcp(compound: Uint8Array): Uint8Array {
    throw new Error(`not built yet ${compound.length}`);
  }
  unprotectRtcp(datagram: Uint8Array): Result<Uint8Array, DropName> {
    return refuse('malformed', `not built yet ${datagram.length}`);
  }
  wipe(): void {}
}
