// What the fuzzers share: a deterministic source of inputs, mutations, and the way to say that something is broken.
#pragma once
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "world.h"

namespace fuzz {

using test::Bytes;

struct Random {
  uint64_t state;
  uint64_t next() {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
  }
  size_t below(size_t n) { return static_cast<size_t>(next() % n); }
  Bytes bytes(size_t length) {
    Bytes out(length);
    for (uint8_t& b : out) b = static_cast<uint8_t>(next());
    return out;
  }
};

[[noreturn]] inline void broken(const char* what, const Bytes& input) {
  std::printf("fuzz: FAILED: %s:", what);
  for (const uint8_t b : input) std::printf(" %02x", b);
  std::printf("\n");
  std::exit(1);
}

inline void mutate(Random& random, Bytes& b, const Bytes& other) {
  for (size_t times = 1 + random.below(3); times > 0; times--) {
    switch (random.below(b.empty() ? 1 : 8)) {
      case 0:
        b.insert(b.begin() + static_cast<std::ptrdiff_t>(random.below(b.size() + 1)), 1 + random.below(40),
                 static_cast<uint8_t>(random.next()));
        break;
      case 1: b.resize(random.below(b.size() + 1)); break;
      case 2: b[random.below(b.size())] = static_cast<uint8_t>(random.next()); break;
      case 3: b[random.below(b.size() < 20 ? b.size() : 20)] ^= static_cast<uint8_t>(1u << random.below(8)); break;
      case 4: b[b.size() - 1 - random.below(b.size() < 40 ? b.size() : 40)] ^= static_cast<uint8_t>(1u << random.below(8)); break;
      case 5: {  // the tail of another input
        const size_t n = random.below((b.size() < other.size() ? b.size() : other.size()) + 1);
        std::copy(other.end() - static_cast<std::ptrdiff_t>(n), other.end(), b.end() - static_cast<std::ptrdiff_t>(n));
        break;
      }
      case 6: {  // its head
        const size_t n = random.below((b.size() < other.size() ? b.size() : other.size()) + 1);
        std::copy(other.begin(), other.begin() + static_cast<std::ptrdiff_t>(n), b.begin());
        break;
      }
      default: b.erase(b.begin() + static_cast<std::ptrdiff_t>(random.below(b.size()))); break;
    }
  }
}

struct Counts {
  uint64_t mutated = 0, accepted = 0;
};

// Bundles; until `runs` inputs were mutated in all.
void bundleTarget(Random& random, uint64_t runs, Counts& counts);
// Channels whose payloads end at the switch; `runs` mutated inputs more than there were.
void hopTargets(Random& random, uint64_t runs, Counts& counts);

}  // namespace fuzz
