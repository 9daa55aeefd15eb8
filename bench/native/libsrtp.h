// libsrtp2 as others use it, opened at run time where it is installed: nothing of it is needed to build. The declarations
// are those of its srtp.h (2.x).
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

namespace claviger::bench {

// Whether it is there.
bool hasLibSrtp();

// One session that protects whatever SSRC it is given.
class LibSrtpSender {
 public:
  // `profile`: DTLS-SRTP's number; `keyAndSalt` as long as it says. Not usable: the library is missing or does not know it.
  LibSrtpSender(uint16_t profile, const uint8_t* keyAndSalt);
  bool usable() const { return session_ != nullptr; }
  // In place; there must be room for what is added. Gives the protected length, 0: refused.
  size_t protect(uint8_t* packet, size_t length);

 private:
  struct Close {
    void operator()(void* session) const;
  };
  std::unique_ptr<void, Close> session_;
};

}  // namespace claviger::bench
