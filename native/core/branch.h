// The socket of a channel whose conference lives on another thread (exchange.h).
#pragma once
#include "exchange.h"
#include "outlet.h"

namespace claviger {

struct Branch : Outlet {
  size_t home = 0;  // thread
  uint16_t homeSlot = 0;
  Ring<Incoming>* datagrams = nullptr;
  // What the ring's `written` was after its last datagram, and how many were written since the ring had passed all of them.
  uint32_t last = 0;
  uint32_t underWay = 0;
};

}  // namespace claviger
