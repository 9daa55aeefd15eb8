/** What a stream's key slots hold: the session keys of one sender key, whichever way the key travelled. */
export interface MediaKeys {
  readonly spiWord: number;
  /** The wrapped key as the last Full tag or field showed it. */
  readonly wrapped: Uint8Array;
  is(spiWord: number, wrapped: Uint8Array): boolean;
  wipe(): void;
}
