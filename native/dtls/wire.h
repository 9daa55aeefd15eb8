// Records and handshake messages as they lie in a datagram (RFC 6347 §4.1, §4.2.2). Reads hostile bytes; owns nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace claviger::dtls {

using Bytes = std::vector<uint8_t>;

constexpr size_t RECORD_HEADER_BYTES = 13;
constexpr size_t HANDSHAKE_HEADER_BYTES = 12;
constexpr uint16_t VERSION_1_2 = 0xfefd;
constexpr uint16_t VERSION_1_0 = 0xfeff;

enum Content : uint8_t { CHANGE_CIPHER_SPEC = 20, ALERT = 21, HANDSHAKE = 22, APPLICATION_DATA = 23 };

enum Message : uint8_t {
  CLIENT_HELLO = 1,
  SERVER_HELLO = 2,
  HELLO_VERIFY_REQUEST = 3,
  CERTIFICATE = 11,
  SERVER_KEY_EXCHANGE = 12,
  CERTIFICATE_REQUEST = 13,
  SERVER_HELLO_DONE = 14,
  CERTIFICATE_VERIFY = 15,
  CLIENT_KEY_EXCHANGE = 16,
};

struct Span {
  const uint8_t* data = nullptr;
  size_t length = 0;
};

struct Record {
  uint8_t type = 0;
  uint16_t epoch = 0;
  uint64_t sequence = 0;
  Span payload;
  // With its header.
  Span whole;
};

// Takes the next record off `rest`; false when what is left cannot be one: behind it nothing can be framed.
bool nextRecord(Span& rest, Record& out);

struct Fragment {
  uint8_t type = 0;
  uint16_t sequence = 0;
  uint32_t length = 0;
  uint32_t offset = 0;
  Span bytes;
};

// Takes the next handshake fragment off a record's payload; false when what is left is none, or of a message above the limit.
bool nextFragment(Span& rest, Fragment& out);

Bytes frameRecord(uint8_t type, uint16_t version, uint64_t sequence, Span payload);
// A whole message in one piece, in a plaintext record.
Bytes frameMessage(uint16_t version, uint64_t recordSequence, uint8_t type, uint16_t sequence, Span body);

struct ClientHello {
  Span random;
  Span cookie;
};

// As far as the cookie; false when it is none.
bool readClientHello(Span body, ClientHello& out);

// The first certificate of a Certificate message (RFC 5246 §7.4.2); `der.length` is 0 for an empty list. False: malformed.
bool readFirstCertificate(Span body, Span& der);

}  // namespace claviger::dtls
