/** The server's side of a full DTLS 1.2 handshake with client authentication (RFC 5246 §7.3, RFC 6347 §4.2). */
import { createHmac, randomBytes } from 'node:crypto';
import { concat, equalBytes } from '../../base/bytes.js';
import { Secret } from '../../base/secret.js';
import type { AssociationOptions } from '../association.js';
import {
  ACCEPTED,
  ALERT,
  type Established,
  type Failed,
  failed,
  Handshake,
  type Negotiated,
  type Outgoing,
  type Progress,
  refused,
  type Step,
  type Tuning,
} from './handshake.js';
import { type Identity, OFFERED_SCHEMES, type PeerCertificate, verifySignature } from './identity.js';
import { KeyShare } from './keys.js';
import type { ClientHello, Extension } from './library.js';
import {
  CERTIFICATE_TYPE,
  EXTENDED_MASTER_SECRET,
  EXTENSION,
  extensionsByType,
  GROUP,
  POINT_FORMATS,
  RENEGOTIATION_INFO,
  RENEGOTIATION_SCSV,
  randomBytesOf,
  readCertificateVerify,
  readClientHello,
  readClientKeyExchange,
  readGroups,
  readSchemes,
  readUseSrtp,
  serverKeyParams,
  useSrtpExtension,
  versionNumber,
  writeCertificate,
  writeCertificateRequest,
  writeHelloVerify,
  writeServerHello,
  writeServerKeyExchange,
} from './messages.js';
import { HANDSHAKE, type HandshakeMessage } from './reassembly.js';
import { VERSION_1_2 } from './records.js';

const COOKIE_BYTES = 20;

interface Offer extends Negotiated {
  readonly share: KeyShare;
}

type State =
  | { readonly at: 'client-hello' }
  | { readonly at: 'certificate'; readonly offer: Offer }
  | { readonly at: 'client-key-exchange'; readonly offer: Offer; readonly peer: PeerCertificate }
  | { readonly at: 'certificate-verify'; readonly offer: Offer; readonly peer: PeerCertificate }
  /** `proven`: its sender holds the certificate's key. */
  | { readonly at: 'finished'; readonly offer: Offer; readonly proven: PeerCertificate }
  | { readonly at: 'done' };

export class ServerHandshake extends Handshake {
  #state: State = { at: 'client-hello' };
  readonly #cookieSecret = new Secret(randomBytes(32));

  constructor(options: AssociationOptions, identity: Identity, tuning: Tuning) {
    super('server', options, identity, tuning);
    this.skipSequence(); // 0 is HelloVerifyRequest's (RFC 6347 §4.2.2)
  }

  get openSequences(): 1 | 2 {
    return this.#state.at === 'client-hello' ? 2 : 1;
  }

  start(): Progress {
    return ACCEPTED;
  }

  override wipe(): void {
    super.wipe();
    this.#cookieSecret.wipe();
    if ('offer' in this.#state) this.#state.offer.share.wipe();
    this.#state = { at: 'done' };
  }

  message(message: HandshakeMessage): Step {
    const state = this.#state;
    switch (state.at) {
      case 'client-hello':
        return message.type === HANDSHAKE.clientHello ? this.#clientHello(message) : refused('no ClientHello yet');
      case 'certificate':
        // RFC 5246 §7.4.6: asked for a certificate, the client sends the message, if need be an empty one.
        if (message.type === HANDSHAKE.clientKeyExchange) {
          return failed('no-certificate', 'the client sent no Certificate', ALERT.handshakeFailure);
        }
        if (message.type !== HANDSHAKE.certificate) return refused('expected Certificate');
        return this.#certificate(message, state.offer);
      case 'client-key-exchange':
        if (message.type !== HANDSHAKE.clientKeyExchange) return refused('expected ClientKeyExchange');
        return this.#clientKeyExchange(message, state.offer, state.peer);
      case 'certificate-verify':
        if (message.type !== HANDSHAKE.certificateVerify) return refused('expected CertificateVerify');
        return this.#certificateVerify(message, state.offer, state.peer);
      case 'finished':
        if (message.type !== HANDSHAKE.finished) return refused('expected Finished');
        return this.#finished(message, state.offer, state.proven);
      case 'done':
        return refused('the handshake is over');
    }
  }

  /** RFC 6347 §4.2.1: bound to the hello and to this association's own secret, so nothing is kept until it comes back. */
  #cookie(hello: ClientHello): Uint8Array {
    const suites = Buffer.alloc(2 * hello.cipherSuites.length);
    hello.cipherSuites.forEach((suite, i) => {
      suites.writeUInt16BE(suite, 2 * i);
    });
    const mac = this.#cookieSecret.use((secret) =>
      createHmac('sha256', secret)
        .update(randomBytesOf(hello.random))
        .update(Uint8Array.of(hello.sessionId.length))
        .update(hello.sessionId)
        .update(suites)
        .digest(),
    );
    return mac.subarray(0, COOKIE_BYTES);
  }

  #clientHello(message: HandshakeMessage): Step {
    const hello = readClientHello(message.body);
    if (hello === undefined) return refused('malformed ClientHello');
    const { cookieVerified = false } = this.options;
    if (cookieVerified && message.sequence !== 1) return refused('a hello without a cookie');
    const cookie = this.#cookie(hello);
    // RFC 6347 §4.2.1: a wrong cookie counts as none. The hello that brings one back is the second message.
    if (message.sequence !== 1 || !(cookieVerified || equalBytes(hello.cookie, cookie))) {
      const request = { type: HANDSHAKE.helloVerifyRequest, sequence: 0, body: writeHelloVerify(cookie) };
      return { type: 'verify-hello', message: request };
    }
    const chosen = this.#choose(hello);
    if (chosen.type === 'failed') return chosen;
    const over = this.overLimit(message);
    if (over !== undefined) return over;
    this.record(message);

    const random = randomBytes(32);
    const share = new KeyShare(chosen.group);
    const randoms = { client: randomBytesOf(hello.random), server: random };
    const { profile, extendedMasterSecret, scheme } = chosen;
    const { suite, der } = this.identity;
    const params = serverKeyParams(share.group, share.publicKey);
    const signature = this.identity.sign(scheme, concat(randoms.client, randoms.server, params));
    this.#state = { at: 'certificate', offer: { profile, suite, extendedMasterSecret, randoms, share } };
    return {
      type: 'flight',
      flight: [
        this.compose(HANDSHAKE.serverHello, writeServerHello(random, suite, chosen.extensions)),
        this.compose(HANDSHAKE.certificate, writeCertificate(der)),
        this.compose(
          HANDSHAKE.serverKeyExchange,
          writeServerKeyExchange(share.group, share.publicKey, scheme, signature),
        ),
        this.compose(
          HANDSHAKE.certificateRequest,
          writeCertificateRequest([CERTIFICATE_TYPE.ecdsaSign, CERTIFICATE_TYPE.rsaSign], OFFERED_SCHEMES),
        ),
        this.compose(HANDSHAKE.serverHelloDone, new Uint8Array(0)),
      ],
    };
  }

  #choose(hello: ClientHello):
    | {
        type: 'chosen';
        profile: Negotiated['profile'];
        group: number;
        scheme: number;
        extendedMasterSecret: boolean;
        extensions: Extension[];
      }
    | Failed {
    const version = versionNumber(hello.clientVersion);
    // DTLS counts downwards: a smaller number is a newer version.
    if (version >>> 8 !== VERSION_1_2 >>> 8 || version > VERSION_1_2) {
      return failed('no-common-parameters', 'the client does not speak DTLS 1.2', ALERT.protocolVersion);
    }
    const offered = extensionsByType(hello.extensions);
    if (offered === undefined) return failed('protocol-error', 'an extension came twice', ALERT.illegalParameter);
    if (!hello.cipherSuites.includes(this.identity.suite) || !hello.compressionMethods.includes(0)) {
      return failed('no-common-parameters', 'no common cipher suite', ALERT.handshakeFailure);
    }
    const groupsData = offered.get(EXTENSION.supportedGroups);
    // RFC 8422 §4: who lists no groups leaves the choice to the server; P-256 is what everybody has.
    const groups = groupsData === undefined ? [GROUP.secp256r1] : readGroups(groupsData);
    const group = this.tuning.groups.find((ours) => groups?.includes(ours));
    if (group === undefined) return failed('no-common-parameters', 'no common group', ALERT.handshakeFailure);
    const schemesData = offered.get(EXTENSION.signatureAlgorithms);
    // RFC 5246 §7.4.1.4.1: who lists none means SHA-1, which we refuse.
    const schemes = schemesData === undefined ? [] : readSchemes(schemesData);
    const scheme = this.identity.chooseScheme(schemes ?? []);
    if (scheme === undefined) {
      return failed('no-common-parameters', 'no common signature algorithm', ALERT.handshakeFailure);
    }
    const srtpData = offered.get(EXTENSION.useSrtp);
    const profiles = srtpData === undefined ? undefined : readUseSrtp(srtpData)?.profiles;
    const profile = this.options.profiles.find((ours) => profiles?.includes(ours));
    if (profile === undefined) {
      return failed('no-common-profile', 'no common SRTP profile', ALERT.handshakeFailure);
    }
    const renegotiation = offered.get(EXTENSION.renegotiationInfo);
    if (renegotiation !== undefined && !renegotiation.equals(RENEGOTIATION_INFO.data)) {
      // RFC 5746 §3.6
      return failed('protocol-error', 'renegotiation_info in a first handshake', ALERT.handshakeFailure);
    }
    const extendedMasterSecret = offered.get(EXTENSION.extendedMasterSecret)?.length === 0;
    const extensions = [useSrtpExtension([profile])];
    if (extendedMasterSecret) extensions.push(EXTENDED_MASTER_SECRET);
    if (renegotiation !== undefined || hello.cipherSuites.includes(RENEGOTIATION_SCSV)) {
      extensions.push(RENEGOTIATION_INFO);
    }
    if (offered.has(EXTENSION.pointFormats)) extensions.push(POINT_FORMATS);
    return { type: 'chosen', profile, group, scheme, extendedMasterSecret, extensions };
  }

  #certificate(message: HandshakeMessage, offer: Offer): Step {
    const peer = this.peerCertificate(message.body);
    if (!('key' in peer)) return peer;
    const over = this.overLimit(message);
    if (over !== undefined) return over;
    this.record(message);
    this.#state = { at: 'client-key-exchange', offer, peer };
    return ACCEPTED;
  }

  #clientKeyExchange(message: HandshakeMessage, offer: Offer, peer: PeerCertificate): Step {
    const exchange = readClientKeyExchange(message.body);
    if (exchange === undefined) return refused('malformed ClientKeyExchange');
    const over = this.overLimit(message);
    if (over !== undefined) return over;
    const preMaster = offer.share.agree(exchange.publicKey);
    if (preMaster === undefined) {
      return failed('protocol-error', "the client's key share is no point of the group", ALERT.illegalParameter);
    }
    this.record(message);
    this.agree(preMaster, offer);
    this.#state = { at: 'certificate-verify', offer, peer };
    return ACCEPTED;
  }

  /** RFC 5246 §7.4.8: signed is every message before this one. */
  #certificateVerify(message: HandshakeMessage, offer: Offer, peer: PeerCertificate): Step {
    const verify = readCertificateVerify(message.body);
    if (verify === undefined) return refused('malformed CertificateVerify');
    if (!verifySignature(peer, verify.algorithm, this.transcript, verify.signature)) {
      return failed('certificate-verify-invalid', "the client does not hold its certificate's key", ALERT.decryptError);
    }
    const over = this.overLimit(message);
    if (over !== undefined) return over;
    this.record(message);
    this.#state = { at: 'finished', offer, proven: peer };
    return ACCEPTED;
  }

  #finished(message: HandshakeMessage, offer: Offer, proven: PeerCertificate): Step {
    const wrong = this.checkFinished(message);
    if (wrong !== undefined) return wrong;
    this.record(message);
    const flight: readonly Outgoing[] = this.composeFinished();
    const result: Established = this.result(offer, proven);
    this.#state = { at: 'done' };
    return { type: 'established', result, flight };
  }
}
