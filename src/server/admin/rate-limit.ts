/** Requests that one address may make: a bucket each that fills at a steady rate. */
import { ADMIN_MAX_RATE_ADDRESSES, ADMIN_REQUEST_BURST, ADMIN_REQUESTS_PER_SECOND } from '../../base/limits.js';
import { addressOwner } from '../../wire/ip-address.js';

interface Bucket {
  tokens: number;
  at: number;
}

export class RateLimit {
  readonly #buckets = new Map<string, Bucket>();

  /** @param cost in requests. @returns ms until a next request can be taken; 0: this one is taken. */
  take(address: string, cost: number, now: number): number {
    const bucket = this.#bucketOf(addressOwner(address), now);
    bucket.tokens = Math.min(
      ADMIN_REQUEST_BURST,
      bucket.tokens + ((now - bucket.at) * ADMIN_REQUESTS_PER_SECOND) / 1_000,
    );
    bucket.at = now;
    if (bucket.tokens < 1) return Math.ceil(((1 - bucket.tokens) * 1_000) / ADMIN_REQUESTS_PER_SECOND);
    bucket.tokens -= cost;
    return 0;
  }

  /** An address beyond the table's size shares one bucket with its like until others have been quiet long enough. */
  #bucketOf(key: string, now: number): Bucket {
    const known = this.#buckets.get(key);
    if (known !== undefined) return known;
    if (this.#buckets.size >= ADMIN_MAX_RATE_ADDRESSES) {
      const full = (ADMIN_REQUEST_BURST / ADMIN_REQUESTS_PER_SECOND) * 1_000;
      for (const [other, bucket] of this.#buckets) if (now - bucket.at > full) this.#buckets.delete(other);
    }
    const name = this.#buckets.size >= ADMIN_MAX_RATE_ADDRESSES ? '' : key;
    const bucket = this.#buckets.get(name) ?? { tokens: ADMIN_REQUEST_BURST, at: now };
    this.#buckets.set(name, bucket);
    return bucket;
  }
}
