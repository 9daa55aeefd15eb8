import { type Result, refuse } from '../base/result.js';
import type { DropName } from '../wire/drop.js';
import type { RtpHeader } from '../wire/rtp.js';
import type { GroupSet } from './group-set.js';

export interface ReceivedRtp {
  readonly ssrc: number;
  readonly sequence: number;
  /** ROC ‖ sequence number, 48 bits. */
  readonly index: number;
  readonly payloadType: number;
  readonly marker: boolean;
  readonly timestamp: number;
  readonly csrcs: readonly number[];
  readonly header: RtpHeader;
  /** Decrypted, without padding. */
  readonly payload: Uint8Array;
}

export interface ReceivedRtcp {
  readonly ssrc: number;
  /** Decrypted compound. */
  readonly compound: Uint8Array;
}

export class EktReceiver {
  /** `not_newer`: SPIs rise within a conference; `set_limit`: MAX_LIVE_SETS; `unsupported`: suite or cipher not for tags. */
  addSet(set: GroupSet): Result<void, 'not_newer' | 'set_limit' | 'unsupported'> {
    return refuse('unsupported', String(set.spiWord));
  }
  dropSet(spiWord: number): void {
    void spiWord;
  }
  receiveRtp(datagram: Uint8Array, now: number): Result<ReceivedRtp, DropName> {
    return refuse('malformed', `not built yet ${datagram.length} ${now}`);
  }
  receiveRtcp(datagram: Uint8Array, now: number): Result<ReceivedRtcp, DropName> {
    return refuse('malformed', `not built yet ${datagram.length} ${now}`);
  }
  wipe(): void {}
}
