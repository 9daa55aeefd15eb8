// What of the DTLS engine reads hostile bytes before OpenSSL does, under the sanitizers and without OpenSSL.
#include <random>

#include "dtls_limits.h"
#include "gate.h"
#include "test.h"

namespace claviger::dtls {

// For these tests a certificate is promised when it begins with 0x30.
bool matchesAny(Span der, const std::vector<Fingerprint>&) { return der.length > 0 && der.data[0] == 0x30; }

}  // namespace claviger::dtls

using namespace claviger::dtls;

namespace {

Span span(const Bytes& bytes) { return {bytes.data(), bytes.size()}; }

const Bytes PROMISED = {0, 0, 5, 0, 0, 2, 0x30, 7};
const Bytes STRANGE = {0, 0, 5, 0, 0, 2, 0x31, 7};

Bytes piece(uint8_t type, uint16_t sequence, const Bytes& body, size_t from, size_t to) {
  Bytes out = frameMessage(VERSION_1_2, 0, type, sequence, span(body));
  out.erase(out.begin(), out.begin() + RECORD_HEADER_BYTES);
  out[7] = static_cast<uint8_t>(from >> 8);
  out[8] = static_cast<uint8_t>(from);
  out[10] = static_cast<uint8_t>((to - from) >> 8);
  out[11] = static_cast<uint8_t>(to - from);
  Bytes cut(out.begin(), out.begin() + HANDSHAKE_HEADER_BYTES);
  cut.insert(cut.end(), body.begin() + static_cast<long>(from), body.begin() + static_cast<long>(to));
  return cut;
}

Gate::Outcome hear(Gate& gate, const Bytes& payload) {
  Gate::Outcome out;
  Record record;
  record.type = HANDSHAKE;
  record.payload = span(payload);
  gate.handshakeRecord(record, out);
  return out;
}

Gate::Outcome hear(Gate& gate, uint8_t type, uint16_t sequence, const Bytes& body) {
  return hear(gate, piece(type, sequence, body, 0, body.size()));
}

Gate serverGate(const std::vector<Fingerprint>& none) { return Gate(false, none); }

}  // namespace

TEST("dtls", "the gate passes each message in its turn, whole, once, with record numbers of its own") {
  const std::vector<Fingerprint> none;
  Gate gate = serverGate(none);
  gate.beginAfterHello(7);
  CHECK(hear(gate, CLIENT_KEY_EXCHANGE, 3, {1, 2}).records.empty());
  const auto got = hear(gate, CERTIFICATE, 2, PROMISED);
  CHECK(got.moved && !got.doubt.has_value() && got.records.size() == 2);
  CHECK(got.records[0] == frameMessage(VERSION_1_2, 8, CERTIFICATE, 2, span(PROMISED)));
  CHECK(got.records[1][10] == 9);
  CHECK(hear(gate, CERTIFICATE, 2, PROMISED).records.empty());
  CHECK(hear(gate, CERTIFICATE_VERIFY, 4, {3}).records.size() == 1);
  CHECK(hear(gate, 20, 5, Bytes(12)).records.empty());
  CHECK(gate.heldBytes() <= 12);
}

TEST("dtls", "the gate doubts what speaks against the handshake and still takes what is genuine") {
  const std::vector<Fingerprint> none;
  Gate gate = serverGate(none);
  gate.beginAfterHello(0);
  CHECK(std::string(hear(gate, CERTIFICATE, 2, STRANGE).doubt->reason) == "fingerprint-mismatch");
  CHECK(std::string(hear(gate, CERTIFICATE, 2, {0, 0, 0}).doubt->reason) == "no-certificate");
  CHECK(std::string(hear(gate, CLIENT_KEY_EXCHANGE, 2, {1}).doubt->reason) == "no-certificate");
  CHECK(!hear(gate, CERTIFICATE, 2, {0, 0, 9, 0, 0, 2, 0x30, 7}).moved);
  CHECK(hear(gate, CERTIFICATE, 2, PROMISED).moved);
}

TEST("dtls", "pieces join in any order, and a forged piece does not shut out the genuine ones") {
  const std::vector<Fingerprint> none;
  Gate gate = serverGate(none);
  gate.beginAfterHello(0);
  CHECK(hear(gate, piece(CERTIFICATE, 2, Bytes(4000), 9, 59)).records.empty());
  CHECK(hear(gate, piece(CERTIFICATE, 2, PROMISED, 3, 8)).records.empty());
  CHECK(hear(gate, piece(CERTIFICATE, 2, PROMISED, 0, 4)).records.size() == 1);
}

TEST("dtls", "a record of epoch 1 brings ChangeCipherSpec after the last plaintext message, once") {
  const std::vector<Fingerprint> none;
  Gate gate = serverGate(none);
  gate.beginAfterHello(0);
  const Bytes sealed(60);
  Record record;
  record.epoch = 1;
  record.whole = span(sealed);
  Gate::Outcome early;
  gate.protectedRecord(record, early);
  CHECK(early.records.size() == 1);
  hear(gate, CERTIFICATE, 2, PROMISED);
  hear(gate, CLIENT_KEY_EXCHANGE, 3, {1});
  const auto last = hear(gate, CERTIFICATE_VERIFY, 4, {1});
  CHECK(last.records.size() == 2 && last.records[1][0] == CHANGE_CIPHER_SPEC);
  Gate::Outcome late;
  gate.protectedRecord(record, late);
  CHECK(late.records.size() == 1);
}

TEST("dtls", "no bytes read beyond a datagram, none held beyond the limit") {
  std::mt19937 random(5);
  const std::vector<Fingerprint> none;
  for (const bool client : {true, false}) {
    Gate gate(client, none);
    if (!client) gate.beginAfterHello(0);
    for (int round = 0; round < 20000; round++) {
      Bytes datagram(random() % 120);
      for (uint8_t& byte : datagram) byte = static_cast<uint8_t>(random() % 4 == 0 ? random() : random() % 24);
      if (datagram.size() > 30 && round % 4 != 0) {
        const Bytes good = {22, 0xfe, 0xfd, 0, static_cast<uint8_t>(random() % 3 == 0), 0, 0, 0, 0, 0, 1, 0};
        std::copy(good.begin(), good.end(), datagram.begin());
        datagram[12] = static_cast<uint8_t>(datagram.size() - 13 + (random() % 8 == 0));
      }
      const Bytes exact(datagram);  // the sanitizer sees its very end
      Span rest = span(exact);
      Record record;
      Gate::Outcome out;
      while (nextRecord(rest, record)) {
        if (record.epoch == 0) gate.handshakeRecord(record, out);
        else gate.protectedRecord(record, out);
        ClientHello hello;
        Span der;
        readClientHello(record.payload, hello);
        readFirstCertificate(record.payload, der);
      }
      CHECK(gate.heldBytes() <= 2 * DTLS_MAX_HANDSHAKE_MESSAGE_BYTES);
    }
  }
}
