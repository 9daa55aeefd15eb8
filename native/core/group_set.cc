#include "group_set.h"

namespace claviger {

bool GroupSets::install(uint16_t spiWord, uint8_t suite, uint8_t cipher, const uint8_t* kek, size_t kekLength,
                        const uint8_t* salt, size_t saltLength) {
  // The seam for WIRE.md 4.3: suites 17 and 18, cipher 2. Until they are built nothing may be installed under them.
  if (suite != SUITE_AES128_CM_SHA1_80 || cipher != CIPHER_AES128_ECB) return false;
  if (kekLength != 16 || saltLength != MASTER_SALT_BYTES || (spiWord & 1) == 0) return false;
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
    AES_set_decrypt_key(kek, 128, &set.unwrap);
    std::memcpy(set.salt, salt, MASTER_SALT_BYTES);
    lastSpi_ = spiOf(spiWord);
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
