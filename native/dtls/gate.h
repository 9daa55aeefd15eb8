// What stands before OpenSSL. A plaintext record proves nothing, yet OpenSSL ends an association over one that it dislikes:
// so only whole messages whose turn it is pass, a certificate only if SDP promised it, an alert never. What speaks against
// the handshake is a doubt, to be believed when the handshake then stands still.
#pragma once

#include <optional>

#include "fingerprint.h"
#include "reassembly.h"

namespace claviger::dtls {

// A way to fail; `reason` is one of AssociationFailure (src/dtls/association.ts).
struct Finding {
  const char* reason = "";
  std::string detail;
  // What the peer told us, and what we tell the peer (RFC 5246 §7.2); -1: nothing.
  int received = -1;
  int alert = -1;
};

class Gate {
 public:
  // Records for OpenSSL in their order, and what was found.
  struct Outcome {
    std::vector<Bytes> records;
    std::optional<Finding> doubt;
    // A message was taken: earlier doubts did not come from the peer.
    bool moved = false;
  };

  Gate(bool client, const std::vector<Fingerprint>& promised);

  // The server's first message was taken by the cookie's guard, in a record of this number.
  void beginAfterHello(uint64_t recordSequence);
  void handshakeRecord(const Record& record, Outcome& out);
  // A record of epoch 1; whether it is authentic OpenSSL finds.
  void protectedRecord(const Record& record, Outcome& out);
  size_t heldBytes() const { return reassembler_.heldBytes(); }
  void forget() { reassembler_.clear(); }

 private:
  void deliver(Outcome& out);
  bool acceptable(const Reassembler::Whole& message, Outcome& out) const;
  void changeCipher(Outcome& out);
  bool complete() const { return turn_ == turns_.size(); }

  const bool client_;
  const std::vector<Fingerprint>& promised_;
  // The plaintext messages that a full handshake with client authentication has (RFC 5246 §7.3).
  const std::vector<uint8_t> turns_;
  size_t turn_ = 0;
  bool mayVerifyHello_;
  Reassembler reassembler_{2 * 16384};
  // Plaintext record numbers prove nothing and could be used to close OpenSSL's replay window: it gets our own.
  uint64_t recordSequence_ = 0;
  bool protectedSeen_ = false;
  bool cipherChanged_ = false;
};

}  // namespace claviger::dtls
