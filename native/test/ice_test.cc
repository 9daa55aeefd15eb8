// ICE-lite and consent on a channel: what a check of the peer changes, and what nobody else's does.
#include "hop_world.h"
#include "stun_peer.h"

using namespace test;

namespace {

constexpr uint64_t CONSENT = RELAY_ICE_CONSENT_LIFETIME_MS * NS_PER_MS;
const Address HOME = at("127.0.0.1", 4001), OTHER = at("198.51.100.7", 5555), STRANGER = at("203.0.113.9", 6666);

// Three channels with EKT, of which the first has ICE; it was proven at HOME before.
struct IceWorld {
  Harness h;
  TestSender sender{0xa1, 1, 0x1235};
  TestSender other{0xb1, 2, 0x1235};
  uint32_t transaction = 0;
  uint16_t sequence = 0, otherSequence = 0;

  IceWorld() {
    const std::vector<Bytes> commands = worldCommands(3, Media::audio);
    for (const Bytes& c : commands) {
      CHECK(apply(c, 0));
      // Before it is proven, as an offer has it.
      if (c == openCommand(1, Media::audio)) CHECK(apply(iceCommand(1), 0));
    }
    clear();
  }
  bool apply(const Bytes& c, uint64_t now) { return h.apply(c.data(), c.size(), now); }
  void clear() {
    h.core().events().clear();
    h.clearOutputs();
  }
  Channel& channel() { return *h.core().channel(1); }
  Drop feed(const Bytes& bytes, const Address& from, uint64_t now) {
    return h.feed(channel(), bytes.data(), bytes.size(), now, &from);
  }
  // The answer to it; empty: there was none.
  Bytes ask(const Bytes& bytes, const Address& from, uint64_t now) {
    h.clearOutputs();
    feed(bytes, from, now);
    const std::vector<Sent1> sent = takeSent(h);
    return sent.empty() ? Bytes() : sent[0].bytes;
  }
  bool nominate(const Address& from, uint64_t now) { return isSuccess(ask(check(++transaction), from, now)); }
  Drop media(const Address& from, uint64_t now) { return feed(sender.rtp(0, ++sequence, true, 20, 5), from, now); }
  // Whether what another member says goes to the channel.
  bool isSentTo(uint64_t now) {
    h.clearOutputs();
    const Bytes packet = other.rtp(0, ++otherSequence, true, 20, 5);
    CHECK(h.feed(*h.core().channel(2), packet.data(), packet.size(), now) == Drop::none);
    for (const Sent1& sent : takeSent(h)) {
      if (sent.receiver == 1) return true;
    }
    return false;
  }
  uint64_t drops(Drop drop) { return channel().words[CHANNEL_COUNTER_drops + static_cast<uint32_t>(drop)]; }
  // What of ICE was told, in order.
  std::vector<uint8_t> told() {
    std::vector<uint8_t> out;
    const Bytes& e = h.core().events().bytes();
    for (size_t i = 0; i + 6 < e.size() && e[i] == EVENT_ice; i += 7u + e[i + 6] + 2u) out.push_back(e[i + 5]);
    h.core().events().clear();
    return out;
  }
};

}  // namespace

TEST("ice", "a check is answered with the address that it came from, under our password") {
  IceWorld w;
  const Bytes answer = w.ask(check(1), OTHER, 0);
  CHECK(isSuccess(answer));
  HmacSha1Key key;
  prepareHmac(key, text(OUR_PWD).data(), OUR_PWD.size());
  StunMessage m;
  CHECK(parseStun(answer.data(), answer.size(), m) && verifyStun(answer.data(), m, key));
  // The port, exclusive-or with the cookie's head.
  CHECK(get16(attributeOf(answer, 0x0020).data() + 2) == (5555 ^ 0x2112));
  CHECK(w.told() == std::vector<uint8_t>{ICE_NEWS_nominated});
}

TEST("ice", "what does not verify is told the error of RFC 8489 and RFC 8445, and changes nothing") {
  const CheckOptions good;
  CheckOptions wrongPwd, wrongUfrag, wrongPeer, bare, noName, strange, controlled;
  wrongPwd.pwd = "another/pwd/that/is/wrong";
  wrongUfrag.username = "Ours8766:" + PEER_UFRAG;
  wrongPeer.username = OUR_UFRAG + ":peex";
  bare.integrity = false;
  noName.username = "";
  strange.unknown = 0x7fff;
  controlled.role = 0x8029;
  const struct {
    const CheckOptions& options;
    int error;
    bool authenticated;
  } cases[] = {{wrongPwd, 401, false}, {wrongUfrag, 401, false}, {wrongPeer, 401, false},  {bare, 400, false},
               {noName, 400, false},   {strange, 420, true},     {controlled, 487, true}};
  for (const auto& c : cases) {
    IceWorld w;
    const uint64_t before = w.h.core().stateHash();
    const Bytes answer = w.ask(check(1, c.options), STRANGER, 0);
    CHECK(errorOf(answer) == c.error);
    CHECK(attributeOf(answer, 0x0008).empty() == !c.authenticated);
    CHECK(w.h.core().stateHash() == before && w.drops(Drop::check_refused) == 1 && !w.isSentTo(0));
  }
  // An attribute that need not be understood is passed over.
  CheckOptions optional;
  optional.unknown = 0xc057;
  IceWorld w;
  CHECK(isSuccess(w.ask(check(1, optional), HOME, 0)));
}

TEST("ice", "silence for indications, responses, other methods and what is no STUN") {
  IceWorld w;
  CheckOptions indication, response, method;
  indication.type = 0x0011;
  response.type = 0x0101;
  method.type = 0x0003;
  const uint64_t before = w.h.core().stateHash();
  CHECK(w.feed(check(1, indication), HOME, 0) == Drop::none);
  CHECK(w.feed(check(2, response), HOME, 0) == Drop::unknown_protocol);
  CHECK(w.feed(check(3, method), HOME, 0) == Drop::malformed);
  CHECK(w.feed(Bytes{0, 1, 0, 0}, HOME, 0) == Drop::malformed);
  CHECK(w.h.outputs().empty() && w.h.core().stateHash() == before);
  // Without ICE a channel knows no STUN, whoever it is from.
  Channel& plain = *w.h.core().channel(2);
  const Bytes bytes = check(4);
  CHECK(w.h.feed(plain, bytes.data(), bytes.size(), 0) == Drop::unknown_protocol && w.h.outputs().empty());
}

TEST("ice", "nothing is sent to a peer that has not checked, and nothing is taken from it") {
  IceWorld w;
  CHECK(w.media(HOME, 0) == Drop::unknown_source && !w.isSentTo(0));
  CHECK(w.drops(Drop::no_consent) == 1);
  CHECK(w.nominate(HOME, 0) && w.isSentTo(0));
  CHECK(w.media(HOME, 0) == Drop::none && w.media(STRANGER, 0) == Drop::unknown_source);
}

TEST("ice", "media goes where it was nominated to once a packet that verifies comes from there: a NAT that binds anew") {
  IceWorld w;
  CHECK(w.nominate(HOME, 0) && w.media(HOME, 0) == Drop::none);
  CHECK(w.nominate(OTHER, 1));
  CHECK(w.channel().peer == HOME && w.isSentTo(1));
  CHECK(w.media(OTHER, 2) == Drop::none && w.channel().peer == OTHER && w.isSentTo(2));
  // What was still on its way from the old address does not take it back.
  CHECK(w.media(HOME, 3) == Drop::none && w.channel().peer == OTHER);
  CHECK(w.nominate(HOME, 4) && w.media(HOME, 5) == Drop::none && w.channel().peer == HOME);
}

TEST("ice", "an address that was checked without being nominated is heard, and gets nothing") {
  IceWorld w;
  CHECK(w.nominate(HOME, 0));
  CheckOptions plain;
  plain.useCandidate = false;
  CHECK(isSuccess(w.ask(check(77, plain), OTHER, 1)));
  CHECK(w.media(OTHER, 2) == Drop::none && w.channel().peer == HOME);
}

TEST("ice", "attack: a check that was read on its way and is sent again from another address diverts nothing") {
  IceWorld w;
  const Bytes captured = check(500);
  CHECK(isSuccess(w.ask(captured, HOME, 0)) && w.media(HOME, 0) == Drop::none);
  const uint64_t before = w.h.core().stateHash();
  CHECK(w.ask(captured, STRANGER, 1).empty() && w.drops(Drop::replayed) == 1);
  CHECK(w.h.core().stateHash() == before && w.channel().peer == HOME);
  CHECK(w.media(STRANGER, 1) == Drop::unknown_source);
}

TEST("ice", "attack: a captured check that overtakes the peer's own diverts nothing, for its sender has no keys") {
  IceWorld w;
  CHECK(w.nominate(HOME, 0) && w.media(HOME, 0) == Drop::none);
  const Bytes captured = check(501);
  CHECK(isSuccess(w.ask(captured, STRANGER, 1)));
  CHECK(w.channel().peer == HOME && w.isSentTo(1));
  Bytes forged = w.sender.rtp(0, 900, true, 20, 5);
  forged[20] ^= 1;
  CHECK(w.feed(forged, STRANGER, 2) == Drop::auth_failed);
  const Bytes old = w.sender.rtp(0, w.sequence, true, 20, 5);
  CHECK(w.feed(old, STRANGER, 2) == Drop::replayed);
  CHECK(w.channel().peer == HOME);
  // The peer's next one is as good as ever.
  CHECK(w.nominate(HOME, 3) && w.media(HOME, 3) == Drop::none && w.channel().peer == HOME && w.isSentTo(3));
}

TEST("ice", "attack: checks that are sent again from the peer's own address do not keep its consent alive") {
  IceWorld w;
  const Bytes captured = check(502);
  CHECK(isSuccess(w.ask(captured, HOME, 0)) && w.isSentTo(0));
  CHECK(isSuccess(w.ask(captured, HOME, CONSENT - 1)));
  w.h.core().tick(CONSENT);
  CHECK(!w.isSentTo(CONSENT));
}

TEST("ice", "consent: 30 s after the last check nothing is sent any more, it is told once, and a check brings it back") {
  IceWorld w;
  CHECK(w.nominate(HOME, 0));
  CHECK(w.nominate(HOME, NS_PER_S));
  w.told();
  w.h.core().tick(NS_PER_S + CONSENT - 1);
  CHECK(w.isSentTo(NS_PER_S + CONSENT - 1) && w.told().empty());
  for (int i = 0; i < 3; i++) w.h.core().tick(NS_PER_S + CONSENT + static_cast<uint64_t>(i));
  CHECK(!w.isSentTo(NS_PER_S + CONSENT + 3) && w.drops(Drop::no_consent) == 1);
  CHECK(w.told() == std::vector<uint8_t>{ICE_NEWS_consent_lost});
  // Nor control.
  w.h.clearOutputs();
  CHECK(!w.apply(CommandWriter(OPCODE_sendControl).u32(1).u16(8).block({0x80, RTCP_RR, 0, 1, 0, 0, 1, 0}).bytes, 40 * NS_PER_S));
  CHECK(w.h.outputs().empty());
  // It is still heard: consent is about what we send.
  CHECK(w.media(HOME, 40 * NS_PER_S) == Drop::none);
  w.told();
  CHECK(w.nominate(HOME, 41 * NS_PER_S) && w.isSentTo(41 * NS_PER_S));
  CHECK(w.told() == std::vector<uint8_t>{ICE_NEWS_consent_back});
}

TEST("ice", "consent: of a peer from before RFC 7675 what only it can have made counts as well; of others only checks do") {
  for (const uint32_t mode : {uint32_t{ICE_MODE_checks}, uint32_t{ICE_MODE_lenient}}) {
    Harness h;
    const auto apply = [&h](const Bytes& c) { CHECK(h.apply(c.data(), c.size(), 0)); };
    apply(levelCommand(LEVEL_hop_by_hop));
    apply(openCommand(1, Media::audio));
    apply(iceCommand(1, OUR_UFRAG, OUR_PWD, PEER_UFRAG, mode));
    apply(proveCommand(1, 4001));
    apply(hopKeysCommand(1, 1));
    apply(hopParametersCommand(1));
    Channel& c = *h.core().channel(1);
    const HopPeer peer(1, 0xaaaa0001, 1);
    const auto media = [&](uint64_t index, uint64_t now) {
      const Bytes packet = peer.rtp(index, pattern(1, 20), 0);
      return h.feed(c, packet.data(), packet.size(), now, &HOME);
    };
    // Not before it has checked.
    CHECK(media(1, 0) == Drop::unknown_source && !c.consented);
    const Bytes bytes = check(1);
    CHECK(h.feed(c, bytes.data(), bytes.size(), 0, &HOME) == Drop::none && c.consented);
    CHECK(media(1, CONSENT / 2) == Drop::none);
    Bytes forged = peer.rtp(2, pattern(1, 20), 0);
    forged[20] ^= 1;
    CHECK(h.feed(c, forged.data(), forged.size(), CONSENT - 1, &HOME) == Drop::auth_failed);
    h.core().tick(CONSENT);
    CHECK(c.consented == (mode == ICE_MODE_lenient));
    h.core().tick(CONSENT / 2 + CONSENT);
    CHECK(!c.consented);
  }
  // EKT: any member could have made it.
  IceWorld w;
  CHECK(w.apply(iceCommand(1, OUR_UFRAG, OUR_PWD, PEER_UFRAG, ICE_MODE_lenient), 0));
  CHECK(w.nominate(HOME, 0) && w.media(HOME, CONSENT / 2) == Drop::none);
  w.h.core().tick(CONSENT);
  CHECK(!w.channel().consented);
  CHECK(!w.apply(iceCommand(1, OUR_UFRAG, OUR_PWD, PEER_UFRAG, 3), 0));
}

TEST("ice", "consent: a peer that never checks at all is told of once its time is over") {
  IceWorld w;
  w.h.core().tick(CONSENT - 1);
  CHECK(w.told().empty());
  w.h.core().tick(CONSENT);
  w.h.core().tick(CONSENT + 1);
  CHECK(w.told() == std::vector<uint8_t>{ICE_NEWS_consent_lost});
}

TEST("ice", "an ICE restart: old and new credentials are good until the new ones nominate") {
  IceWorld w;
  CHECK(w.nominate(HOME, 0) && w.media(HOME, 0) == Drop::none);
  const std::string ufrag = "Newer999", pwd = "another/own+pwd/of24char", peer = "newpeer";
  CHECK(w.apply(iceCommand(1, ufrag, pwd, peer), 1));
  CheckOptions fresh;
  fresh.username = ufrag + ":" + peer;
  fresh.pwd = pwd;
  fresh.useCandidate = false;
  CHECK(w.isSentTo(1) && isSuccess(w.ask(check(600, fresh), OTHER, 2)) && w.nominate(HOME, 3));
  fresh.useCandidate = true;
  CHECK(isSuccess(w.ask(check(601, fresh), OTHER, 4)));
  CHECK(w.media(OTHER, 5) == Drop::none && w.channel().peer == OTHER);
  CHECK(errorOf(w.ask(check(602), HOME, 6)) == 401);
}

TEST("ice", "credentials that are too short or too long are refused") {
  IceWorld w;
  for (const Bytes& bad : {iceCommand(2, "abc"), iceCommand(2, OUR_UFRAG, "short/pwd/of21/chars"), iceCommand(2, OUR_UFRAG, OUR_PWD, "abc"),
                           iceCommand(2, OUR_UFRAG, OUR_PWD, std::string(257, 'a')), iceCommand(9)}) {
    CHECK(!w.apply(bad, 0));
  }
  CHECK(w.apply(iceCommand(2, OUR_UFRAG, OUR_PWD, std::string(256, 'a')), 0));
}

TEST("ice", "attack: a flood of checks costs a bounded number of answers, and the peer's own are answered all the same") {
  IceWorld w;
  CHECK(w.nominate(HOME, NS_PER_S));
  CheckOptions wrong;
  wrong.username = "x:y";
  size_t answers = 0;
  for (uint32_t i = 0; i < 5000; i++) answers += w.ask(check(1000 + i, wrong), at("203.0.113.9", static_cast<uint16_t>(i)), NS_PER_S).empty() ? 0 : 1;
  CHECK(answers == RELAY_ICE_ERRORS_PER_SECOND);
  // Who has read the names, but not the password.
  wrong = CheckOptions();
  wrong.pwd = "not/the/right/one/at/all";
  for (uint32_t i = 0; i < 5000; i++) answers += w.ask(check(9000 + i, wrong), at("203.0.113.9", static_cast<uint16_t>(i)), NS_PER_S).empty() ? 0 : 1;
  CHECK(answers == RELAY_ICE_ERRORS_PER_SECOND && w.drops(Drop::rate_limited) > 9000);
  CHECK(w.nominate(HOME, NS_PER_S));
  // Even from its address.
  for (uint32_t i = 0; i < 500; i++) w.ask(check(20000 + i, wrong), HOME, NS_PER_S);
  CHECK(w.nominate(HOME, 2 * NS_PER_S) && w.isSentTo(2 * NS_PER_S));
}

TEST("ice", "more addresses than are remembered: the peer's own stays") {
  IceWorld w;
  CHECK(w.nominate(HOME, 0) && w.media(HOME, 0) == Drop::none);
  for (uint16_t i = 0; i < 3 * RELAY_ICE_CHECKED_ADDRESSES; i++) CHECK(w.nominate(at("198.51.100.8", i), 1 + i * NS_PER_S / 500));
  CHECK(w.channel().peer == HOME && w.isSentTo(NS_PER_S) && w.media(HOME, NS_PER_S) == Drop::none);
}

TEST("ice", "attack: DTLS is taken from an address that has checked, and from no other") {
  Harness h;
  const Bytes open = openCommand(1, Media::audio);
  CHECK(h.apply(open.data(), open.size(), 0));
  const Bytes ice = iceCommand(1), await = CommandWriter(OPCODE_awaitPeer).u32(1).u8(0).address("127.0.0.1", 4001).bytes;
  CHECK(h.apply(ice.data(), ice.size(), 0) && h.apply(await.data(), await.size(), 0));
  Channel& c = *h.core().channel(1);
  const Bytes flight = {22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 5, 0, 1, 0};
  const auto feed = [&](const Bytes& bytes, const Address& from) { return h.feed(c, bytes.data(), bytes.size(), 0, &from); };
  // Not even from where the SDP says that it is.
  CHECK(feed(flight, HOME) == Drop::unknown_source && feed(flight, OTHER) == Drop::unknown_source);
  CHECK(feed(check(1), OTHER) == Drop::none && feed(flight, OTHER) == Drop::none && feed(flight, HOME) == Drop::unknown_source);
  // And ours goes there only.
  const auto send = [&](const std::string& to, uint16_t port) {
    const Bytes command = CommandWriter(OPCODE_sendDatagram).u32(1).address(to, port).u16(2).block({22, 1}).bytes;
    return h.apply(command.data(), command.size(), 0);
  };
  CHECK(send("198.51.100.7", 5555) && !send("127.0.0.1", 4001));
}

TEST("ice", "plain RTP: media goes where the latest nomination says, and nowhere before one") {
  Harness h;
  // Port 0: ours is the offer, and signalling names nobody.
  std::vector<Bytes> commands = {levelCommand(LEVEL_none), openWithPeer(1, Media::audio, TRANSPORT_plain, 0), iceCommand(1)};
  for (const Bytes& c : commands) CHECK(h.apply(c.data(), c.size(), 0));
  Channel& c = *h.core().channel(1);
  CHECK(!c.consented && c.roams && !c.proven);
  const Bytes first = check(1), second = check(2);
  CHECK(h.feed(c, first.data(), first.size(), 0, &OTHER) == Drop::none && c.peer == OTHER && c.consented && c.proven);
  CHECK(h.feed(c, second.data(), second.size(), 0, &HOME) == Drop::none && c.peer == HOME && c.consented);
  CHECK(h.feed(c, first.data(), first.size(), 0, &STRANGER) == Drop::replayed && c.peer == HOME);
  const Bytes off = CommandWriter(OPCODE_setIce).u32(1).u8(0).u8(0).u8(0).u16(0).bytes;
  CHECK(h.apply(off.data(), off.size(), 0) && c.ice == nullptr && c.consented && !c.roams);
}
