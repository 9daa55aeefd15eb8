// The boundary of the benches to JavaScript: checks arguments, translates, decides nothing. The only file with node_api.h;
// what the functions take and give is described in bench/native.ts.
#include <node_api.h>

#include <cerrno>
#include <cmath>
#include <memory>
#include <string>

#include "ground.h"
#include "replicator.h"
#include "retag.h"

namespace {

using namespace claviger::bench;

constexpr size_t MAX_ARGUMENTS = 8;
constexpr double MAX_RECEIVERS = 8000;

napi_value fail(napi_env env, const std::string& what) {
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (!pending) napi_throw_type_error(env, nullptr, ("bench: " + what).c_str());
  return nullptr;
}

napi_value failSystem(napi_env env, const std::string& what, int error) {
  return fail(env, what + ": " + std::strerror(error));
}

struct Arguments {
  napi_value values[MAX_ARGUMENTS];
  bool read(napi_env env, napi_callback_info info, size_t expected) {
    size_t count = MAX_ARGUMENTS;
    return napi_get_cb_info(env, info, &count, values, nullptr, nullptr) == napi_ok && count >= expected;
  }
};

bool asUint(napi_env env, napi_value v, double max, uint32_t& out) {
  double d = 0;
  if (napi_get_value_double(env, v, &d) != napi_ok || !(d >= 0 && d <= max) || d != std::floor(d)) return false;
  out = static_cast<uint32_t>(d);
  return true;
}

bool asBytes(napi_env env, napi_value v, Bytes& out) {
  bool typed = false;
  napi_typedarray_type type = napi_int8_array;
  void* start = nullptr;
  size_t length = 0;
  if (napi_is_typedarray(env, v, &typed) != napi_ok || !typed) return false;
  if (napi_get_typedarray_info(env, v, &type, &length, &start, nullptr, nullptr) != napi_ok) return false;
  const auto* bytes = static_cast<const uint8_t*>(start);
  if (length > 0) out.assign(bytes, bytes + length);
  return type == napi_uint8_array;
}

bool asList(napi_env env, napi_value v, std::vector<Bytes>& out) {
  bool isArray = false;
  uint32_t length = 0;
  if (napi_is_array(env, v, &isArray) != napi_ok || !isArray || napi_get_array_length(env, v, &length) != napi_ok) {
    return false;
  }
  for (uint32_t i = 0; i < length; i++) {
    napi_value element = nullptr;
    if (napi_get_element(env, v, i, &element) != napi_ok || !asBytes(env, element, out.emplace_back())) return false;
  }
  return true;
}

bool setNumber(napi_env env, napi_value object, const char* name, double number) {
  napi_value value = nullptr;
  return napi_create_double(env, number, &value) == napi_ok &&
         napi_set_named_property(env, object, name, value) == napi_ok;
}

// --- handles: a shared pointer behind an object, so that an object closed twice or of another kind is refused ----------

template <typename T>
constexpr napi_type_tag TAG = {};
template <>
constexpr napi_type_tag TAG<Retag> = {0x6c617669676572b1, 0x7265746167000001};
template <>
constexpr napi_type_tag TAG<Ground> = {0x6c617669676572b2, 0x67726f756e000001};
template <>
constexpr napi_type_tag TAG<Replicator> = {0x6c617669676572b3, 0x7265706c69000001};

template <typename T>
using Held = std::shared_ptr<T>;

template <typename T>
napi_value hand(napi_env env, Held<T> made) {
  napi_value out = nullptr;
  const auto collect = [](napi_env, void* data, void*) { delete static_cast<Held<T>*>(data); };
  if (napi_create_object(env, &out) != napi_ok || napi_type_tag_object(env, out, &TAG<T>) != napi_ok) {
    return fail(env, "object");
  }
  auto* held = new Held<T>(std::move(made));
  if (napi_wrap(env, out, held, collect, nullptr, nullptr) == napi_ok) return out;
  delete held;
  return fail(env, "object");
}

template <typename T>
Held<T>* handleOf(napi_env env, napi_value v) {
  bool matches = false;
  void* data = nullptr;
  if (napi_check_object_type_tag(env, v, &TAG<T>, &matches) != napi_ok || !matches) return nullptr;
  return napi_unwrap(env, v, &data) == napi_ok ? static_cast<Held<T>*>(data) : nullptr;
}

template <typename T>
napi_value closeHandle(napi_env env, napi_callback_info info) {
  Arguments a;
  Held<T>* held = a.read(env, info, 1) ? handleOf<T>(env, a.values[0]) : nullptr;
  if (held == nullptr) return fail(env, "handle");
  held->reset();
  return nullptr;
}

template <typename T>
Held<T> openHandle(napi_env env, Arguments& a, napi_callback_info info, size_t expected) {
  Held<T>* held = a.read(env, info, expected) ? handleOf<T>(env, a.values[0]) : nullptr;
  if (held != nullptr && *held != nullptr) return *held;
  fail(env, "closed or wrong handle");
  return nullptr;
}

// --- retag -------------------------------------------------------------------------------------------------------------

napi_value createRetag(napi_env env, napi_callback_info info) {
  Arguments a;
  RetagInput input;
  uint32_t bytes = 0;
  if (!a.read(env, info, 8) || !asList(env, a.values[0], input.setup) || !asList(env, a.values[1], input.routes) ||
      !asUint(env, a.values[2], 0xffffffff, input.channel) || !asBytes(env, a.values[3], input.first) ||
      !asBytes(env, a.values[4], input.packets) || !asUint(env, a.values[5], 0xffff, bytes) ||
      !asBytes(env, a.values[6], input.senderKey) || !asBytes(env, a.values[7], input.masterSalt)) {
    return fail(env, "arguments");
  }
  input.bytes = bytes;
  auto made = std::make_shared<Retag>(std::move(input));
  return made->usable() ? hand(env, std::move(made)) : fail(env, "packets do not fit their length, or keys theirs");
}

napi_value retagPass(napi_env env, napi_callback_info info) {
  Arguments a;
  uint32_t work = 0;
  const auto retag = openHandle<Retag>(env, a, info, 2);
  if (retag == nullptr) return nullptr;
  if (!asUint(env, a.values[1], WORKS - 1, work)) return fail(env, "kind of work");
  const Pass pass = retag->run(static_cast<Work>(work));
  napi_value out = nullptr;
  const bool done = napi_create_object(env, &out) == napi_ok && setNumber(env, out, "ns", static_cast<double>(pass.ns)) &&
                    setNumber(env, out, "packets", pass.packets) && setNumber(env, out, "right", pass.right);
  return done ? out : fail(env, "result");
}

// --- ground ------------------------------------------------------------------------------------------------------------

napi_value createGround(napi_env env, napi_callback_info info) {
  Arguments a;
  uint32_t receivers = 0;
  if (!a.read(env, info, 1) || !asUint(env, a.values[0], MAX_RECEIVERS, receivers) || receivers == 0) {
    return fail(env, "number of receivers");
  }
  auto made = std::make_shared<Ground>();
  return made->open(receivers) ? hand(env, std::move(made)) : failSystem(env, "sinks", errno);
}

napi_value groundPorts(napi_env env, napi_callback_info info) {
  Arguments a;
  const auto ground = openHandle<Ground>(env, a, info, 1);
  if (ground == nullptr) return nullptr;
  napi_value out = nullptr, sinks = nullptr, port = nullptr;
  bool done = napi_create_object(env, &out) == napi_ok && napi_create_array(env, &sinks) == napi_ok &&
              setNumber(env, out, "source", ground->sourcePort()) &&
              napi_set_named_property(env, out, "sinks", sinks) == napi_ok;
  for (uint32_t i = 0; done && i < ground->sinkPorts().size(); i++) {
    done = napi_create_uint32(env, ground->sinkPorts()[i], &port) == napi_ok &&
           napi_set_element(env, sinks, i, port) == napi_ok;
  }
  return done ? out : fail(env, "ports");
}

napi_value arrivals(napi_env env, napi_callback_info info) {
  Arguments a;
  const auto ground = openHandle<Ground>(env, a, info, 1);
  napi_value out = nullptr;
  if (ground == nullptr) return nullptr;
  return napi_create_uint32(env, ground->arrivals(), &out) == napi_ok ? out : fail(env, "arrivals");
}

struct Sending {
  Held<Ground> ground;
  Load load;
  Sent sent;
  napi_deferred deferred = nullptr;
  napi_async_work work = nullptr;
};

void sendOnThread(napi_env, void* data) {
  auto& s = *static_cast<Sending*>(data);
  s.sent = s.ground->send(s.load);
}

void sendDone(napi_env env, napi_status, void* data) {
  const std::unique_ptr<Sending> s(static_cast<Sending*>(data));
  napi_value out = nullptr, complete = nullptr;
  const bool done = napi_create_object(env, &out) == napi_ok && setNumber(env, out, "sent", s->sent.sent) &&
                    setNumber(env, out, "arrived", static_cast<double>(s->sent.arrived)) &&
                    napi_get_boolean(env, s->sent.complete, &complete) == napi_ok &&
                    napi_set_named_property(env, out, "complete", complete) == napi_ok;
  if (done) napi_resolve_deferred(env, s->deferred, out);
  napi_delete_async_work(env, s->work);
}

napi_value send(napi_env env, napi_callback_info info) {
  Arguments a;
  auto s = std::make_unique<Sending>();
  uint32_t port = 0, bytes = 0, burst = 0;
  s->ground = openHandle<Ground>(env, a, info, 6);
  if (s->ground == nullptr) return nullptr;
  if (!asUint(env, a.values[1], 65535, port) || !asBytes(env, a.values[2], s->load.packets) ||
      !asUint(env, a.values[3], 0xffff, bytes) || !asUint(env, a.values[4], 0xffff, burst) ||
      !asUint(env, a.values[5], 3'600'000, s->load.timeoutMs)) {
    return fail(env, "arguments");
  }
  if (bytes == 0 || burst == 0 || s->load.packets.size() % bytes != 0) return fail(env, "packets do not fit their length");
  s->load.port = static_cast<uint16_t>(port);
  s->load.bytes = bytes;
  s->load.burst = burst;
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

napi_value abortSend(napi_env env, napi_callback_info info) {
  Arguments a;
  const auto ground = openHandle<Ground>(env, a, info, 1);
  if (ground != nullptr) ground->abort();
  return nullptr;
}

// --- replicator ----------------------------------------------------------------------------------------------------------

napi_value startReplicator(napi_env env, napi_callback_info info) {
  Arguments a;
  const auto ground = openHandle<Ground>(env, a, info, 1);
  if (ground == nullptr) return nullptr;
  auto made = std::make_shared<Replicator>();
  return made->start(*ground) ? hand(env, std::move(made)) : failSystem(env, "replicator", errno);
}

napi_value replicatorState(napi_env env, napi_callback_info info) {
  Arguments a;
  const auto replicator = openHandle<Replicator>(env, a, info, 1);
  napi_value out = nullptr;
  if (replicator == nullptr) return nullptr;
  const bool done = napi_create_object(env, &out) == napi_ok && setNumber(env, out, "port", replicator->port()) &&
                    setNumber(env, out, "received", static_cast<double>(replicator->received())) &&
                    setNumber(env, out, "sent", static_cast<double>(replicator->sent())) &&
                    setNumber(env, out, "cpuNs", static_cast<double>(replicator->cpuNs()));
  return done ? out : fail(env, "state");
}

}  // namespace

NAPI_MODULE_INIT() {
  const struct {
    const char* name;
    napi_callback function;
  } table[] = {{"createRetag", createRetag},         {"retagPass", retagPass},
               {"closeRetag", closeHandle<Retag>},   {"createGround", createGround},
               {"groundPorts", groundPorts},         {"arrivals", arrivals},
               {"send", send},                       {"abort", abortSend},
               {"closeGround", closeHandle<Ground>}, {"startReplicator", startReplicator},
               {"replicatorState", replicatorState}, {"closeReplicator", closeHandle<Replicator>}};
  for (const auto& entry : table) {
    napi_value f = nullptr;
    if (napi_create_function(env, entry.name, NAPI_AUTO_LENGTH, entry.function, nullptr, &f) != napi_ok ||
        napi_set_named_property(env, exports, entry.name, f) != napi_ok) {
      return fail(env, entry.name);
    }
  }
  return exports;
}
