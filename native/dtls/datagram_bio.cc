#include "datagram_bio.h"

#include <algorithm>

namespace claviger::dtls {

namespace {

int read(BIO* bio, char* out, int capacity) {
  BIO_clear_retry_flags(bio);
  auto& in = static_cast<DatagramQueues*>(BIO_get_data(bio))->in;
  if (in.empty()) {
    BIO_set_retry_read(bio);
    return -1;
  }
  // As a socket does: what does not fit is lost.
  const size_t length = std::min(in.front().size(), static_cast<size_t>(std::max(capacity, 0)));
  std::copy_n(in.front().begin(), length, out);
  in.pop_front();
  return static_cast<int>(length);
}

int write(BIO* bio, const char* data, int length) {
  BIO_clear_retry_flags(bio);
  const auto* bytes = reinterpret_cast<const uint8_t*>(data);
  static_cast<DatagramQueues*>(BIO_get_data(bio))->out(Bytes(bytes, bytes + length));
  return length;
}

// OpenSSL asks for sizes and tells of time-outs; the MTU is set, not asked for.
long control(BIO* bio, int command, long, void* argument) {
  if (command == BIO_CTRL_DGRAM_SET_NEXT_TIMEOUT) {
    static_cast<DatagramQueues*>(BIO_get_data(bio))->timer(static_cast<timeval*>(argument));
  }
  return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP ? 1 : 0;
}

BIO_METHOD* method() {
  static BIO_METHOD* const made = [] {
    BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "claviger datagrams");
    if (m == nullptr) return m;
    BIO_meth_set_read(m, read);
    BIO_meth_set_write(m, write);
    BIO_meth_set_ctrl(m, control);
    return m;
  }();
  return made;
}

}  // namespace

BIO* newDatagramBio(DatagramQueues* queues) {
  BIO* bio = method() == nullptr ? nullptr : BIO_new(method());
  if (bio == nullptr) return nullptr;
  BIO_set_data(bio, queues);
  BIO_set_init(bio, 1);
  return bio;
}

}  // namespace claviger::dtls
