#include "wire.h"

#include "dtls_limits.h"

namespace claviger::dtls {

namespace {

uint32_t big(const uint8_t* at, size_t bytes) {
  uint32_t value = 0;
  for (size_t i = 0; i < bytes; i++) value = value << 8 | at[i];
  return value;
}

void put(Bytes& out, uint64_t value, size_t bytes) {
  while (bytes-- > 0) out.push_back(static_cast<uint8_t>(value >> (8 * bytes)));
}

void skip(Span& rest, size_t bytes) {
  rest.data += bytes;
  rest.length -= bytes;
}

// A vector behind a length of `prefix` bytes.
bool take(Span& rest, size_t prefix, Span& out) {
  if (rest.length < prefix) return false;
  const size_t length = big(rest.data, prefix);
  if (rest.length - prefix < length) return false;
  out = {rest.data + prefix, length};
  skip(rest, prefix + length);
  return true;
}

}  // namespace

bool nextRecord(Span& rest, Record& out) {
  if (rest.length < RECORD_HEADER_BYTES) return false;
  const uint8_t* at = rest.data;
  const uint32_t version = big(at + 1, 2);
  const size_t length = big(at + 11, 2);
  out.type = at[0];
  out.epoch = static_cast<uint16_t>(big(at + 3, 2));
  out.sequence = static_cast<uint64_t>(big(at + 5, 2)) << 32 | big(at + 7, 4);
  if (out.type < CHANGE_CIPHER_SPEC || out.type > APPLICATION_DATA) return false;
  // A first ClientHello or a HelloVerifyRequest may carry the version of DTLS 1.0 (RFC 6347 §4.2.1).
  if (version != VERSION_1_2 && !(version == VERSION_1_0 && out.epoch == 0)) return false;
  if (length > rest.length - RECORD_HEADER_BYTES) return false;
  out.payload = {at + RECORD_HEADER_BYTES, length};
  out.whole = {at, RECORD_HEADER_BYTES + length};
  skip(rest, out.whole.length);
  return true;
}

bool nextFragment(Span& rest, Fragment& out) {
  if (rest.length < HANDSHAKE_HEADER_BYTES) return false;
  const uint8_t* at = rest.data;
  out.type = at[0];
  out.length = big(at + 1, 3);
  out.sequence = static_cast<uint16_t>(big(at + 4, 2));
  out.offset = big(at + 6, 3);
  out.bytes = {at + HANDSHAKE_HEADER_BYTES, big(at + 9, 3)};
  if (out.bytes.length > rest.length - HANDSHAKE_HEADER_BYTES) return false;
  // With its header it must still fit in one record when it is handed on.
  if (out.length > DTLS_MAX_HANDSHAKE_MESSAGE_BYTES - HANDSHAKE_HEADER_BYTES) return false;
  if (out.offset > out.length || out.bytes.length > out.length - out.offset) return false;
  skip(rest, HANDSHAKE_HEADER_BYTES + out.bytes.length);
  return true;
}

Bytes frameRecord(uint8_t type, uint16_t version, uint64_t sequence, Span payload) {
  Bytes out;
  out.reserve(RECORD_HEADER_BYTES + payload.length);
  out.push_back(type);
  put(out, version, 2);
  put(out, 0, 2);
  put(out, sequence, 6);
  put(out, payload.length, 2);
  out.insert(out.end(), payload.data, payload.data + payload.length);
  return out;
}

Bytes frameMessage(uint16_t version, uint64_t recordSequence, uint8_t type, uint16_t sequence, Span body) {
  Bytes message;
  message.reserve(HANDSHAKE_HEADER_BYTES + body.length);
  message.push_back(type);
  put(message, body.length, 3);
  put(message, sequence, 2);
  put(message, 0, 3);
  put(message, body.length, 3);
  message.insert(message.end(), body.data, body.data + body.length);
  return frameRecord(HANDSHAKE, version, recordSequence, {message.data(), message.size()});
}

bool readClientHello(Span body, ClientHello& out) {
  constexpr size_t VERSION_BYTES = 2, RANDOM_BYTES = 32;
  if (body.length < VERSION_BYTES + RANDOM_BYTES) return false;
  skip(body, VERSION_BYTES);
  out.random = {body.data, RANDOM_BYTES};
  skip(body, RANDOM_BYTES);
  Span session;
  return take(body, 1, session) && take(body, 1, out.cookie);
}

bool readFirstCertificate(Span body, Span& der) {
  Span list;
  if (!take(body, 3, list) || body.length != 0) return false;
  der = {};
  return list.length == 0 || (take(list, 3, der) && der.length > 0);
}

}  // namespace claviger::dtls
