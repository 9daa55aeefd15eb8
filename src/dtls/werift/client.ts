/** The client's side of a full DTLS 1.2 handshake with client authentication (RFC 5246 §7.3, RFC 6347 §4.2). */
import { randomBytes } from 'node:crypto';
import { concat } from '../../base/bytes.js';
import type { AssociationOptions } from '../association.js';
import {
  ACCEPTED,
  ALERT,
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
import type { ServerHello } from './library.js';
import {
  EXTENDED_MASTER_SECRET,
  EXTENSION,
  extensionsByType,
  groupsExtension,
  NAMED_CURVE,
  POINT_FORMATS,
  RENEGOTIATION_INFO,
  randomBytesOf,
  readCertificateRequest,
  readHelloVerify,
  readServerHello,
  readServerKeyExchange,
  readUseSrtp,
  SUITE,
  schemesExtension,
  serverKeyParams,
  useSrtpExtension,
  versionNumber,
  writeCertificate,
  writeCertificateVerify,
  writeClientHello,
  writeClientKeyExchange,
} from './messages.js';
import { HANDSHAKE, type HandshakeMessage } from './reassembly.js';
import { VERSION_1_2 } from './records.js';

const SUITES: readonly number[] = [SUITE.ecdheEcdsa, SUITE.ecdheRsa];

/** The server's key share, signed with its certificate's key over both randoms: the server is proven (RFC 8422 §5.4). */
interface Share {
  readonly group: number;
  readonly publicKey: Uint8Array;
}

type State =
  | { readonly at: 'new' }
  | { readonly at: 'server-hello'; readonly cookieSeen: boolean }
  | { readonly at: 'certificate'; readonly agreed: Negotiated }
  | { readonly at: 'server-key-exchange'; readonly agreed: Negotiated; readonly peer: PeerCertificate }
  | {
      readonly at: 'certificate-request';
      readonly agreed: Negotiated;
      readonly proven: PeerCertificate;
      readonly share: Share;
    }
  | {
      readonly at: 'server-hello-done';
      readonly agreed: Negotiated;
      readonly proven: PeerCertificate;
      readonly share: Share;
      /** For our CertificateVerify. */
      readonly scheme: number;
    }
  | { readonly at: 'finished'; readonly agreed: Negotiated; readonly proven: PeerCertificate }
  | { readonly at: 'done' };

export class ClientHandshake extends Handshake {
  readonly openSequences = 1;
  #state: State = { at: 'new' };
  readonly #random = randomBytes(32);

  constructor(options: AssociationOptions, identity: Identity, tuning: Tuning) {
    super('client', options, identity, tuning);
  }

  start(): Progress {
    this.#state = { at: 'server-hello', cookieSeen: false };
    return { type: 'flight', flight: [this.#hello(new Uint8Array(0))] };
  }

  override wipe(): void {
    super.wipe();
    this.#state = { at: 'done' };
  }

  message(message: HandshakeMessage): Step {
    const state = this.#state;
    switch (state.at) {
      case 'new':
        return refused('not started');
      case 'server-hello':
        if (message.type === HANDSHAKE.helloVerifyRequest && !state.cookieSeen) return this.#helloVerify(message);
        return message.type === HANDSHAKE.serverHello ? this.#serverHello(message) : refused('expected ServerHello');
      case 'certificate':
        if (message.type !== HANDSHAKE.certificate) return refused('expected Certificate');
        return this.#certificate(message, state.agreed);
      case 'server-key-exchange':
        if (message.type !== HANDSHAKE.serverKeyExchange) return refused('expected ServerKeyExchange');
        return this.#serverKeyExchange(message, state.agreed, state.peer);
      case 'certificate-request':
        // WIRE.md 2: both sides present a certificate; a server that asks for none could not know us.
        if (message.type === HANDSHAKE.serverHelloDone) {
          return failed('no-certificate', 'the server did not ask for our certificate', ALERT.handshakeFailure);
        }
        if (message.type !== HANDSHAKE.certificateRequest) return refused('expected CertificateRequest');
        return this.#certificateRequest(message, state);
      case 'server-hello-done':
        if (message.type !== HANDSHAKE.serverHelloDone || message.body.length !== 0) {
          return refused('expected ServerHelloDone');
        }
        return this.#serverHelloDone(message, state);
      case 'finished':
        if (message.type !== HANDSHAKE.finished) return refused('expected Finished');
        return this.#finished(message, state.agreed, state.proven);
      case 'done':
        return refused('the handshake is over');
    }
  }

  #hello(cookie: Uint8Array): Outgoing {
    const extensions = [
      useSrtpExtension(this.options.profiles),
      groupsExtension(this.tuning.groups),
      POINT_FORMATS,
      schemesExtension(OFFERED_SCHEMES),
      RENEGOTIATION_INFO,
    ];
    if (this.tuning.extendedMasterSecret) extensions.push(EXTENDED_MASTER_SECRET);
    return this.compose(HANDSHAKE.clientHello, writeClientHello(this.#random, cookie, SUITES, extensions));
  }

  /** RFC 6347 §4.2.1: the same hello again with the cookie, and the transcript begins with it. */
  #helloVerify(message: HandshakeMessage): Step {
    const request = readHelloVerify(message.body);
    if (request === undefined) return refused('malformed HelloVerifyRequest');
    this.restartTranscript();
    this.#state = { at: 'server-hello', cookieSeen: true };
    return { type: 'flight', flight: [this.#hello(request.cookie)] };
  }

  #serverHello(message: HandshakeMessage): Step {
    const hello = readServerHello(message.body);
    if (hello === undefined) return refused('malformed ServerHello');
    const agreed = this.#agreed(hello);
    if ('type' in agreed) return agreed;
    return this.#accept(message, { at: 'certificate', agreed });
  }

  #agreed(hello: ServerHello): Negotiated | Failed {
    if (versionNumber(hello.serverVersion) !== VERSION_1_2) {
      return failed('no-common-parameters', 'the server does not speak DTLS 1.2', ALERT.protocolVersion);
    }
    if (!SUITES.includes(hello.cipherSuite) || hello.compressionMethod !== 0) {
      return failed('protocol-error', 'the server chose a suite that was not offered', ALERT.illegalParameter);
    }
    const extensions = extensionsByType(hello.extensions);
    if (extensions === undefined) return failed('protocol-error', 'an extension came twice', ALERT.illegalParameter);
    for (const [type, data] of extensions) {
      switch (type) {
        case EXTENSION.useSrtp:
        case EXTENSION.pointFormats:
          break;
        case EXTENSION.extendedMasterSecret:
          if (this.tuning.extendedMasterSecret && data.length === 0) break;
          return failed('protocol-error', 'extended_master_secret that was not offered', ALERT.unsupportedExtension);
        case EXTENSION.renegotiationInfo:
          // RFC 5746 §3.4
          if (data.equals(RENEGOTIATION_INFO.data)) break;
          return failed('protocol-error', 'renegotiation_info in a first handshake', ALERT.handshakeFailure);
        default:
          // RFC 5246 §7.4.1.4: an answer to what was not asked.
          return failed('protocol-error', `extension ${type} was not offered`, ALERT.unsupportedExtension);
      }
    }
    const srtpData = extensions.get(EXTENSION.useSrtp);
    const srtp = srtpData === undefined ? undefined : readUseSrtp(srtpData);
    const profile = this.options.profiles.find((ours) => ours === srtp?.profiles[0]);
    // RFC 5764 §4.1.1: exactly one of ours, and no MKI, as none was offered.
    if (srtp === undefined || profile === undefined || srtp.profiles.length !== 1 || srtp.mki.length !== 0) {
      return failed('no-common-profile', 'the server chose no SRTP profile of ours', ALERT.illegalParameter);
    }
    return {
      profile,
      suite: hello.cipherSuite,
      extendedMasterSecret: extensions.has(EXTENSION.extendedMasterSecret),
      randoms: { client: this.#random, server: randomBytesOf(hello.random) },
    };
  }

  #certificate(message: HandshakeMessage, agreed: Negotiated): Step {
    const peer = this.peerCertificate(message.body);
    if (!('key' in peer)) return peer;
    const wanted = agreed.suite === SUITE.ecdheEcdsa ? 'ec' : 'rsa';
    if (peer.type !== wanted) {
      return failed('protocol-error', 'the certificate does not fit the cipher suite', ALERT.badCertificate);
    }
    return this.#accept(message, { at: 'server-key-exchange', agreed, peer });
  }

  /** RFC 5246 §7.4.3, RFC 8422 §5.4: client_random ‖ server_random ‖ params, signed with the certificate's key. */
  #serverKeyExchange(message: HandshakeMessage, agreed: Negotiated, peer: PeerCertificate): Step {
    const exchange = readServerKeyExchange(message.body);
    if (exchange === undefined) return refused('malformed ServerKeyExchange');
    const { namedCurve: group, publicKey, signature } = exchange;
    const signed = concat(agreed.randoms.client, agreed.randoms.server, serverKeyParams(group, publicKey));
    const scheme = (exchange.hashAlgorithm << 8) | exchange.signatureAlgorithm;
    if (!verifySignature(peer, scheme, signed, signature)) {
      return failed(
        'key-exchange-signature-invalid',
        "the server does not hold its certificate's key",
        ALERT.decryptError,
      );
    }
    if (exchange.ellipticCurveType !== NAMED_CURVE || !this.tuning.groups.includes(group)) {
      return failed('protocol-error', 'the server chose a group that was not offered', ALERT.illegalParameter);
    }
    return this.#accept(message, { at: 'certificate-request', agreed, proven: peer, share: { group, publicKey } });
  }

  #certificateRequest(message: HandshakeMessage, state: Extract<State, { at: 'certificate-request' }>): Step {
    const request = readCertificateRequest(message.body);
    if (request === undefined) return refused('malformed CertificateRequest');
    const scheme = this.identity.chooseScheme(request.schemes);
    if (scheme === undefined || !request.types.includes(this.identity.certificateType)) {
      return failed('no-common-parameters', 'the server takes no certificate like ours', ALERT.handshakeFailure);
    }
    return this.#accept(message, { ...state, at: 'server-hello-done', scheme });
  }

  #serverHelloDone(message: HandshakeMessage, state: Extract<State, { at: 'server-hello-done' }>): Step {
    const { agreed, proven, scheme } = state;
    const share = new KeyShare(state.share.group);
    const preMaster = share.agree(state.share.publicKey);
    if (preMaster === undefined) {
      return failed('protocol-error', "the server's key share is no point of the group", ALERT.illegalParameter);
    }
    const accepted = this.#accept(message, { at: 'finished', agreed, proven });
    if (accepted.type === 'failed') return accepted;
    const certificate = this.compose(HANDSHAKE.certificate, writeCertificate(this.identity.der));
    const exchange = this.compose(HANDSHAKE.clientKeyExchange, writeClientKeyExchange(share.publicKey));
    this.agree(preMaster, agreed);
    // RFC 5246 §7.4.8: signed is every message before this one.
    const signature = this.identity.sign(scheme, this.transcript);
    const verify = this.compose(HANDSHAKE.certificateVerify, writeCertificateVerify(scheme, signature));
    return { type: 'flight', flight: [certificate, exchange, verify, ...this.composeFinished()] };
  }

  #finished(message: HandshakeMessage, agreed: Negotiated, proven: PeerCertificate): Step {
    const wrong = this.checkFinished(message);
    if (wrong !== undefined) return wrong;
    const result = this.result(agreed, proven);
    this.#state = { at: 'done' };
    return { type: 'established', result, flight: [] };
  }

  #accept(message: HandshakeMessage, next: State): Step {
    const over = this.overLimit(message);
    if (over !== undefined) return over;
    this.record(message);
    this.#state = next;
    return ACCEPTED;
  }
}
