#include "commands.h"

#include "switch.h"

namespace claviger {

bool Switch::apply(const uint8_t* command, size_t length, uint64_t now) {
  if (length == 0) return false;
  CommandReader r(command + 1, length - 1);
  switch (command[0]) {
    case OPCODE_openChannel: return openChannel(r);
    case OPCODE_sendDatagram: return sendDatagram(r, now);
    case OPCODE_setChannelKeys: return setChannelKeys(r, now);
    case OPCODE_setParameters: return setParameters(r);
    case OPCODE_sendControl: return sendControl(r);
    case OPCODE_installSet: return installSet(r);
    case OPCODE_dropSet: return dropSet(r);
    case OPCODE_setRoutes: return readRoutes(r);
    case OPCODE_openBranch: return openBranch(r);
    case OPCODE_setBranch: return setBranch(r);
    case OPCODE_setRtcpPort: return setRtcpPort(r);
    case OPCODE_setIce: return setIce(r, now);
    case OPCODE_setLatch: return setLatch(r, now);
    case OPCODE_closeChannel: {
      Outlet* o = outlet(r.u32());
      if (o == nullptr || !r.whole()) return false;
      o->branch ? closeBranch(static_cast<Branch&>(*o)) : closeChannel(static_cast<Channel&>(*o));
      return true;
    }
    case OPCODE_provePeer: {
      Outlet* o = outlet(r.u32());
      Address peer;
      if (!r.address(peer) || !r.whole() || o == nullptr || o->leader != nullptr) return false;
      if (o->connected) transport_.disconnect(*o);
      o->peer = peer;
      o->proven = true;
      o->awaiting = o->latching = false;
      o->latchUntil = 0;
      if (o->away == nullptr && !o->roams) transport_.connect(*o, peer);
      if (o->roams && !o->branch) judgeConsent(static_cast<Channel&>(*o), now);
      if (!o->branch) hearEarly(static_cast<Channel&>(*o), now);
      return true;
    }
    case OPCODE_awaitPeer: {
      Outlet* o = outlet(r.u32());
      const uint8_t calls = r.u8();
      Address signalled;
      const bool hasSignalled = r.address(signalled);
      if (!r.whole() || o == nullptr || o->plain || o->leader != nullptr) return false;
      if (!o->branch && static_cast<Channel*>(o)->sdes) {
        if (hasSignalled && signalled != o->peer) namePeer(static_cast<Channel&>(*o), signalled);
        return true;
      }
      if (!o->branch) expectPeer(static_cast<Channel&>(*o).door, hasSignalled ? &signalled : nullptr, calls != 0, now);
      if (!o->proven) return true;
      o->awaiting = true;
      if (o->away == nullptr) transport_.disconnect(*o);
      return true;
    }
    case OPCODE_setConference: {
      const uint32_t id = r.u32();
      const uint8_t level = r.u8();
      if (!r.whole() || level < LEVEL_none || level > LEVEL_end_to_end) return false;
      Conference* conference = makeConference(id);
      if (conference != nullptr) conference->required = static_cast<Level>(level);
      return conference != nullptr;
    }
    case OPCODE_closeConference: {
      const uint32_t id = r.u32();
      return r.whole() && closeConference(id);
    }
    case OPCODE_setAcked: {
      Channel* c = channel(r.u32());
      const uint16_t spi = r.u16();
      if (!r.whole() || c == nullptr || c->plain) return false;
      const GroupSet* set = c->conference->sets.find(spi);
      if (set != nullptr) c->ackedSets |= static_cast<uint8_t>(1u << set->place);
      return set != nullptr;
    }
    default: return false;
  }
}

bool Switch::openChannel(CommandReader& r) {
  const uint32_t id = r.u32();
  const uint32_t conferenceId = r.u32();
  const uint32_t member = r.u32();
  const uint8_t media = r.u8();
  const uint8_t transport = r.u8();
  const uint32_t slot = r.u32();
  const auto socket = static_cast<int32_t>(r.u32());
  Address peer;
  const bool hasPeer = r.address(peer);
  Outlet* leader = transport == TRANSPORT_bundled ? outlet(r.u32()) : nullptr;
  const bool away = !r.whole();
  const uint16_t awayThread = away ? r.u16() : 0;
  const uint32_t awaySlot = away ? r.u32() : 0;
  const bool valid = r.whole() && (!away || (isOther(awayThread) && awaySlot < MAX_CHANNELS && socket < 0)) &&
                     mayOpen(id, media, transport, slot, hasPeer) &&
                     (transport != TRANSPORT_bundled ||
                      mayFollow(leader, conferenceId, member, away ? &awayThread : nullptr));
  Conference* conference = valid ? makeConference(conferenceId) : nullptr;
  if (conference == nullptr) {
    if (r.whole()) transport_.discard(socket);
    return false;
  }
  auto owned = std::make_unique<Channel>();
  Channel& c = *owned;
  furnish(c, id, *conference, media, transport, slot, socket, peer);
  c.member = member;
  if (c.media == Media::video && !c.plain) c.requests = std::make_unique<RequestLimit>();
  c.sdes = transport == TRANSPORT_sdes;
  c.latching = c.sdes;
  if (away) {
    c.away = &egress_.wayTo(awayThread);
    c.awaySlot = static_cast<uint16_t>(awaySlot);
  }
  if (transport == TRANSPORT_bundled) {
    auto& lead = static_cast<Channel&>(*leader);
    joinBundle(c, lead);
    lead.shared = true;
    useHopKeys(c, lead.hop);
  } else if (away) {
    // Its socket is on the other thread.
  } else if (!transport_.opened(c)) {
    transport_.discard(socket);
    return false;
  } else if (c.plain && c.proven) {
    transport_.connect(c, peer);
  }
  takeSlot(c);
  conference->channels.push_back(&c);
  conference->owners.reserve(conference->channels.size());
  channels_.emplace(id, std::move(owned));
  return true;
}

bool Switch::mayOpen(uint32_t id, uint8_t media, uint8_t transport, uint32_t slot, bool hasPeer) {
  return media <= MEDIA_video && transport <= TRANSPORT_bundled && slot < MAX_CHANNELS && bySlot_[slot] == nullptr &&
         outlet(id) == nullptr && hasPeer == (transport == TRANSPORT_plain || transport == TRANSPORT_sdes);
}

void Switch::furnish(Outlet& o, uint32_t id, Conference& conference, uint8_t media, uint8_t transport, uint32_t slot,
                     int socket, const Address& peer) {
  o.id = id;
  o.slot = slot;
  o.conference = &conference;
  o.media = static_cast<Media>(media);
  o.plain = transport == TRANSPORT_plain;
  o.socket = socket;
  o.words = counters_.slot(slot);
  o.peer = peer;
  // By the signalling, the only proof that there is without a handshake; port 0: it has named nobody yet. With keys a packet
  // that verifies says better.
  o.proven = (transport == TRANSPORT_plain || transport == TRANSPORT_sdes) && peer.port != 0;
}

void Switch::takeSlot(Outlet& o) {
  for (uint32_t i = 1; i < CHANNEL_WORDS; i++) __atomic_store_n(o.words + i, 0, __ATOMIC_RELAXED);
  __atomic_store_n(o.words + CHANNEL_COUNTER_owner, uint64_t{o.id} + 1, __ATOMIC_RELAXED);
  bySlot_[o.slot] = &o;
}

void Switch::closeChannel(Channel& c) {
  while (!c.followers.empty()) closeChannel(static_cast<Channel&>(*c.followers.back()));
  egress_.forget(c);
  forgetKept(c);
  forgetEdges(c);
  forgetAgenda(c);
  c.conference->owners.release(&c);
  auto& siblings = c.conference->channels;
  for (size_t i = 0; i < siblings.size(); i++) {
    if (siblings[i] != &c) continue;
    siblings.erase(siblings.begin() + static_cast<std::ptrdiff_t>(i));
    break;
  }
  if (c.rtcpPort) closeRtcpPort(c);
  if (c.leader != nullptr) {
    leaveBundle(c);
  } else if (c.away == nullptr) {
    transport_.close(c);
  }
  bySlot_[c.slot] = nullptr;
  channels_.erase(c.id);
}

bool Switch::closeConference(uint32_t id) {
  Conference* found = conference(id);
  if (found == nullptr) return false;
  while (!found->channels.empty()) closeChannel(*found->channels.back());
  while (!found->branches.empty()) closeBranch(*found->branches.back());
  conferences_.erase(id);
  return true;
}

Conference* Switch::conference(uint32_t id) {
  const auto found = conferences_.find(id);
  return found == conferences_.end() ? nullptr : found->second.get();
}

Conference* Switch::makeConference(uint32_t id) {
  if (Conference* found = conference(id)) return found;
  if (conferences_.size() >= MAX_CONFERENCES) return nullptr;
  auto& made = conferences_[id];
  made = std::make_unique<Conference>();
  made->id = id;
  return made.get();
}

bool Switch::sendDatagram(CommandReader& r, uint64_t now) {
  Outlet* o = outlet(r.u32());
  Address to;
  const bool hasAddress = r.address(to);
  const size_t length = r.u16();
  const uint8_t* bytes = r.bytes(length);
  if (!r.whole() || !hasAddress || o == nullptr || o->plain || o->leader != nullptr || o->away != nullptr || length > MAX_DATAGRAM_BYTES) {
    return false;
  }
  // DTLS only: nothing else may leave without the checks of forward.cc.
  if (protocolOf(bytes, length) != Protocol::dtls) return false;
  if (o->roams) {
    if (!o->branch && !static_cast<Channel*>(o)->ice->consents(to, now)) return false;
  } else if (o->proven && !o->awaiting && to != o->peer) {
    return false;
  }
  transport_.sendTo(*o, to, bytes, length);
  return true;
}

bool Switch::setChannelKeys(CommandReader& r, uint64_t now) {
  Channel* c = channel(r.u32());
  const uint16_t profile = r.u16();
  const size_t localLength = r.u8();
  const uint8_t* local = r.bytes(localLength);
  const size_t remoteLength = r.u8();
  const uint8_t* remote = r.bytes(remoteLength);
  const bool forMedia = r.left() > 0 && r.u8() != 0;
  if (!r.whole() || c == nullptr || c->plain || c->leader != nullptr) return false;
  if (!c->keys.set(profile, local, localLength, remote, remoteLength, now)) return false;
  if (c->keys.replaced()) putOnAgenda(*c);
  std::shared_ptr<HopKeys> hop;
  if (forMedia) {
    hop = std::make_shared<HopKeys>();
    deriveSrtpKeys(profile, local, hop->local);
    deriveSrtpKeys(profile, remote, hop->remote);
    if (c->hop) hop->goOn(*c->hop);
  }
  useHopKeys(*c, hop);
  for (Outlet* follower : c->followers) useHopKeys(static_cast<Channel&>(*follower), hop);
  return true;
}

bool Switch::setParameters(CommandReader& r) {
  Channel* c = channel(r.u32());
  const uint8_t flags = r.u8();
  const uint8_t level = r.u8();
  const uint16_t mask = r.u16();
  const size_t count = r.u8();
  const uint8_t* pairs = r.bytes(count * 2);
  const uint8_t* clocks = r.left() == 0 ? nullptr : r.bytes(count * 4);
  const uint8_t* videos = r.left() == 0 ? nullptr : r.bytes(count);
  const uint8_t audioLevelId = videos == nullptr ? uint8_t{0} : r.u8();
  const uint32_t seed = videos == nullptr ? 0 : r.u32();
  const uint8_t midId = r.left() == 0 ? uint8_t{0} : r.u8();
  const size_t midLength = midId == 0 ? 0 : r.u8();
  const uint8_t* mid = r.bytes(midLength);
  if (!r.whole() || c == nullptr || level > LEVEL_end_to_end || midLength > MAX_MID_BYTES) return false;
  for (size_t i = 0; i < count; i++) {
    if (pairs[2 * i] > 127 || (videos != nullptr && videos[i] > VIDEO_CODEC_av1)) return false;
  }
  if (!endHere(*c, seed)) return false;
  if (c->own) c->own->forgetSent();
  c->tip = (flags & PARAMETER_tip) != 0;
  c->trailingByte = (flags & PARAMETER_trailingByte) != 0;
  c->ready = (flags & PARAMETER_ready) != 0;
  c->level = static_cast<Level>(level);
  c->transmitMask = mask;
  for (int16_t& codec : c->codecOf) codec = NO_MAPPING;
  for (int16_t& payloadType : c->payloadTypeOf) payloadType = NO_MAPPING;
  for (uint32_t& clock : c->clockOf) clock = 0;
  for (VideoCodec& video : c->videoOf) video = VideoCodec::other;
  c->audioLevelId = audioLevelId;
  c->midId = midId;
  c->midLength = static_cast<uint8_t>(midLength);
  if (midLength > 0) std::memcpy(c->mid, mid, midLength);
  c->showsKeyFrames = false;
  for (size_t i = 0; i < count; i++) {
    c->codecOf[pairs[2 * i]] = pairs[2 * i + 1];
    if (clocks != nullptr) c->clockOf[pairs[2 * i]] = get32(clocks + 4 * i);
    if (videos != nullptr) c->videoOf[pairs[2 * i]] = static_cast<VideoCodec>(videos[i]);
    if (videos != nullptr && videos[i] != VIDEO_CODEC_other) c->showsKeyFrames = true;
    // Several payload types for one codec: the first one named is what the endpoint is sent.
    int16_t& payloadType = c->payloadTypeOf[pairs[2 * i + 1]];
    if (payloadType == NO_MAPPING) payloadType = pairs[2 * i];
  }
  if (c->media == Media::video && !c->marksRefresh()) unmarked(*c);
  return true;
}

bool Switch::sendControl(CommandReader& r) {
  Channel* c = channel(r.u32());
  const size_t length = r.u16();
  const uint8_t* bytes = r.bytes(length);
  uint32_t types = 0;
  if (!r.whole() || c == nullptr || !c->carrier().proven || length > MAX_DATAGRAM_BYTES || length < RTCP_HEADER_BYTES ||
      !checkCompound(bytes, length, types)) {
    return false;
  }
  if (!c->carrier().consented) {
    countDrop(*c, Drop::no_consent);
    return false;
  }
  uint8_t packet[MAX_DATAGRAM_BYTES];
  std::memcpy(packet, bytes, length);
  const size_t size = c->plain ? length : c->lead().keys.protect(packet, length, sizeof packet);
  return size > 0 && egress_.control(c->forRtcp(), packet, size);
}

bool Switch::installSet(CommandReader& r) {
  Conference* found = conference(r.u32());
  const uint16_t spiWord = r.u16();
  const uint8_t suite = r.u8();
  const uint8_t cipher = r.u8();
  const size_t kekLength = r.u8();
  const uint8_t* kek = r.bytes(kekLength);
  const size_t saltLength = r.u8();
  const uint8_t* salt = r.bytes(saltLength);
  if (!r.whole() || found == nullptr) return false;
  return found->sets.install(spiWord, suite, cipher, kek, kekLength, salt, saltLength);
}

bool Switch::dropSet(CommandReader& r) {
  Conference* found = conference(r.u32());
  const uint16_t spiWord = r.u16();
  if (!r.whole() || found == nullptr) return false;
  const int place = found->sets.drop(spiWord);
  if (place < 0) return false;
  for (Channel* c : found->channels) {
    c->ackedSets &= static_cast<uint8_t>(~(1u << place));
    if (c->provisional.key.set == place) c->provisional.forget();
    for (uint32_t i = 0; i < c->streamCount; i++) forgetSet(*c->streams[i], static_cast<uint8_t>(place));
  }
  return true;
}

bool Switch::readRoutes(CommandReader& r) {
  constexpr size_t EDGE_BYTES = 10;
  Conference* found = conference(r.u32());
  const uint8_t media = r.u8();
  const size_t count = r.u32();
  if (found == nullptr || media > MEDIA_video || count > MAX_ROUTE_EDGES || r.left() != count * EDGE_BYTES) return false;
  std::vector<Edge> edges;
  edges.reserve(count);
  for (size_t i = 0; i < count; i++) {
    Channel* source = channel(r.u32());
    const uint8_t position = r.u8();
    Channel* receiver = channel(r.u32());
    const uint8_t sink = r.u8();
    if (position == 0 || position >= POSITIONS || sink == 0 || sink >= POSITIONS) return false;
    // The plan may name a channel that has closed since it was made; never one of another conference or media kind.
    if (source == nullptr || receiver == nullptr || source == receiver) continue;
    const bool fits = source->conference == found && receiver->conference == found &&
                      source->media == static_cast<Media>(media) && receiver->media == static_cast<Media>(media);
    if (fits) edges.push_back({source, receiver, position, sink, false, false, NO_EDGE, {}});
  }
  return setRoutes(*found, static_cast<Media>(media), edges);
}

}  // namespace claviger
