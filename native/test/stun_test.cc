// STUN messages against the samples of RFC 5769, and what of others is refused.
#include "stun_peer.h"

using namespace test;

namespace {

// RFC 5769 §2.1 to §2.3; username evtj:h6vY.
const std::string PASSWORD = "VOkJxbRl1RmTxUk/WvJxBt";
const Bytes REQUEST = hex(
    "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff80290008932ff9b151263b36"
    "000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf");
const Bytes RESPONSE = hex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643000800142b91f599fd9e90c3"
    "8c7489f92af9ba53f06be7d780280004c07d4c96");
const Bytes RESPONSE_V6 = hex(
    "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9"
    "00080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c");

HmacSha1Key passwordKey() {
  HmacSha1Key key;
  prepareHmac(key, text(PASSWORD).data(), PASSWORD.size());
  return key;
}

}  // namespace

TEST("stun", "the sample request and responses of RFC 5769 are read and verify") {
  for (const Bytes* sample : {&REQUEST, &RESPONSE, &RESPONSE_V6}) {
    StunMessage m;
    CHECK(parseStun(sample->data(), sample->size(), m) && m.method == STUN_BINDING);
    CHECK(m.integrityAt > 0 && verifyStun(sample->data(), m, passwordKey()));
    Bytes other = *sample;
    other[m.integrityAt - 1] ^= 1;
    CHECK(!verifyStun(other.data(), m, passwordKey()));
  }
  StunMessage m;
  CHECK(parseStun(REQUEST.data(), REQUEST.size(), m) && m.kind == StunClass::request && m.controlled && !m.useCandidate);
  CHECK(m.unknownCount == 0 && m.usernameLength == 9 && same(m.username, text("evtj:h6vY")));
  CHECK(parseStun(RESPONSE.data(), RESPONSE.size(), m) && m.kind == StunClass::success);
}

TEST("stun", "an answer maps the address as the samples of RFC 5769 do, IPv4 and IPv6") {
  StunMessage request;
  CHECK(parseStun(REQUEST.data(), REQUEST.size(), request));
  const struct {
    const char* literal;
    const Bytes& sample;
  } cases[] = {{"192.0.2.1", RESPONSE}, {"2001:db8:1234:5678:11:2233:4455:6677", RESPONSE_V6}};
  for (const auto& c : cases) {
    uint8_t out[STUN_MAX_ANSWER_BYTES];
    const size_t length = writeBindingSuccess(request, at(c.literal, 32853), passwordKey(), out);
    const Bytes answer(out, out + length);
    CHECK(attributeOf(answer, 0x0020) == attributeOf(c.sample, 0x0020));
    StunMessage m;
    CHECK(parseStun(out, length, m) && m.kind == StunClass::success && verifyStun(out, m, passwordKey()));
    CHECK(same(m.transaction, Bytes(REQUEST.begin() + 8, REQUEST.begin() + 20)));
  }
}

TEST("stun", "an error fits its buffer and names the attributes that were not understood") {
  CheckOptions o;
  o.unknown = 0x7fff;
  const Bytes bytes = check(1, o);
  StunMessage m;
  CHECK(parseStun(bytes.data(), bytes.size(), m) && m.unknownCount == 1);
  m.unknownCount = STUN_MAX_UNKNOWN_ATTRIBUTES;
  for (size_t i = 0; i < m.unknownCount; i++) m.unknown[i] = static_cast<uint16_t>(0x7000 + i);
  const HmacSha1Key key = passwordKey();
  uint8_t out[STUN_MAX_ANSWER_BYTES];
  const size_t length = writeBindingError(m, StunError::unknownAttribute, &key, out);
  const Bytes answer(out, out + length);
  CHECK(errorOf(answer) == 420 && attributeOf(answer, 0x000a).size() == 16 && attributeOf(answer, 0x000a)[15] == 7);
  StunMessage read;
  CHECK(parseStun(out, length, read) && verifyStun(out, read, key));
}

TEST("stun", "what is cut short, longer than it says, without FINGERPRINT or with a wrong one is no message") {
  const Bytes good = check(1);
  StunMessage m;
  CHECK(parseStun(good.data(), good.size(), m));
  for (size_t length = 0; length < good.size(); length++) {
    const Bytes cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(length));
    CHECK(!parseStun(cut.data(), cut.size(), m));
  }
  Bytes longer = good;
  longer.resize(good.size() + 4);
  CHECK(!parseStun(longer.data(), longer.size(), m));
  for (size_t i = 0; i < good.size(); i++) {
    Bytes changed = good;
    changed[i] ^= 0x10;
    CHECK(!parseStun(changed.data(), changed.size(), m));
  }
  CheckOptions bare;
  bare.fingerprint = false;
  const Bytes without = check(1, bare);
  CHECK(!parseStun(without.data(), without.size(), m));
}

TEST("stun", "an attribute behind MESSAGE-INTEGRITY, which it does not cover, is not read") {
  CheckOptions o;
  o.useCandidate = false;
  Bytes bytes = check(1, o);
  const Bytes added = {0, 0x25, 0, 0};
  bytes.insert(bytes.end() - 8, added.begin(), added.end());
  sealStun(bytes);
  StunMessage m;
  CHECK(parseStun(bytes.data(), bytes.size(), m) && m.integrityAt > 0 && !m.useCandidate);
}
