// What a packet costs the switching core, without sockets: the very Switch of the relay threads over a transport that
// sends nothing, beside the digest functions that it cannot do without.
#pragma once
#include <vector>

#include "switch.h"

namespace claviger::bench {

using Bytes = std::vector<uint8_t>;

struct RetagInput {
  std::vector<Bytes> setup;   // commands that open the conference
  std::vector<Bytes> routes;  // commands that give the source its one receiver
  uint32_t channel = 0;       // the source
  Bytes first;                // Full tag: brings the key
  Bytes packets;              // Short tags, `bytes` each, ROC 0, in order
  size_t bytes = 0;
  Bytes senderKey;
  Bytes masterSalt;
  // Suites 17 and 18: what each packet's route tag is computed over, all of one length (WIRE.md 6). Empty: suite 1.
  Bytes routeTagInputs;
};

enum class Work : uint8_t {
  verify,   // Switch::receive and flush, no route
  variant,  // the same with one receiver: verify, rewrite, tag, hand-over to a transport that only counts
  hmac,     // HMAC-SHA1 (route tags: HMAC-SHA-256) with precomputed states over each packet's tag input
  sha1,     // SHA-1 (SHA-256) over those bytes
};
constexpr uint32_t WORKS = 4;

struct Pass {
  uint64_t ns = 0;      // CLOCK_THREAD_CPUTIME_ID of the calling thread, over all packets
  uint32_t packets = 0;  // within the clock
  uint32_t right = 0;    // of these: accepted, and sent where that is the work; the tag right, for hmac
  uint64_t allocations = 0;  // from the heap within the clock
  uint64_t opening = 0;      // and before it, while the core was made and furnished
};

class Retag {
 public:
  explicit Retag(RetagInput input);
  ~Retag();
  Retag(const Retag&) = delete;
  Retag& operator=(const Retag&) = delete;

  // False: an input that no pass can use.
  bool usable() const;
  // All packets once. A replay window takes each packet once, so every pass has a core of its own, made before the clock.
  Pass run(Work work);

 private:
  Pass runCore(bool routed);
  Pass runHmac();
  Pass runSha1();
  Pass runRouteHmac();
  Pass runSha256();
  size_t count() const { return input_.packets.size() / input_.bytes; }
  const uint8_t* packet(size_t i) const { return input_.packets.data() + i * input_.bytes; }
  const uint8_t* tagInput(size_t i) const { return tagInputs_.data() + i * input_.bytes; }

  bool routed() const { return !input_.routeTagInputs.empty(); }
  size_t routeTagBytes() const { return input_.routeTagInputs.size() / count(); }
  const uint8_t* routeTagInput(size_t i) const { return input_.routeTagInputs.data() + i * routeTagBytes(); }

  RetagInput input_;
  Bytes tagInputs_;  // WIRE.md 5: authenticated portion, ROC, zeros: as long as the packet
  SHA_CTX inner_, outer_;
  uint8_t routeKey_[SHA256_DIGEST_LENGTH];  // any key costs the same
  SHA256_CTX routeInner_, routeOuter_;
};

}  // namespace claviger::bench
