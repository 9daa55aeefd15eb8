/**
 * The parts of werift this engine stands on: message codecs, key agreement, PRF and exporter. werift publishes only its
 * whole DTLS client and server, which authenticate nobody (DESIGN.md 6); the parts below live inside the same package,
 * beside its published entry. The version is pinned in package.json, and what is used is checked when it loads.
 */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** A werift message class: `new` takes the fields in the order of the wire. */
export interface Codec<Fields extends readonly unknown[], Message> {
  new (...fields: Fields): Message & { serialize(): Buffer };
  /** Throws on bytes it cannot read, and ignores what follows the message: see messages.ts, which does neither. */
  deSerialize(body: Buffer): Message & { serialize(): Buffer };
}

export interface Version {
  readonly major: number;
  readonly minor: number;
}
export interface Random {
  readonly gmt_unix_time: number;
  readonly random_bytes: Buffer;
}
export interface Extension {
  readonly type: number;
  readonly data: Buffer;
}
export interface HashAndSignature {
  readonly hash: number;
  readonly signature: number;
}

export interface ClientHello {
  readonly clientVersion: Version;
  readonly random: Random;
  readonly sessionId: Buffer;
  readonly cookie: Buffer;
  readonly cipherSuites: readonly number[];
  readonly compressionMethods: readonly number[];
  readonly extensions: readonly Extension[];
}
export interface ServerHello {
  readonly serverVersion: Version;
  readonly random: Random;
  readonly sessionId: Buffer;
  readonly cipherSuite: number;
  readonly compressionMethod: number;
  readonly extensions?: readonly Extension[];
}
export interface HelloVerifyRequest {
  readonly serverVersion: Version;
  readonly cookie: Buffer;
}
export interface Certificate {
  readonly certificateList: readonly Buffer[];
}
export interface ServerKeyExchange {
  readonly ellipticCurveType: number;
  readonly namedCurve: number;
  readonly publicKeyLength: number;
  readonly publicKey: Buffer;
  readonly hashAlgorithm: number;
  readonly signatureAlgorithm: number;
  readonly signatureLength: number;
  readonly signature: Buffer;
}
export interface CertificateVerify {
  readonly algorithm: number;
  readonly signature: Buffer;
}
export interface ClientKeyExchange {
  readonly publicKey: Buffer;
}

/** An extension class of werift: `extension` is its wire form, `fromData` reads the bytes behind type and length. */
interface ExtensionCodec<Value> {
  new (fields: Partial<Value>): Value & { readonly extension: Extension };
  fromData(data: Buffer): Value & { readonly extension: Extension };
}

interface Library {
  ClientHello: Codec<
    [Version, Random, Buffer, Buffer, readonly number[], readonly number[], readonly Extension[]],
    ClientHello
  >;
  ServerHello: Codec<[Version, Random, Buffer, number, number, readonly Extension[]], ServerHello>;
  ServerHelloVerifyRequest: Codec<[Version, Buffer], HelloVerifyRequest>;
  Certificate: Codec<[readonly Buffer[]], Certificate>;
  ServerKeyExchange: Codec<[number, number, number, Buffer, number, number, number, Buffer], ServerKeyExchange>;
  ServerCertificateRequest: Codec<[readonly number[], readonly HashAndSignature[], readonly Buffer[]], unknown>;
  CertificateVerify: Codec<[number, Buffer], CertificateVerify>;
  ClientKeyExchange: Codec<[Buffer], ClientKeyExchange>;
  EllipticCurves: ExtensionCodec<{ readonly data: readonly number[] }>;
  Signature: ExtensionCodec<{ readonly data: readonly HashAndSignature[] }>;
  UseSRTP: ExtensionCodec<{ readonly profiles: readonly number[]; readonly mki: Buffer }>;
  generateKeyPair(curve: number): { readonly privateKey: Buffer; readonly publicKey: Buffer };
  /** Throws on a point that is not on the curve. */
  prfPreMasterSecret(peerPublicKey: Buffer, privateKey: Buffer, curve: number): Buffer;
  prfMasterSecret(preMasterSecret: Buffer, clientRandom: Buffer, serverRandom: Buffer): Buffer;
  prfExtendedMasterSecret(preMasterSecret: Buffer, handshakes: Buffer): Buffer;
  prfVerifyDataClient(masterSecret: Buffer, handshakes: Buffer): Buffer;
  prfVerifyDataServer(masterSecret: Buffer, handshakes: Buffer): Buffer;
  prfEncryptionKeys(
    masterSecret: Buffer,
    clientRandom: Buffer,
    serverRandom: Buffer,
    keyBytes: number,
    ivBytes: number,
    nonceBytes: number,
  ): { clientWriteKey: Buffer; serverWriteKey: Buffer; clientNonce: Buffer; serverNonce: Buffer };
  exportKeyingMaterial(
    label: string,
    bytes: number,
    masterSecret: Buffer,
    localRandom: Buffer,
    remoteRandom: Buffer,
    isClient: boolean,
  ): Buffer;
}

const PLACES: Readonly<Record<keyof Library, string>> = {
  ClientHello: 'handshake/message/client/hello.js',
  ServerHello: 'handshake/message/server/hello.js',
  ServerHelloVerifyRequest: 'handshake/message/server/helloVerifyRequest.js',
  Certificate: 'handshake/message/certificate.js',
  ServerKeyExchange: 'handshake/message/server/keyExchange.js',
  ServerCertificateRequest: 'handshake/message/server/certificateRequest.js',
  CertificateVerify: 'handshake/message/client/certificateVerify.js',
  ClientKeyExchange: 'handshake/message/client/keyExchange.js',
  EllipticCurves: 'handshake/extensions/ellipticCurves.js',
  Signature: 'handshake/extensions/signature.js',
  UseSRTP: 'handshake/extensions/useSrtp.js',
  generateKeyPair: 'cipher/namedCurve.js',
  prfPreMasterSecret: 'cipher/prf.js',
  prfMasterSecret: 'cipher/prf.js',
  prfExtendedMasterSecret: 'cipher/prf.js',
  prfVerifyDataClient: 'cipher/prf.js',
  prfVerifyDataServer: 'cipher/prf.js',
  prfEncryptionKeys: 'cipher/prf.js',
  exportKeyingMaterial: 'cipher/prf.js',
};

function load(): Library {
  const require = createRequire(import.meta.url);
  // werift's CommonJS entry is lib/webrtc/src/index.js; its DTLS sources are compiled to lib/dtls/src.
  const root = join(dirname(require.resolve('werift')), '..', '..', 'dtls', 'src');
  const found: Record<string, unknown> = {};
  for (const [name, file] of Object.entries(PLACES)) {
    const part: unknown = require(join(root, file))[name];
    if (typeof part !== 'function')
      throw new Error(`werift has no ${name} in dtls/src/${file}: not the pinned version`);
    found[name] = part;
  }
  return found as unknown as Library;
}

export const werift: Library = load();
