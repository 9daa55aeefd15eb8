#include "stream.h"

#include <initializer_list>

namespace claviger {

const StreamKey& keyAt(const Stream& s, KeySlot slot) {
  return slot == KeySlot::next ? s.next : slot == KeySlot::previous ? s.previous : s.current;
}

KeySlot findKey(const Stream* s, uint8_t place, uint32_t generation, const TagView& tag, uint64_t now) {
  const auto holds = [&](const StreamKey& key) {
    return key.used && key.set == place && key.generation == generation &&
           equalSecret(key.wrapped, tag.wrapped, tag.wrappedLength);
  };
  if (s == nullptr) return KeySlot::none;
  if (holds(s->current)) return KeySlot::current;
  if (holds(s->next)) return KeySlot::next;
  return previousAlive(*s, now) && holds(s->previous) ? KeySlot::previous : KeySlot::none;
}

KeySlot slotFor(const Stream& s, uint64_t index, uint64_t now) {
  if (s.next.used && index >= s.next.start) return KeySlot::next;
  if (s.current.used && index >= s.current.start) return KeySlot::current;
  if (previousAlive(s, now)) return KeySlot::previous;
  return s.current.used ? KeySlot::current : KeySlot::none;
}

void choose(const Stream* s, KeySlot slot, Judgement& out) {
  out.slot = slot;
  const StreamKey& key = slot == KeySlot::candidate ? out.candidate : keyAt(*s, slot);
  out.keys = &key.keys;
  out.set = key.set;
}

int64_t estimateRoc(uint64_t highest, uint16_t sequence) {
  const auto last = static_cast<uint16_t>(highest);
  const auto roc = static_cast<int64_t>(highest >> 16);
  if (last < 0x8000) return int32_t{sequence} - last > 0x8000 ? roc - 1 : roc;
  return int32_t{last} - 0x8000 > sequence ? roc + 1 : roc;
}

void wipeKey(StreamKey& key) {
  wipe(&key.keys, sizeof key.keys);
  key = StreamKey();
}

void replaceCurrent(Stream& s, const StreamKey& key, bool restart, uint64_t now) {
  if (restart) {
    wipeKey(s.previous);
    wipeKey(s.next);
  } else if (s.current.used) {
    s.previous = s.current;
    s.previousUntil = now + PREVIOUS_KEY_LIFETIME_MS * NS_PER_MS;
  }
  s.current = key;
  if (s.next.used && s.next.start <= s.current.start) wipeKey(s.next);
  if (key.generation > s.generation) s.generation = key.generation;
}

void forgetSet(Stream& s, uint8_t place) {
  for (StreamKey* key : {&s.current, &s.next, &s.previous}) {
    if (key->used && key->set == place) wipeKey(*key);
  }
}

void expirePrevious(Stream& s, uint64_t now) {
  if (s.previous.used && now >= s.previousUntil) wipeKey(s.previous);
}

}  // namespace claviger
