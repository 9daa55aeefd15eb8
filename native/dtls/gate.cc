#include "gate.h"

namespace claviger::dtls {

namespace {

constexpr int HANDSHAKE_FAILURE = 40, BAD_CERTIFICATE = 42, PROTOCOL_VERSION = 70;

const std::vector<uint8_t> SERVERS = {SERVER_HELLO, CERTIFICATE, SERVER_KEY_EXCHANGE, CERTIFICATE_REQUEST,
                                      SERVER_HELLO_DONE};
const std::vector<uint8_t> CLIENTS = {CERTIFICATE, CLIENT_KEY_EXCHANGE, CERTIFICATE_VERIFY};

}  // namespace

Gate::Gate(bool client, const std::vector<Fingerprint>& promised)
    : client_(client), promised_(promised), turns_(client ? SERVERS : CLIENTS), mayVerifyHello_(client) {}

void Gate::beginAfterHello(uint64_t recordSequence) {
  recordSequence_ = recordSequence + 1;
  reassembler_.advance(1);
}

void Gate::handshakeRecord(const Record& record, Outcome& out) {
  Span rest = record.payload;
  Fragment fragment;
  while (nextFragment(rest, fragment)) {
    reassembler_.add(fragment);
    deliver(out);
  }
}

void Gate::deliver(Outcome& out) {
  Reassembler::Whole message;
  while (!complete() && reassembler_.take(reassembler_.next(), message)) {
    const bool verifyHello = mayVerifyHello_ && message.type == HELLO_VERIFY_REQUEST;
    // Refused, its number stays open for the genuine one.
    if (!verifyHello && !acceptable(message, out)) return;
    const uint16_t sequence = reassembler_.next();
    out.records.push_back(frameMessage(VERSION_1_2, recordSequence_++, message.type, sequence,
                                       {message.body.data(), message.body.size()}));
    reassembler_.advance(sequence);
    mayVerifyHello_ = false;
    if (!verifyHello) turn_++;
    out.doubt.reset();
    out.moved = true;
  }
  if (complete() && protectedSeen_) changeCipher(out);
}

bool Gate::acceptable(const Reassembler::Whole& message, Outcome& out) const {
  const uint8_t expected = turns_[turn_];
  const Bytes& body = message.body;
  if (message.type != expected) {
    if (expected == CERTIFICATE_REQUEST && message.type == SERVER_HELLO_DONE) {
      out.doubt = Finding{"no-certificate", "the server did not ask for our certificate", -1, HANDSHAKE_FAILURE};
    } else if (!client_ && expected == CERTIFICATE && message.type == CLIENT_KEY_EXCHANGE) {
      out.doubt = Finding{"no-certificate", "the client sent no Certificate", -1, HANDSHAKE_FAILURE};
    }
    return false;
  }
  if (expected == SERVER_HELLO && (body.size() < 2 || body[0] != 0xfe || body[1] != 0xfd)) {
    out.doubt = Finding{"no-common-parameters", "the server does not speak DTLS 1.2", -1, PROTOCOL_VERSION};
    return false;
  }
  if (expected != CERTIFICATE) return true;
  Span der;
  if (!readFirstCertificate({body.data(), body.size()}, der)) return false;
  if (der.length == 0) {
    out.doubt = Finding{"no-certificate", "the peer's list of certificates is empty", -1, HANDSHAKE_FAILURE};
    return false;
  }
  if (matchesAny(der, promised_)) return true;
  out.doubt = Finding{"fingerprint-mismatch", "the certificate is not the one that SDP promised", -1, BAD_CERTIFICATE};
  return false;
}

void Gate::protectedRecord(const Record& record, Outcome& out) {
  protectedSeen_ = true;
  if (complete()) changeCipher(out);
  out.records.emplace_back(record.whole.data, record.whole.data + record.whole.length);
}

// ChangeCipherSpec says nothing that the epoch does not (RFC 6347 §4.1): the peer's is not heard, OpenSSL gets ours.
void Gate::changeCipher(Outcome& out) {
  if (cipherChanged_) return;
  cipherChanged_ = true;
  const uint8_t one = 1;
  out.records.push_back(frameRecord(CHANGE_CIPHER_SPEC, VERSION_1_2, recordSequence_++, {&one, 1}));
}

}  // namespace claviger::dtls
