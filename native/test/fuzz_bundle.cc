// Several m-lines over one socket (RFC 9143).
#include "bundle_world.h"
#include "fuzz.h"

using namespace test;

namespace fuzz {

// A bundle's datagrams are told apart before anything is verified: whatever stands in the header, a changed one is refused.
void bundleTarget(Random& random, uint64_t runs, Counts& counts) {
  BundleRoom room(PROFILE_AES128_GCM);
  const BundlePeer peer(1, PROFILE_AES128_GCM);
  Bytes other(60);
  uint64_t hash = 0;
  const auto settle = [&] {
    room.h.core().events().clear();
    room.h.clearOutputs();
    hash = room.h.core().stateHash();
  };
  const auto feed = [&](const Bytes& packet, uint64_t now) {
    const Drop drop = room.feed(1, packet, now);
    if (drop != Drop::none && room.h.core().stateHash() != hash) broken("a refused packet changed a bundle", packet);
    settle();
    return drop;
  };
  settle();
  for (uint32_t index = 1; counts.mutated < runs; index++) {
    const uint64_t now = index * NS_PER_MS;
    const bool video = random.below(2) == 0;
    const std::string mid = video ? "video" : "0";
    const size_t form = random.below(4);
    const Bytes extension = form == 0 ? BundlePeer::oneByte(mid) : form == 1 ? BundlePeer::twoBytes(mid) : Bytes();
    const Bytes valid = form == 3 ? protectedControl(1, PROFILE_AES128_GCM, nackCompound(room.seedOf(2) | 1, {{5, 3}}), index)
                                  : peer.packet(video ? 0xb1 : 0xa1, video ? VIDEO_TYPE : AUDIO_TYPE, index,
                                                pattern(index, random.below(80)), extension);
    for (int i = 0; i < 15; i++, counts.mutated++) {
      Bytes bad = valid;
      mutate(random, bad, other);
      if (bad == valid || bad == other || protocolOf(bad.data(), bad.size()) == Protocol::dtls) continue;
      if (feed(bad, now) == Drop::none) broken("a changed packet was accepted on a bundle", bad);
    }
    counts.accepted++;
    if (feed(valid, now) != Drop::none) broken("a valid packet was refused on a bundle", valid);
    if (feed(valid, now) != Drop::replayed) broken("a packet was accepted twice on a bundle", valid);
    other = valid;
  }
}

}  // namespace fuzz
