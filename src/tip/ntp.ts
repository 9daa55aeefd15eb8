/** Seconds from 1900, the NTP epoch, to 1970 (RFC 5905 §6). */
const NTP_UNIX_OFFSET_SECONDS = 2_208_988_800n;

/** The 64-bit NTP timestamp, 32.32 seconds, of `now` in milliseconds since the Unix epoch; eras wrap (RFC 5905 §6). */
export function ntpOf(now: number): bigint {
  const seconds = Math.floor(now / 1000);
  const fraction = Math.floor(((now - seconds * 1000) / 1000) * 2 ** 32);
  return (((BigInt(seconds) + NTP_UNIX_OFFSET_SECONDS) & 0xffffffffn) << 32n) | BigInt(fraction);
}
