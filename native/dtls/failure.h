// OpenSSL's errors in the words of AssociationFailure.
#pragma once

#include "gate.h"

namespace claviger::dtls {

// Reads and empties this thread's error queue. `lastType`: the handshake message that OpenSSL got last, 0 after them.
Finding explainError(uint8_t lastType);

}  // namespace claviger::dtls
