// The live group parameter sets of a conference (WIRE.md 1, 4.2, 10).
#pragma once
#include <openssl/aes.h>

#include "ekt_tag.h"
#include "limits.h"

namespace claviger {

constexpr uint8_t SUITE_AES128_CM_SHA1_80 = 1;
constexpr uint8_t CIPHER_AES128_ECB = 1;

struct GroupSet {
  bool live = false;
  uint16_t spiWord = 0;
  uint8_t suite = 0;
  uint8_t cipher = 0;
  uint8_t place = 0;        // index in GroupSets: the bit in a channel's mask of acknowledged sets
  uint32_t generation = 0;  // 1, 2, ...: a later set is newer
  AES_KEY unwrap{};
  uint8_t salt[MASTER_SALT_BYTES] = {};
};

class GroupSets {
 public:
  ~GroupSets() { wipe(sets_, sizeof sets_); }

  // Refused: suites and ciphers that are not built, an SPI that does not rise, more than MAX_LIVE_SETS.
  bool install(uint16_t spiWord, uint8_t suite, uint8_t cipher, const uint8_t* kek, size_t kekLength,
               const uint8_t* salt, size_t saltLength);
  // Wipes the set; gives its place, or -1.
  int drop(uint16_t spiWord);
  const GroupSet* find(uint16_t spiWord) const;
  const GroupSet& at(size_t place) const { return sets_[place]; }

 private:
  GroupSet sets_[MAX_LIVE_SETS];
  uint32_t generation_ = 0;
  uint16_t lastSpi_ = 0;
};

}  // namespace claviger
