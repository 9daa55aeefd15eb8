// Grounds, loads and replicators for JavaScript. Whatever sends runs on a thread of the pool.
#include <cerrno>

#include "arguments.h"
#include "pacer.h"

namespace claviger::bench {
namespace {

constexpr double MAX_SOCKETS = 8000;
constexpr double MAX_MS = 3'600'000;
constexpr double MAX_RATE = 1e8;

// --- ground and load -----------------------------------------------------------------------------------------------------

napi_value createGround(napi_env env, napi_callback_info info) {
  Arguments a;
  uint32_t sources = 0, receivers = 0;
  bool timed = false;
  if (!a.read(env, info, 3) || !asUint(env, a.values[0], MAX_SOCKETS, sources) || sources == 0 ||
      !asUint(env, a.values[1], MAX_SOCKETS, receivers) || receivers == 0 ||
      napi_get_value_bool(env, a.values[2], &timed) != napi_ok) {
    return fail(env, "number of sources and receivers");
  }
  auto made = std::make_shared<Ground>();
  return made->open(sources, receivers, timed) ? hand(env, std::move(made)) : failSystem(env, "sockets", errno);
}

bool setPorts(napi_env env, napi_value object, const char* name, const std::vector<uint16_t>& ports) {
  napi_value list = nullptr, port = nullptr;
  bool done = napi_create_array(env, &list) == napi_ok && napi_set_named_property(env, object, name, list) == napi_ok;
  for (uint32_t i = 0; done && i < ports.size(); i++) {
    done = napi_create_uint32(env, ports[i], &port) == napi_ok && napi_set_element(env, list, i, port) == napi_ok;
  }
  return done;
}

napi_value groundPorts(napi_env env, napi_callback_info info) {
  Arguments a;
  const auto ground = openHandle<Ground>(env, a, info, 1);
  if (ground == nullptr) return nullptr;
  napi_value out = nullptr;
  const bool done = napi_create_object(env, &out) == napi_ok && setPorts(env, out, "sources", ground->sourcePorts()) &&
                    setPorts(env, out, "sinks", ground->sinkPorts());
  return done ? out : fail(env, "ports");
}

napi_value arrivals(napi_env env, napi_callback_info info) {
  Arguments a;
  const auto ground = openHandle<Ground>(env, a, info, 1);
  napi_value out = nullptr;
  if (ground == nullptr) return nullptr;
  return napi_create_uint32(env, ground->arrivals(), &out) == napi_ok ? out : fail(env, "arrivals");
}

napi_value abortSend(napi_env env, napi_callback_info info) {
  Arguments a;
  const auto ground = openHandle<Ground>(env, a, info, 1);
  if (ground != nullptr) ground->abort();
  return nullptr;
}

napi_value createLoad(napi_env env, napi_callback_info info) {
  Arguments a;
  auto made = std::make_shared<Load>();
  uint32_t bytes = 0;
  if (!a.read(env, info, 2) || !asList(env, a.values[0], made->streams) || !asUint(env, a.values[1], 0xffff, bytes)) {
    return fail(env, "arguments");
  }
  made->bytes = bytes;
  return made->usable() ? hand(env, std::move(made)) : fail(env, "packets do not fit their length");
}

// --- sending -------------------------------------------------------------------------------------------------------------

// A course and two numbers more; what they mean is the kind's business.
struct Sending {
  enum class Kind : uint8_t { paced_by_sink, paced_by_clock, saturating } kind;
  Held<Ground> ground;
  Course course;
  double first = 0, second = 0;
  Sent sent;
  Paced paced;
  Saturated saturated;
  napi_deferred deferred = nullptr;
  napi_async_work work = nullptr;
};

void sendOnThread(napi_env, void* data) {
  auto& s = *static_cast<Sending*>(data);
  switch (s.kind) {
    case Sending::Kind::paced_by_sink:
      s.sent = s.ground->send(s.course, static_cast<uint32_t>(s.first));
      break;
    case Sending::Kind::paced_by_clock:
      s.paced = pace(*s.ground, s.course, s.first, static_cast<uint32_t>(s.second));
      break;
    case Sending::Kind::saturating:
      s.saturated = saturate(*s.ground, s.course, static_cast<uint32_t>(s.first), static_cast<uint32_t>(s.second));
      break;
  }
}

bool setDoubles(napi_env env, napi_value object, const char* name, const std::vector<double>& values) {
  void* start = nullptr;
  napi_value buffer = nullptr, array = nullptr;
  if (napi_create_arraybuffer(env, values.size() * sizeof(double), &start, &buffer) != napi_ok) return false;
  if (!values.empty()) std::memcpy(start, values.data(), values.size() * sizeof(double));
  return napi_create_typedarray(env, napi_float64_array, values.size(), buffer, 0, &array) == napi_ok &&
         napi_set_named_property(env, object, name, array) == napi_ok;
}

napi_value resultOf(napi_env env, const Sending& s) {
  napi_value out = nullptr, complete = nullptr;
  bool done = true;
  const auto number = [](uint64_t n) { return static_cast<double>(n); };
  switch (s.kind) {
    case Sending::Kind::paced_by_sink:
      out = numbers(env, {{"sent", s.sent.sent}, {"arrived", number(s.sent.arrived)}});
      done = out != nullptr && napi_get_boolean(env, s.sent.complete, &complete) == napi_ok &&
             napi_set_named_property(env, out, "complete", complete) == napi_ok;
      break;
    case Sending::Kind::paced_by_clock:
      out = numbers(env, {{"sent", s.paced.sent},
                          {"arrived", number(s.paced.arrived)},
                          {"sendingNs", number(s.paced.sendingNs)},
                          {"drainedNs", number(s.paced.drainedNs)}});
      done = out != nullptr && setDoubles(env, out, "latenciesUs", s.paced.latenciesUs);
      break;
    case Sending::Kind::saturating:
      out = numbers(env, {{"sent", number(s.saturated.sent)},
                          {"arrived", number(s.saturated.arrived)},
                          {"ns", number(s.saturated.ns)},
                          {"arrivedAfter", number(s.saturated.arrivedAfter)}});
      break;
  }
  return done ? out : nullptr;
}

void sendDone(napi_env env, napi_status, void* data) {
  const std::unique_ptr<Sending> s(static_cast<Sending*>(data));
  napi_value out = resultOf(env, *s);
  if (out != nullptr) napi_resolve_deferred(env, s->deferred, out);
  napi_delete_async_work(env, s->work);
}

bool asCourse(napi_env env, napi_value v, Course& course) {
  const auto field = [env, v](const char* name) {
    napi_value out = nullptr;
    return napi_get_named_property(env, v, name, &out) == napi_ok ? out : nullptr;
  };
  Held<Load>* load = handleOf<Load>(env, field("load"));
  if (load == nullptr || *load == nullptr) return false;
  course.load = *load;
  return asPorts(env, field("ports"), course.ports) && asUint(env, field("count"), 0xffffffff, course.count) &&
         asUint(env, field("burst"), 0xffff, course.burst) && asUint(env, field("run"), 0xffff, course.run) && course.burst > 0 && course.run > 0;
}

// ground, course, then `more` numbers from `min` to the kind's greatest.
napi_value sendBy(napi_env env, napi_callback_info info, Sending::Kind kind, size_t more, double min, double max) {
  Arguments a;
  auto s = std::make_unique<Sending>();
  s->kind = kind;
  s->ground = openHandle<Ground>(env, a, info, 2 + more);
  if (s->ground == nullptr) return nullptr;
  if (!asCourse(env, a.values[1], s->course) || !asNumber(env, a.values[2], min, max, s->first) ||
      (more > 1 && !asNumber(env, a.values[3], min, max, s->second))) {
    return fail(env, "arguments");
  }
  if (s->course.ports.size() > s->ground->sourcePorts().size()) return fail(env, "more lanes than sources");
  napi_value promise = nullptr, name = nullptr;
  if (napi_create_string_latin1(env, "claviger bench", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_create_promise(env, &s->deferred, &promise) != napi_ok ||
      napi_create_async_work(env, nullptr, name, sendOnThread, sendDone, s.get(), &s->work) != napi_ok) {
    return fail(env, "send");
  }
  if (napi_queue_async_work(env, s->work) != napi_ok) {
    napi_delete_async_work(env, s->work);
    return fail(env, "send");
  }
  s.release();  // sendDone has it
  return promise;
}

napi_value send(napi_env env, napi_callback_info info) {
  return sendBy(env, info, Sending::Kind::paced_by_sink, 1, 0, MAX_MS);
}

napi_value paceCourse(napi_env env, napi_callback_info info) {
  return sendBy(env, info, Sending::Kind::paced_by_clock, 2, 1, MAX_RATE);
}

napi_value saturateCourse(napi_env env, napi_callback_info info) {
  return sendBy(env, info, Sending::Kind::saturating, 2, 1, MAX_MS);
}

// --- replicator ----------------------------------------------------------------------------------------------------------

napi_value startReplicator(napi_env env, napi_callback_info info) {
  Arguments a;
  uint32_t manner = 0;
  const auto ground = openHandle<Ground>(env, a, info, 2);
  if (ground == nullptr) return nullptr;
  if (!asUint(env, a.values[1], MANNERS - 1, manner)) return fail(env, "manner");
  auto made = std::make_shared<Replicator>();
  const bool started = made->start(*ground, static_cast<Manner>(manner));
  return started ? hand(env, std::move(made)) : failSystem(env, "replicator", errno);
}

napi_value replicatorState(napi_env env, napi_callback_info info) {
  Arguments a;
  const auto replicator = openHandle<Replicator>(env, a, info, 1);
  if (replicator == nullptr) return nullptr;
  const auto number = [](uint64_t n) { return static_cast<double>(n); };
  return numbers(env, {{"port", replicator->port()},
                       {"received", number(replicator->received())},
                       {"sent", number(replicator->sent())},
                       {"calls", number(replicator->calls())},
                       {"cpuNs", number(replicator->cpuNs())}});
}

napi_value bytesOf(napi_env env, const void* from, size_t length) {
  void* start = nullptr;
  napi_value buffer = nullptr, array = nullptr;
  if (napi_create_arraybuffer(env, length, &start, &buffer) != napi_ok) return fail(env, "bytes");
  if (length > 0) std::memcpy(start, from, length);
  const bool done = napi_create_typedarray(env, napi_uint8_array, length, buffer, 0, &array) == napi_ok;
  return done ? array : fail(env, "bytes");
}

// Packets for the copying relay, made of others of the same length.
napi_value protectForCopies(napi_env env, napi_callback_info info) {
  Arguments a;
  Bytes packets;
  uint32_t bytes = 0;
  const auto replicator = openHandle<Replicator>(env, a, info, 3);
  if (replicator == nullptr) return nullptr;
  if (replicator->copier() == nullptr || !asBytes(env, a.values[1], packets) ||
      !asUint(env, a.values[2], COPY_MAX_BYTES, bytes) || bytes == 0 || packets.size() % bytes != 0) {
    return fail(env, "arguments");
  }
  for (size_t at = 0; at < packets.size(); at += bytes) {
    if (!replicator->copier()->protect(packets.data() + at, bytes)) return fail(env, "no RTP packet");
  }
  return bytesOf(env, packets.data(), packets.size());
}

// For tests: key, salt and authentication key of a receiver, then its copy of a packet. Empty: refused.
napi_value copyFor(napi_env env, napi_callback_info info) {
  Arguments a;
  Bytes packet;
  uint32_t receiver = 0;
  const auto replicator = openHandle<Replicator>(env, a, info, 3);
  if (replicator == nullptr) return nullptr;
  Copier* copier = replicator->copier();
  if (copier == nullptr || !asUint(env, a.values[1], copier->receivers() - 1.0, receiver) ||
      !asBytes(env, a.values[2], packet) || packet.size() > COPY_MAX_BYTES) {
    return fail(env, "arguments");
  }
  if (!copier->open(packet.data(), packet.size())) return bytesOf(env, nullptr, 0);
  Bytes out(sizeof(CopyKeys) + packet.size());
  std::memcpy(out.data(), &copier->keysOf(receiver), sizeof(CopyKeys));
  copier->copyFor(receiver, packet.data(), packet.size(), out.data() + sizeof(CopyKeys));
  return bytesOf(env, out.data(), out.size());
}

}  // namespace

bool exportTraffic(napi_env env, napi_value exports) {
  const struct {
    const char* name;
    napi_callback function;
  } table[] = {{"createGround", createGround},
               {"groundPorts", groundPorts},
               {"arrivals", arrivals},
               {"abort", abortSend},
               {"closeGround", closeHandle<Ground>},
               {"createLoad", createLoad},
               {"closeLoad", closeHandle<Load>},
               {"send", send},
               {"pace", paceCourse},
               {"saturate", saturateCourse},
               {"startReplicator", startReplicator},
               {"replicatorState", replicatorState},
               {"protectForCopies", protectForCopies},
               {"copyFor", copyFor},
               {"closeReplicator", closeHandle<Replicator>}};
  for (const auto& entry : table) {
    if (!exportFunction(env, exports, entry.name, entry.function)) return false;
  }
  return true;
}

}  // namespace claviger::bench
