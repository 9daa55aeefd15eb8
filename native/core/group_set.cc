#include "group_set.h"

namespace claviger {
namespace {

// Bytes of the KEK, and of a sender key; 0: a pair that is not built (cipher 2 is not).
size_t keyBytesOf(uint8_t suite, uint8_t cipher) {
  if (suite == SUITE_AES128_CM_SHA1_80 && cipher == CIPHER_AES128_ECB) return 16;
  if (suite == SUITE_AES128_GCM_ROUTE && cipher == CIPHER_AESKWP_128) return 16;
  return suite == SUITE_AES256_GCM_ROUTE && cipher == CIPHER_AESKWP_256 ? 32 : 0;
}

}  // namespace

bool GroupSets::install(uint16_t spiWord, uint8_t suite, uint8_t cipher, const uint8_t* kek, size_t kekLength,
                        const uint8_t* salt, size_t saltLength) {
  const size_t keyBytes = keyBytesOf(suite, cipher);
  // WIRE.md 4.3: a conference's suite is fixed.
  if (keyBytes == 0 || (suite_ != 0 && suite != suite_)) return false;
  if (kekLength != keyBytes || saltLength != MASTER_SALT_BYTES || (spiWord & 1) == 0) return false;
  // WIRE.md 4.2: SPIs rise within a conference and are never used twice in it.
  if (generation_ > 0 && spiOf(spiWord) <= lastSpi_) return false;
  for (size_t i = 0; i < MAX_LIVE_SETS; i++) {
    GroupSet& set = sets_[i];
    if (set.live) continue;
    set.live = true;
    set.spiWord = spiWord;
    set.suite = suite;
    set.cipher = cipher;
    set.place = static_cast<uint8_t>(i);
    set.generation = ++generation_;
    AES_set_decrypt_key(kek, static_cast<int>(8 * keyBytes), &set.unwrap);
    std::memcpy(set.salt, salt, MASTER_SALT_BYTES);
    lastSpi_ = spiOf(spiWord);
    suite_ = suite;
    fieldKeyBytes_ = static_cast<uint8_t>(suite == SUITE_AES128_CM_SHA1_80 ? 0 : keyBytes);
    return true;
  }
  return false;
}

int GroupSets::drop(uint16_t spiWord) {
  for (size_t i = 0; i < MAX_LIVE_SETS; i++) {
    if (!sets_[i].live || spiOf(sets_[i].spiWord) != spiOf(spiWord)) continue;
    wipe(&sets_[i], sizeof sets_[i]);
    return static_cast<int>(i);
  }
  return -1;
}

const GroupSet* GroupSets::find(uint16_t spiWord) const {
  for (const GroupSet& set : sets_) {
    if (set.live && spiOf(set.spiWord) == spiOf(spiWord)) return &set;
  }
  return nullptr;
}

}  // namespace claviger
