/** ClientHellos for tests of who stands before the DTLS engines: well formed up to the cookie, and no further. */
const HEADS = 13 + 12;

/** RFC 6347 §4.2.1: the first message has no cookie; the second brings back the one that was asked for. */
export function clientHello(cookie?: Uint8Array, random = 7): Uint8Array {
  const body = [0xfe, 0xfd, ...new Uint8Array(32).fill(random), 0, cookie?.length ?? 0, ...(cookie ?? [])];
  const rest = [0, 2, 0xc0, 0x2b, 1, 0];
  const length = body.length + rest.length;
  const head = [1, 0, 0, length, 0, cookie === undefined ? 0 : 1, 0, 0, 0, 0, 0, length];
  const record = [22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, length + head.length];
  return Uint8Array.of(...record, ...head, ...body, ...rest);
}

/** The cookie of a HelloVerifyRequest; undefined when `datagram` is none. */
export function cookieOf(datagram: Uint8Array): Uint8Array | undefined {
  if (datagram[0] !== 22 || datagram[13] !== 3) return undefined;
  return datagram.subarray(HEADS + 3, HEADS + 3 + datagram[HEADS + 2]!);
}
