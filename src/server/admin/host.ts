/** What the administration API needs of the running switch. */
import type { OperatorEvent } from '../../conference/contract.js';
import type { AdministrationCommand, ConferenceView } from '../../control/administration.js';
import type { ConferenceSettings } from '../../control/contract.js';
import type { Level } from '../../security/levels.js';
import type { Dialler } from '../dialler.js';
import type { Drain } from '../drain.js';
import type { EventJournal } from '../events/journal.js';

/** Of one channel, as measured. */
export interface ChannelTraffic {
  readonly receivedBitsPerSecond: number;
  readonly sentBitsPerSecond: number;
  readonly lossFraction: number | undefined;
  readonly refusedPackets: number;
}

export interface AdminHost {
  /** Every conference that can be dialled by name or that runs. */
  conferences(): readonly ConferenceView[];
  conference(name: string): ConferenceView | undefined;
  /** Carried out before it returns; what makes no sense any more has no effect. */
  command(command: AdministrationCommand): void;
  /** An in-meeting control (S5); nothing happens where there is no such conference. */
  operate(conference: string, event: OperatorEvent): void;
  traffic(channel: number): ChannelTraffic;
  history(conference: string): readonly { readonly time: number; readonly level: Level }[];
  readonly events: EventJournal;
  readonly drain: Drain;
  readonly dialler: Dialler;
  /** The problems of a configuration file's text; none: it could be started with. */
  checkConfiguration(toml: string): readonly string[];
  isReady(): boolean;
  readonly maxConferences: number;
  /** What the configuration says of a conference that does not say it itself. */
  readonly defaults: Pick<ConferenceSettings, 'suite' | 'switching' | 'rekeyAfterMs'>;
  readonly version: string;
}
