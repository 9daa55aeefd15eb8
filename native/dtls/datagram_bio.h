// A BIO whose two ends are queues of datagrams: what OpenSSL reads is put in whole, what it writes comes out whole.
#pragma once

#include <openssl/bio.h>
#include <sys/time.h>

#include <deque>
#include <functional>

#include "wire.h"

namespace claviger::dtls {

struct DatagramQueues {
  std::deque<Bytes> in;
  std::function<void(Bytes)> out;
  // OpenSSL has set its retransmission timer, or stopped it (zero).
  std::function<void(timeval*)> timer;
};

// `queues` must outlive the BIO. Null when there is no memory.
BIO* newDatagramBio(DatagramQueues* queues);

}  // namespace claviger::dtls
