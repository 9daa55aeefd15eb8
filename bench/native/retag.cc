#include "retag.h"

#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <array>

#include "allocations.h"
#include "clock.h"

namespace claviger::bench {
namespace {

constexpr uint64_t NOW = NS_PER_S;
constexpr size_t SHA1_BLOCK_BITS = 512;

// Counts what it is given. It reads one byte, so that nothing upstream can be thought useless.
class NullTransport final : public Transport {
 public:
  bool send(Outlet&, const uint8_t* bytes, size_t length) override {
    sent_++;
    last_ = bytes[length - 1];
    return true;
  }
  void sendTo(Outlet& from, const Address&, const uint8_t* bytes, size_t length) override { send(from, bytes, length); }
  bool opened(Outlet&) override { return true; }
  void connect(Outlet&, const Address&) override {}
  void close(Outlet&) override {}
  void discard(int) override {}
  uint32_t sent() const { return sent_; }

 private:
  uint32_t sent_ = 0;
  volatile uint8_t last_ = 0;
};

SHA_CTX stateOf(const SHA_LONG h[5]) {
  SHA_CTX c{};
  c.h0 = h[0];
  c.h1 = h[1];
  c.h2 = h[2];
  c.h3 = h[3];
  c.h4 = h[4];
  c.Nl = SHA1_BLOCK_BITS;
  return c;
}

SHA256_CTX routeState(const uint8_t (&key)[SHA256_DIGEST_LENGTH], uint8_t pad) {
  uint8_t block[SHA256_CBLOCK];
  std::memset(block, pad, sizeof block);
  for (size_t i = 0; i < sizeof key; i++) block[i] ^= key[i];
  SHA256_CTX c;
  SHA256_Init(&c);
  SHA256_Update(&c, block, sizeof block);
  return c;
}

}  // namespace

Retag::Retag(RetagInput input) : input_(std::move(input)), tagInputs_(input_.packets), inner_{}, outer_{} {
  if (!usable()) return;
  RAND_bytes(routeKey_, sizeof routeKey_);
  routeInner_ = routeState(routeKey_, 0x36);
  routeOuter_ = routeState(routeKey_, 0x5c);
  if (routed()) return;
  WipeOnExit<SenderKeys> keys;
  deriveSenderKeys(input_.senderKey.data(), input_.masterSalt.data(), keys.value);
  inner_ = stateOf(keys.value.srtp.inner);
  outer_ = stateOf(keys.value.srtp.outer);
  for (size_t i = 0; i < count(); i++) {
    std::memset(tagInputs_.data() + (i + 1) * input_.bytes - SHORT_TAG_BYTES, 0, SHORT_TAG_BYTES);
  }
}

Retag::~Retag() {
  wipe(&inner_, sizeof inner_);
  wipe(&outer_, sizeof outer_);
  wipe(input_.senderKey.data(), input_.senderKey.size());
}

bool Retag::usable() const {
  return input_.bytes > SHORT_TAG_BYTES && input_.bytes <= MAX_DATAGRAM_BYTES && !input_.packets.empty() &&
         input_.packets.size() % input_.bytes == 0 && input_.senderKey.size() == SENDER_KEY_BYTES &&
         input_.masterSalt.size() == MASTER_SALT_BYTES && input_.routeTagInputs.size() % count() == 0;
}

Pass Retag::run(Work work) {
  switch (work) {
    case Work::verify: return runCore(false);
    case Work::variant: return runCore(true);
    case Work::hmac: return routed() ? runRouteHmac() : runHmac();
    case Work::sha1: return routed() ? runSha256() : runSha1();
  }
  return {};
}

Pass Retag::runCore(bool routed) {
  Pass pass;
  pass.packets = static_cast<uint32_t>(count());
  const uint64_t atFirst = allocationsOfThread();
  NullTransport transport;
  std::vector<uint64_t> counters(THREAD_REGION_WORDS);
  Switch core(transport, counters.data());
  for (const Bytes& command : input_.setup) {
    if (!core.apply(command.data(), command.size(), NOW)) return pass;
  }
  for (const Bytes& command : input_.routes) {
    if (routed && !core.apply(command.data(), command.size(), NOW)) return pass;
  }
  Channel* channel = core.channel(input_.channel);
  if (channel == nullptr) return pass;
  const Address from = channel->peer;
  Bytes first = input_.first;
  if (core.receive(*channel, first.data(), first.size(), from, NOW) != Drop::none) return pass;
  core.flush();
  // As the kernel leaves them: in cells of the relay's own, which it rewrites.
  std::vector<Variant*> received(pass.packets);
  for (size_t i = 0; i < pass.packets; i++) {
    received[i] = core.variants().take();
    received[i]->length = static_cast<uint16_t>(input_.bytes);
    std::memcpy(received[i]->bytes, packet(i), input_.bytes);
  }
  const uint32_t sentBefore = transport.sent();
  uint32_t accepted = 0;
  const uint64_t allocationsBefore = allocationsOfThread();
  pass.opening = allocationsBefore - atFirst;
  const uint64_t begin = threadCpuNs();
  for (Variant* datagram : received) {
    accepted += core.receive(*channel, *datagram, from, NOW) == Drop::none;
    core.flush();
    core.variants().release(*datagram);
  }
  pass.ns = threadCpuNs() - begin;
  pass.allocations = allocationsOfThread() - allocationsBefore;
  const uint32_t sent = transport.sent() - sentBefore;
  pass.right = sent == (routed ? pass.packets : 0) ? accepted : 0;
  return pass;
}

Pass Retag::runHmac() {
  std::vector<std::array<uint8_t, SHA_DIGEST_LENGTH>> digests(count());
  Pass pass;
  pass.packets = static_cast<uint32_t>(count());
  const uint64_t begin = threadCpuNs();
  for (size_t i = 0; i < pass.packets; i++) {
    uint8_t* digest = digests[i].data();
    SHA_CTX c = inner_;
    SHA1_Update(&c, tagInput(i), input_.bytes);
    SHA1_Final(digest, &c);
    c = outer_;
    SHA1_Update(&c, digest, SHA_DIGEST_LENGTH);
    SHA1_Final(digest, &c);
  }
  pass.ns = threadCpuNs() - begin;
  for (size_t i = 0; i < pass.packets; i++) {
    const uint8_t* tag = packet(i) + input_.bytes - SHORT_TAG_BYTES;
    pass.right += std::memcmp(digests[i].data(), tag, BASE_TAG_BYTES) == 0;
  }
  return pass;
}

Pass Retag::runSha1() {
  std::vector<std::array<uint8_t, SHA_DIGEST_LENGTH>> digests(count());
  Pass pass;
  pass.packets = static_cast<uint32_t>(count());
  const uint64_t begin = threadCpuNs();
  for (size_t i = 0; i < pass.packets; i++) {
    SHA_CTX c;
    SHA1_Init(&c);
    SHA1_Update(&c, tagInput(i), input_.bytes);
    SHA1_Final(digests[i].data(), &c);
  }
  pass.ns = threadCpuNs() - begin;
  uint8_t expected[SHA_DIGEST_LENGTH];
  for (size_t i = 0; i < pass.packets; i++) {
    SHA1(tagInput(i), input_.bytes, expected);
    pass.right += std::memcmp(digests[i].data(), expected, sizeof expected) == 0;
  }
  return pass;
}

Pass Retag::runRouteHmac() {
  std::vector<std::array<uint8_t, SHA256_DIGEST_LENGTH>> digests(count());
  Pass pass;
  pass.packets = static_cast<uint32_t>(count());
  const uint64_t begin = threadCpuNs();
  for (size_t i = 0; i < pass.packets; i++) {
    uint8_t* digest = digests[i].data();
    SHA256_CTX c = routeInner_;
    SHA256_Update(&c, routeTagInput(i), routeTagBytes());
    SHA256_Final(digest, &c);
    c = routeOuter_;
    SHA256_Update(&c, digest, SHA256_DIGEST_LENGTH);
    SHA256_Final(digest, &c);
  }
  pass.ns = threadCpuNs() - begin;
  uint8_t expected[SHA256_DIGEST_LENGTH];
  for (size_t i = 0; i < pass.packets; i++) {
    HMAC(EVP_sha256(), routeKey_, sizeof routeKey_, routeTagInput(i), routeTagBytes(), expected, nullptr);
    pass.right += std::memcmp(digests[i].data(), expected, sizeof expected) == 0;
  }
  return pass;
}

Pass Retag::runSha256() {
  std::vector<std::array<uint8_t, SHA256_DIGEST_LENGTH>> digests(count());
  Pass pass;
  pass.packets = static_cast<uint32_t>(count());
  const uint64_t begin = threadCpuNs();
  for (size_t i = 0; i < pass.packets; i++) {
    SHA256_CTX c;
    SHA256_Init(&c);
    SHA256_Update(&c, routeTagInput(i), routeTagBytes());
    SHA256_Final(digests[i].data(), &c);
  }
  pass.ns = threadCpuNs() - begin;
  uint8_t expected[SHA256_DIGEST_LENGTH];
  for (size_t i = 0; i < pass.packets; i++) {
    SHA256(routeTagInput(i), routeTagBytes(), expected);
    pass.right += std::memcmp(digests[i].data(), expected, sizeof expected) == 0;
  }
  return pass;
}

}  // namespace claviger::bench
