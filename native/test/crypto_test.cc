// The test-only cryptography on published vectors, and what the core builds on it.
#include "channel_keys.h"
#include "ekt_field.h"
#include "ekt_tag.h"
#include "gcm.h"
#include "test.h"

using namespace claviger;
using test::Bytes;
using test::hex;
using test::same;

TEST("crypto", "SHA-1 (FIPS 180-4 examples)") {
  const struct {
    std::string text;
    const char* digest;
  } cases[] = {{"abc", "a9993e364706816aba3e25717850c26c9cd0d89d"},
               {"", "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
               {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "84983e441c3bd26ebaae4aa1f95129e5e54670f1"},
               {std::string(1000000, 'a'), "34aa973cd4c4daa4f61eeb2bdbad27316534016f"}};
  for (const auto& c : cases) {
    SHA_CTX sha;
    uint8_t digest[20];
    SHA1_Init(&sha);
    SHA1_Update(&sha, c.text.data(), c.text.size());
    SHA1_Final(digest, &sha);
    CHECK(same(digest, hex(c.digest)));
  }
}

TEST("crypto", "SHA-256 (FIPS 180-4 examples)") {
  const struct {
    std::string text;
    const char* digest;
  } cases[] = {{"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
               {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
               {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
               {std::string(1000000, 'a'), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"}};
  for (const auto& c : cases) {
    SHA256_CTX sha;
    uint8_t digest[32];
    SHA256_Init(&sha);
    SHA256_Update(&sha, c.text.data(), c.text.size());
    SHA256_Final(digest, &sha);
    CHECK(same(digest, hex(c.digest)));
  }
}

TEST("crypto", "HMAC-SHA-256 (RFC 4231 cases 1 and 2)") {
  const struct {
    Bytes key;
    std::string data;
    const char* digest;
  } cases[] = {
      {Bytes(20, 0x0b), "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
      {{'J', 'e', 'f', 'e'}, "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"}};
  for (const auto& c : cases) {
    HmacSha256Key key;
    uint8_t digest[32];
    prepareHmac(key, c.key.data(), c.key.size());
    HmacSha256 mac(key);
    mac.update(reinterpret_cast<const uint8_t*>(c.data.data()), c.data.size());
    mac.finish(digest);
    CHECK(same(digest, hex(c.digest)));
  }
}

TEST("crypto", "fields of ekt-field.json are unwrapped (RFC 5649), and no bit of them can be changed") {
  const struct {
    const char* kek;
    const char* wrapped;
    const char* plain;
  } cases[] = {
      {"000102030405060708090a0b0c0d0e0f",
       "72b23f54f600d0fd7b495d358beec11fb0ca0d7b32cfe2653d5343fa19189dfecc8e5c4b887f877d",
       "10e1f97a0d3e018be0d64fa32c06de4139cafebabe00000000"},
      {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
       "032f5d5bb2bcdd304f85a381705d504af31eee44303d6e982356e7b24cdc11a2a9a8b8fc81ce178b4ce63164610ba77eddd05ee710c52c27",
       "20202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3fcafebabe00000001"}};
  for (const auto& c : cases) {
    const Bytes kek = hex(c.kek), wrapped = hex(c.wrapped), plain = hex(c.plain);
    AES_KEY schedule;
    AES_set_decrypt_key(kek.data(), static_cast<int>(kek.size() * 8), &schedule);
    uint8_t out[MAX_WRAPPED_BYTES];
    CHECK(unwrapPadded(schedule, wrapped.data(), wrapped.size(), out) == plain.size());
    CHECK(same(out, plain));
    FieldPlaintext told;
    CHECK(readFieldPlaintext(out, plain.size(), kek.size(), told) && told.ssrc == 0xcafebabe);
    CHECK(!readFieldPlaintext(out, plain.size(), 48 - kek.size(), told));
    for (size_t bit = 0; bit < wrapped.size() * 8; bit++) {
      Bytes forged = wrapped;
      forged[bit / 8] ^= static_cast<uint8_t>(1u << bit % 8);
      CHECK(unwrapPadded(schedule, forged.data(), forged.size(), out) == 0);
    }
  }
}

TEST("crypto", "AES-128 and AES-256, both ways (FIPS 197 Appendix C)") {
  const Bytes plain = hex("00112233445566778899aabbccddeeff");
  const struct {
    const char* key;
    const char* cipher;
  } cases[] = {{"000102030405060708090a0b0c0d0e0f", "69c4e0d86a7b0430d8cdb78070b4c55a"},
               {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "8ea2b7ca516745bfeafc49904b496089"}};
  for (const auto& c : cases) {
    const Bytes key = hex(c.key);
    AES_KEY schedule;
    uint8_t out[16];
    AES_set_encrypt_key(key.data(), static_cast<int>(key.size() * 8), &schedule);
    AES_encrypt(plain.data(), out, &schedule);
    CHECK(same(out, hex(c.cipher)));
    AES_set_decrypt_key(key.data(), static_cast<int>(key.size() * 8), &schedule);
    AES_decrypt(out, out, &schedule);
    CHECK(same(out, plain));
  }
}

TEST("crypto", "HMAC-SHA1 (RFC 2202 cases 1 and 2)") {
  const struct {
    Bytes key;
    std::string data;
    const char* digest;
  } cases[] = {{Bytes(20, 0x0b), "Hi There", "b617318655057264e28bc0b6fb378c8ef146be00"},
               {{'J', 'e', 'f', 'e'}, "what do ya want for nothing?", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"}};
  for (const auto& c : cases) {
    HmacSha1Key key;
    uint8_t digest[20];
    prepareHmac(key, c.key.data(), c.key.size());
    HmacSha1 mac(key);
    mac.update(reinterpret_cast<const uint8_t*>(c.data.data()), 3);
    mac.update(reinterpret_cast<const uint8_t*>(c.data.data()) + 3, c.data.size() - 3);
    mac.finish(digest);
    CHECK(same(digest, hex(c.digest)));
  }
}

TEST("crypto", "key derivation (RFC 3711 B.3)") {
  const Bytes key = hex("e1f97a0d3e018be0d64fa32c06de4139");
  const Bytes salt = hex("0ec675ad498afeebb6960b3aabe6");
  AES_KEY master;
  AES_set_encrypt_key(key.data(), 128, &master);
  uint8_t out[94];
  deriveKey(master, salt.data(), Label::rtpEncryption, out, 16);
  CHECK(same(out, hex("c61e7a93744f39ee10734afe3ff7a087")));
  deriveKey(master, salt.data(), Label::rtpSalt, out, 14);
  CHECK(same(out, hex("30cbbc08863d8c85d49db34a9ae1")));
  deriveKey(master, salt.data(), Label::rtpAuthentication, out, sizeof out);
  CHECK(same(out, hex("cebe321f6ff7716b6fd4ab49af256a156d38baa48f0a0acf3c34e2359e6cdbcee049646c43d9327ad175578ef722"
                      "70986371c10c9a369ac2f94a8c5fbcdddc256d6e919a48b610ef17c2041e474035766b68642c59bbfc2f34db60db"
                      "dfb2")));
}

TEST("crypto", "AES counter mode over the carry (RFC 3711 B.2)") {
  const Bytes key = hex("2b7e151628aed2a6abf7158809cf4f3c");
  const Bytes counter = hex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
  AES_KEY schedule;
  AES_set_encrypt_key(key.data(), 128, &schedule);
  uint8_t stream[48] = {};
  aesCounter(schedule, counter.data(), stream, sizeof stream);
  CHECK(same(stream, hex("ec8cdf7398607cb0f2d21675ea9ea1e4")));
}

TEST("crypto", "SRTCP of profile 0x0001 (published packet of rfc3711.json)") {
  const Bytes master = hex("e1f97a0d3e018be0d64fa32c06de41390ec675ad498afeebb6960b3aabe6");
  const Bytes wire = hex("81c8000bcafebabe7128035be487b9bdbef89041f977a5a880000001993e08cd54d6c1230798");
  Bytes packet = hex("81c8000bcafebabeabababababababababababababababab");
  const Bytes plain = packet;
  SrtcpKeys keys{};
  deriveSrtcpKeys(PROFILE_AES128_CM_SHA1_80, master.data(), keys);
  packet.resize(wire.size());
  CHECK(protectSrtcp(keys, packet.data(), plain.size(), 1) == wire.size());
  CHECK(packet == wire);
  CHECK(unprotectSrtcp(keys, packet.data(), packet.size()) == plain.size());
  CHECK(same(packet.data(), plain));
}

TEST("crypto", "SRTCP with AES-GCM (RFC 7714 §17, session keys)") {
  const Bytes plain = hex(
      "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef");
  const struct {
    const char* key;
    const char* wire;
  } cases[] = {
      {"000102030405060708090a0b0c0d0e0f",
       "81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0bb9275bc84aa45896"
       "cf4d2fc5abf87245d9eade800005d4"},
      {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
       "81c8000d4d617273d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61de0476f1b6fad1d1eb30c44"
       "46839f57ff6f6cb26ac3be800005d4"}};
  for (const auto& c : cases) {
    const Bytes key = hex(c.key), salt = hex("517569642070726f2071756f"), wire = hex(c.wire);
    SrtcpKeys keys{};
    keys.gcm = true;
    AES_set_encrypt_key(key.data(), static_cast<int>(key.size() * 8), &keys.cipher);
    std::memcpy(keys.salt, salt.data(), salt.size());
    Bytes packet = plain;
    packet.resize(wire.size());
    CHECK(protectSrtcp(keys, packet.data(), plain.size(), 1492) == wire.size());
    CHECK(packet == wire);
    for (size_t i = 0; i < wire.size(); i++) {
      Bytes forged = wire;
      forged[i] ^= 1;
      CHECK(unprotectSrtcp(keys, forged.data(), forged.size()) == 0);
    }
    CHECK(unprotectSrtcp(keys, packet.data(), packet.size()) == plain.size());
    CHECK(same(packet.data(), plain));
  }
}

TEST("crypto", "tags of ekt-tag.json, Full and Short, SRTP and SRTCP") {
  const Bytes master = hex("e1f97a0d3e018be0d64fa32c06de4139"), salt = hex("0ec675ad498afeebb6960b3aabe6");
  const struct {
    bool srtp;
    uint32_t roc;
    const char* wire;
  } cases[] = {
      {true, 0,
       "800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d24029940a215bbf5b29b7a5294a8be3e0d3488e84c1fdc44fc1036660000000"
       "012341235"},
      {true, 0, "800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d24024264487c1cf815b2eed200"},
      {true, 1, "800f1234decafbadcafebabe179265c8bf303e4c24e7279f739bb5a6fd740fee0c795f41cebd00"},
      {false, 0,
       "81c8000bcafebabe7128035be487b9bdbef89041f977a5a8800000012f418ddfd07e914c9e9594a8be3e0d3488e84c1fdc44fc1036660000000"
       "012341235"},
      {false, 0, "81c8000bcafebabe7128035be487b9bdbef89041f977a5a8800000019c62776da67ccbe91b0000"}};
  SenderKeys keys;
  deriveSenderKeys(master.data(), salt.data(), keys);
  for (const auto& c : cases) {
    const Bytes wire = hex(c.wire);
    TagView tag;
    uint8_t base[BASE_TAG_BYTES];
    CHECK(parseTag(wire.data(), wire.size(), 12, tag));
    if (c.srtp) {
      srtpBaseTag(keys.srtp, wire.data(), tag.authenticated, tag.wrapped, c.roc, base);
    } else {
      srtcpBaseTag(keys.srtcp, wire.data(), tag.authenticated, tag.wrapped, base);
    }
    CHECK(std::memcmp(base, wire.data() + tag.authenticated, BASE_TAG_BYTES) == 0);
  }
}
