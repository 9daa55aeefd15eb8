// The live group parameter sets of a conference (WIRE.md 1, 4.2, 10).
#pragma once
#include <openssl/aes.h>

#include "ekt_field.h"
#include "ekt_tag.h"
#include "limits.h"

namespace claviger {

// WIRE.md 4.3.
constexpr uint8_t SUITE_AES128_CM_SHA1_80 = 1, SUITE_AES128_GCM_ROUTE = 17, SUITE_AES256_GCM_ROUTE = 18;
constexpr uint8_t CIPHER_AES128_ECB = 1, CIPHER_AESKWP_128 = 3, CIPHER_AESKWP_256 = 4;

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

  // Refused: suites and ciphers that are not built or not those of the first set, an SPI that does not rise, more than
  // MAX_LIVE_SETS.
  bool install(uint16_t spiWord, uint8_t suite, uint8_t cipher, const uint8_t* kek, size_t kekLength,
               const uint8_t* salt, size_t saltLength);
  // Wipes the set; gives its place, or -1.
  int drop(uint16_t spiWord);
  const GroupSet* find(uint16_t spiWord) const;
  const GroupSet& at(size_t place) const { return sets_[place]; }
  // Of a sender key that travels in a field; 0: keys travel in tags. The first set fixes it for the conference's life.
  size_t fieldKeyBytes() const { return fieldKeyBytes_; }

 private:
  GroupSet sets_[MAX_LIVE_SETS];
  uint32_t generation_ = 0;
  uint16_t lastSpi_ = 0;
  uint8_t suite_ = 0;
  uint8_t fieldKeyBytes_ = 0;
};

}  // namespace claviger
