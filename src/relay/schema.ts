/**
 * The numbers that cross between JavaScript and native/: one table here, one in native/core/schema.h; a test compares the
 * two. All integers are big-endian. A command is `opcode u8 ‖ body`, an event `type u8 ‖ body`; events follow one another
 * without padding. An address is `length u8 ‖ literal in ASCII ‖ port u16`, length 0 when there is none.
 */
export const OPCODES = {
  /**
   * channel u32, conference u32, member u32, media u8, transport u8, counter slot u32, socket i32, peer address; of a channel
   * whose transport is `bundled` its leader u32; of one whose socket is on another thread, its branch, besides: thread u16,
   * counter slot there u32
   */
  openChannel: 1,
  /** channel u32 */
  closeChannel: 2,
  /** channel u32, address, length u16, bytes */
  sendDatagram: 3,
  /** channel u32, address */
  provePeer: 4,
  /** channel u32, profile u16, length u8, local key ‖ salt, length u8, remote key ‖ salt, for media u8 (may be left out) */
  setChannelKeys: 5,
  /** channel u32, flags u8 (PARAMETER_FLAGS), level u8, transmit mask u16, count u8, count × {payload type u8, codec u8}, count × clock rate u32 (0: the media kind's; all may be left out); then, or nothing, count × VIDEO_CODECS u8, audio level extension u8, seed u32 (0: payloads do not end here); then, or nothing, MID extension u8, and if that is not 0 length u8, name */
  setParameters: 6,
  /** channel u32, length u16, compound */
  sendControl: 7,
  /** conference u32, required level u8 */
  setConference: 8,
  /** conference u32 */
  closeConference: 9,
  /** conference u32, SPI word u16, suite u8, cipher u8, length u8, KEK, length u8, master salt */
  installSet: 10,
  /** conference u32, SPI word u16 */
  dropSet: 11,
  /** channel u32, SPI word u16 */
  setAcked: 12,
  /** conference u32, media u8, count u32, count × {source u32, position u8, receiver u32, sink u8} */
  setRoutes: 13,
  /** channel u32, we call u8, signalled address */
  awaitPeer: 14,
  /** To the branch: channel u32, conference u32, media u8, transport u8, counter slot u32, socket i32, home thread u16, slot there u32, peer address, leader u32 if bundled */
  openBranch: 15,
  /** To the branch: channel u32, level u8, ready u8 */
  setBranch: 16,
  /**
   * channel u32, socket i32, the peer's RTCP address: RTCP has a port of its own from now on. Socket -1: the one that it has;
   * without an address too: RTCP goes with RTP again, and the socket is closed.
   */
  setRtcpPort: 24,
  /** channel u32, ICE_MODES u8, length u8, our ufrag, length u8, our pwd, length u16, the peer's ufrag; to a branch all empty */
  setIce: 17,
  /** channel u32, window u32 ms, an address whose IP may be the peer's too (none: any may) */
  setLatch: 25,
} as const;

export const EVENTS = {
  /** channel u32, address, length u16, bytes */
  dtls: 1,
  /** channel u32, tip allowed u8, length u16, compound */
  control: 2,
  /** channel u32, SSRC u32, position u8 */
  bound: 3,
  /** channel u32, position u8, energy i8, packets u32 */
  activity: 4,
  /** channel u32, position u8 */
  refresh: 5,
  /** receiver u32, sink u8, source u32, position u8 */
  switched: 6,
  /** channel u32, drop u8, count u32, SSRC u32 */
  refusals: 7,
  /** channel u32, count u8, count × report block of RFC 3550 §6.4.1 (24 bytes) */
  reports: 8,
  /** channel u32, SSRC u32, owner's channel u32 */
  claimed: 9,
  /** channel u32, what u8 (ICE_NEWS), address */
  ice: 10,
} as const;

/** Not in force; only checks are consent; what verifies is, too. */
export const ICE_MODES = { off: 0, checks: 1, lenient: 2 } as const;
export const ICE_NEWS = { nominated: 0, 'consent-lost': 1, 'consent-back': 2 } as const;

export const MEDIA = { audio: 0, video: 1 } as const;
export const TRANSPORTS = { dtls: 0, plain: 1, sdes: 2, bundled: 3 } as const;
export const VIDEO_CODECS = { other: 0, h264: 1, h265: 2, vp8: 3, vp9: 4, av1: 5 } as const;
export const LEVELS = { unknown: 0, none: 1, 'hop-by-hop': 2, 'end-to-end': 3 } as const;
export const PARAMETER_FLAGS = { tip: 1, trailingByte: 2, ready: 4 } as const;

/**
 * Counters in shared memory, 64-bit words. For each thread: THREAD_WORDS of its own, then MAX_CHANNELS slots of
 * CHANNEL_WORDS. A slot's first word is the id + 1 of the channel that it counts for.
 */
export const THREAD_COUNTERS = {
  ingress: 0,
  verified: 1,
  egress: 2,
  variants: 3,
  unsegmented: 4,
  drops: 5,
  retransmitted: 29,
  retransmitUnknown: 30,
  retransmitLimited: 31,
  handedOver: 32,
  /** Not a counter: the share of a core that the thread took of late, in thousandths. */
  loadPermille: 33,
} as const;
export const CHANNEL_COUNTERS = {
  owner: 0,
  packetsIn: 1,
  bytesIn: 2,
  packetsOut: 3,
  bytesOut: 4,
  drops: 5,
  retransmitted: 31,
} as const;
export const THREAD_WORDS = 40;
export const CHANNEL_WORDS = 32;
