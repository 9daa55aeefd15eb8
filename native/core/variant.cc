#include "variant.h"

#include <cstdlib>

#include "poison.h"

namespace claviger {

VariantPool::VariantPool() : cells_(new Variant[CELLS]) {
  free_.reserve(CELLS);
  // A page fault costs more than the packet that meets it: the first cells have theirs from the start.
  for (uint32_t i = 0; i < RELAY_VARIANTS_READY; i++) cells_[i].references = 0;
}

Variant* VariantPool::take() {
  Variant* v;
  if (!free_.empty()) {
    v = free_.back();
    free_.pop_back();
  } else {
    if (used_ == CELLS) std::abort();  // a user holds more than its limit: our bug
    v = &cells_[used_++];
  }
  unpoison(v->bytes, sizeof v->bytes);
  v->references = 1;
  return v;
}

}  // namespace claviger
