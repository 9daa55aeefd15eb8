/** Ids are small integers given out by the main thread; they are never used twice in one run of the process. */
export type ConferenceId = number;
/** One endpoint in one conference: one SIP dialog. */
export type MemberId = number;
/** One m-line of one member; u32, the same number in the relay. */
export type ChannelId = number;

export type Media = 'audio' | 'video';

/** A transport address. `address` is a literal IPv4 or IPv6 address, never a name. */
export interface Address {
  readonly address: string;
  readonly port: number;
}
