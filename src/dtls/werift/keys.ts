/** From two key shares to SRTP keys, with werift's key agreement, PRF and exporter (RFC 5246 §8.1, RFC 7627 §4, RFC 5764 §4.2). */
import { concat } from '../../base/bytes.js';
import { Secret } from '../../base/secret.js';
import { PROFILE_SIZES, type SrtpProfile } from '../association.js';
import { werift } from './library.js';
import { asBuffer, GROUP } from './messages.js';
import { RecordProtection } from './records.js';

export const SUPPORTED_GROUPS: readonly number[] = [GROUP.x25519, GROUP.secp256r1];
const PUBLIC_KEY_BYTES: ReadonlyMap<number, number> = new Map([
  [GROUP.x25519, 32],
  [GROUP.secp256r1, 65],
]);
const KEY_BYTES = 16;
const SALT_BYTES = 4;
const NONCE_BYTES = 12;
const EXPORTER_LABEL = 'EXTRACTOR-dtls_srtp';

export interface Randoms {
  readonly client: Buffer;
  readonly server: Buffer;
}

/** One ephemeral key, used once. */
export class KeyShare {
  readonly publicKey: Buffer;
  readonly #privateKey: Secret;

  constructor(readonly group: number) {
    const pair = werift.generateKeyPair(group);
    this.publicKey = pair.publicKey;
    this.#privateKey = new Secret(pair.privateKey);
  }

  /** The premaster secret, once, for this wipes our private key; or undefined when the peer's public key is none. */
  agree(peerPublicKey: Uint8Array): Secret | undefined {
    // RFC 8422 §5.4.1: uncompressed points only, which the length tells; werift's library would take compressed ones.
    if (peerPublicKey.length !== PUBLIC_KEY_BYTES.get(this.group)) return undefined;
    const shared = this.#privateKey.use((key) => premaster(peerPublicKey, key, this.group));
    // RFC 8422 §5.11: a point of small order gives a secret that everybody knows.
    if (shared === undefined || shared.every((byte) => byte === 0)) return undefined;
    this.wipe();
    return new Secret(shared);
  }

  wipe(): void {
    this.#privateKey.wipe();
  }
}

function premaster(peerPublicKey: Uint8Array, privateKey: Uint8Array, group: number): Uint8Array | undefined {
  try {
    return werift.prfPreMasterSecret(asBuffer(peerPublicKey), asBuffer(privateKey), group);
  } catch {
    return undefined; // werift says "not on the curve" by throwing
  }
}

/** @param sessionTranscript all messages up to ClientKeyExchange if the extended master secret was agreed (RFC 7627 §4). */
export function masterSecret(preMaster: Secret, randoms: Randoms, sessionTranscript: Uint8Array | undefined): Secret {
  return new Secret(
    preMaster.use((pre) =>
      sessionTranscript === undefined
        ? werift.prfMasterSecret(asBuffer(pre), randoms.client, randoms.server)
        : werift.prfExtendedMasterSecret(asBuffer(pre), asBuffer(sessionTranscript)),
    ),
  );
}

/** What each side writes with (RFC 5246 §6.3). */
export function recordProtections(
  master: Secret,
  randoms: Randoms,
): { client: RecordProtection; server: RecordProtection } {
  const keys = master.use((secret) =>
    werift.prfEncryptionKeys(asBuffer(secret), randoms.client, randoms.server, KEY_BYTES, SALT_BYTES, NONCE_BYTES),
  );
  return {
    client: new RecordProtection(keys.clientWriteKey, keys.clientNonce.subarray(0, SALT_BYTES)),
    server: new RecordProtection(keys.serverWriteKey, keys.serverNonce.subarray(0, SALT_BYTES)),
  };
}

/** The 12 bytes of Finished that `side` sends after `transcript` (RFC 5246 §7.4.9). */
export function verifyData(master: Secret, side: 'client' | 'server', transcript: Uint8Array): Uint8Array {
  const handshakes = asBuffer(transcript);
  return master.use((secret) =>
    side === 'client'
      ? werift.prfVerifyDataClient(asBuffer(secret), handshakes)
      : werift.prfVerifyDataServer(asBuffer(secret), handshakes),
  );
}

/** Each side's master key ‖ master salt, out of client key ‖ server key ‖ client salt ‖ server salt (RFC 5764 §4.2). */
export function srtpKeys(master: Secret, randoms: Randoms, profile: SrtpProfile): { client: Secret; server: Secret } {
  const { key, salt } = PROFILE_SIZES[profile];
  const exported = master.use((secret) =>
    werift.exportKeyingMaterial(
      EXPORTER_LABEL,
      2 * (key + salt),
      asBuffer(secret),
      randoms.client,
      randoms.server,
      true,
    ),
  );
  const part = (at: number, length: number) => exported.subarray(at, at + length);
  const client = new Secret(concat(part(0, key), part(2 * key, salt)));
  const server = new Secret(concat(part(key, key), part(2 * key + salt, salt)));
  exported.fill(0);
  return { client, server };
}
