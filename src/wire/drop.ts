/**
 * Names under which a datagram of a channel is refused (WIRE.md 9), as far as formats and keys decide it: the same strings
 * as the relay's counters have.
 */
export type DropName =
  | 'unknown_protocol'
  | 'malformed'
  | 'no_multiplex_word'
  | 'not_ready'
  | 'unknown_spi'
  | 'no_key'
  | 'replayed'
  | 'too_old'
  | 'auth_failed'
  | 'ssrc_owned'
  | 'bad_position'
  | 'set_not_installed'
  | 'below_level'
  | 'no_payload_type'
  | 'stream_limit';
