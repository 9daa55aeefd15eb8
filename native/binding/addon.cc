// The boundary to JavaScript: checks arguments, translates, decides nothing. The only file with node_api.h; what the
// functions take and give is described in src/relay/addon.ts.
#include <node_api.h>

#include <cmath>
#include <utility>

#include "harness.h"
#include "relay.h"

namespace {

using namespace claviger;

#define NAPI_OK(call)                                               \
  do {                                                              \
    if ((call) != napi_ok) return fail(env, "native call: " #call); \
  } while (0)

napi_value fail(napi_env env, const char* what) {
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (!pending) napi_throw_type_error(env, nullptr, what);
  return nullptr;
}

struct Arguments {
  napi_value values[6];
  bool read(napi_env env, napi_callback_info info, size_t expected) {
    size_t count = 6;
    return napi_get_cb_info(env, info, &count, values, nullptr, nullptr) == napi_ok && count >= expected;
  }
};

bool asUint(napi_env env, napi_value v, double max, uint32_t& out) {
  double d = 0;
  if (napi_get_value_double(env, v, &d) != napi_ok || !(d >= 0 && d <= max) || d != std::floor(d)) return false;
  out = static_cast<uint32_t>(d);
  return true;
}

// Milliseconds, fractions allowed.
bool asTime(napi_env env, napi_value v, uint64_t& ns) {
  double ms = 0;
  if (napi_get_value_double(env, v, &ms) != napi_ok || !(ms >= 0 && ms < 9e12)) return false;
  ns = static_cast<uint64_t>(ms * static_cast<double>(NS_PER_MS));
  return true;
}

bool asBytes(napi_env env, napi_value v, uint8_t*& data, size_t& length) {
  bool typed = false;
  napi_typedarray_type type = napi_int8_array;
  void* start = nullptr;
  if (napi_is_typedarray(env, v, &typed) != napi_ok || !typed) return false;
  if (napi_get_typedarray_info(env, v, &type, &length, &start, nullptr, nullptr) != napi_ok) return false;
  data = static_cast<uint8_t*>(start);
  return type == napi_uint8_array;
}

// An empty string is no address.
bool asAddress(napi_env env, napi_value v, uint16_t port, Address& out, bool& empty) {
  char text[64];
  size_t length = 0;
  if (napi_get_value_string_latin1(env, v, text, sizeof text, &length) != napi_ok) return false;
  empty = length == 0;
  return empty || parseAddress(std::string(text, length), port, out);
}

napi_value copyOut(napi_env env, const std::vector<uint8_t>& bytes) {
  napi_value buffer = nullptr, out = nullptr;
  void* data = nullptr;
  NAPI_OK(napi_create_arraybuffer(env, bytes.size(), &data, &buffer));
  if (!bytes.empty()) std::memcpy(data, bytes.data(), bytes.size());
  NAPI_OK(napi_create_typedarray(env, napi_uint8_array, bytes.size(), buffer, 0, &out));
  return out;
}

// The array buffer keeps the memory: it may outlive whoever writes it.
napi_value share(napi_env env, const std::shared_ptr<std::vector<uint64_t>>& words) {
  using Held = std::shared_ptr<std::vector<uint64_t>>;
  auto* held = new Held(words);
  napi_value out = nullptr;
  const auto release = [](napi_env, void*, void* hint) { delete static_cast<Held*>(hint); };
  if (napi_create_external_arraybuffer(env, words->data(), words->size() * 8, release, held, &out) != napi_ok) {
    delete held;
    return fail(env, "counter memory");
  }
  return out;
}

// --- the relay -----------------------------------------------------------------------------------------------------

constexpr napi_type_tag RELAY_TAG = {0x6c617669676572a1, 0x72656c6179000001};
constexpr napi_type_tag CORE_TAG = {0x6c617669676572a2, 0x636f726500000001};

struct RelayHandle {
  napi_env env = nullptr;
  std::shared_ptr<std::vector<uint64_t>> counters;
  std::unique_ptr<Relay> relay;
  std::vector<uint64_t> finalCpuNs;
  napi_threadsafe_function notify = nullptr;
  std::atomic<bool> notified{false};
  EventBuffer spare;
};

// Idempotent. Afterwards no thread runs, no socket is open, no key is left and nothing calls into JavaScript.
void closeHandle(RelayHandle& h) {
  if (h.relay == nullptr) return;
  h.relay->stop();
  for (size_t i = 0; i < h.relay->size(); i++) h.finalCpuNs.push_back(h.relay->thread(i).cpuNs());
  h.relay.reset();
  napi_release_threadsafe_function(h.notify, napi_tsfn_abort);
}

void closeAtExit(void* data) { closeHandle(*static_cast<RelayHandle*>(data)); }

template <typename T>
bool unwrap(napi_env env, napi_value v, const napi_type_tag& tag, T*& out) {
  bool matches = false;
  void* data = nullptr;
  if (napi_check_object_type_tag(env, v, &tag, &matches) != napi_ok || !matches) return false;
  if (napi_unwrap(env, v, &data) != napi_ok) return false;
  out = static_cast<T*>(data);
  return true;
}

// On the main thread: the batches of all threads, one call each.
void deliverEvents(napi_env env, napi_value callback, void* context, void*) {
  if (env == nullptr) return;  // the environment is going down
  auto& h = **static_cast<std::shared_ptr<RelayHandle>*>(context);
  h.notified.store(false);
  for (size_t i = 0; h.relay != nullptr && i < h.relay->size(); i++) {
    h.relay->thread(i).collect(h.spare);
    if (h.spare.empty()) continue;
    napi_value batch = copyOut(env, h.spare.bytes());
    h.spare.clear();
    napi_value receiver = nullptr;
    if (batch == nullptr || napi_get_undefined(env, &receiver) != napi_ok) return;
    // An exception ends the process loudly; the callback may also close the relay.
    if (napi_call_function(env, receiver, callback, 1, &batch, nullptr) != napi_ok) return;
  }
}

napi_value createRelay(napi_env env, napi_callback_info info) {
  Arguments a;
  uint32_t threads = 0;
  IngressLimits limits;
  Address address;
  bool empty = false;
  napi_valuetype type = napi_undefined;
  if (!a.read(env, info, 5) || !asUint(env, a.values[0], 256, threads) || threads == 0) return fail(env, "threads");
  if (!asAddress(env, a.values[1], 0, address, empty) || empty) return fail(env, "bind address");
  if (napi_typeof(env, a.values[2], &type) != napi_ok || type != napi_function) return fail(env, "onEvents");
  if (!asUint(env, a.values[3], 0xffffffff, limits.audioPacketsPerSecond) ||
      !asUint(env, a.values[4], 0xffffffff, limits.videoPacketsPerSecond)) {
    return fail(env, "ingress limits");
  }

  auto handle = std::make_shared<RelayHandle>();
  RelayHandle* h = handle.get();
  h->env = env;
  napi_value name = nullptr;
  NAPI_OK(napi_create_string_latin1(env, "claviger relay", NAPI_AUTO_LENGTH, &name));
  auto* context = new std::shared_ptr<RelayHandle>(handle);
  const auto release = [](napi_env, void* data, void*) { delete static_cast<std::shared_ptr<RelayHandle>*>(data); };
  if (napi_create_threadsafe_function(env, a.values[2], nullptr, name, 0, 1, context, release, context, deliverEvents,
                                      &h->notify) != napi_ok) {
    delete context;
    return fail(env, "threadsafe function");
  }
  h->relay = std::make_unique<Relay>(threads, address, [h] {
    if (!h->notified.exchange(true)) napi_call_threadsafe_function(h->notify, nullptr, napi_tsfn_nonblocking);
  }, limits);
  h->counters = h->relay->counters();
  if (!h->relay->start()) {
    closeHandle(*h);
    return fail(env, "relay threads did not start");
  }
  napi_value out = nullptr;
  auto* owner = new std::shared_ptr<RelayHandle>(handle);
  const auto collect = [](napi_env e, void* data, void*) {
    auto* held = static_cast<std::shared_ptr<RelayHandle>*>(data);
    napi_remove_env_cleanup_hook(e, closeAtExit, held->get());
    closeHandle(**held);
    delete held;
  };
  NAPI_OK(napi_create_object(env, &out));
  NAPI_OK(napi_type_tag_object(env, out, &RELAY_TAG));
  NAPI_OK(napi_wrap(env, out, owner, collect, nullptr, nullptr));
  NAPI_OK(napi_add_env_cleanup_hook(env, closeAtExit, h));
  return out;
}

RelayHandle* openRelayOf(napi_env env, napi_value v) {
  std::shared_ptr<RelayHandle>* h = nullptr;
  return unwrap(env, v, RELAY_TAG, h) && (*h)->relay != nullptr ? h->get() : nullptr;
}

napi_value bindSocketOf(napi_env env, napi_callback_info info) {
  Arguments a;
  uint32_t first = 0, last = 0, pair = 0;
  uint16_t port = 0;
  int above = -1;
  if (!a.read(env, info, 4)) return fail(env, "arguments");
  RelayHandle* h = openRelayOf(env, a.values[0]);
  if (h == nullptr) return fail(env, "relay");
  if (!asUint(env, a.values[1], 65535, first) || !asUint(env, a.values[2], 65535, last)) return fail(env, "ports");
  if (!asUint(env, a.values[3], 1, pair)) return fail(env, "pair");
  const auto [from, to] = std::pair(static_cast<uint16_t>(first), static_cast<uint16_t>(last));
  const int socket = pair != 0 ? h->relay->bindPairTo(from, to, port, above) : h->relay->bindTo(from, to, port);
  napi_value out = nullptr, value = nullptr;
  NAPI_OK(napi_create_object(env, &out));
  NAPI_OK(napi_create_int32(env, socket, &value));
  NAPI_OK(napi_set_named_property(env, out, "socket", value));
  NAPI_OK(napi_create_uint32(env, port, &value));
  NAPI_OK(napi_set_named_property(env, out, "port", value));
  NAPI_OK(napi_create_int32(env, above, &value));
  NAPI_OK(napi_set_named_property(env, out, "above", value));
  return out;
}

napi_value post(napi_env env, napi_callback_info info) {
  Arguments a;
  uint32_t thread = 0;
  uint8_t* bytes = nullptr;
  size_t length = 0;
  if (!a.read(env, info, 3)) return fail(env, "arguments");
  RelayHandle* h = openRelayOf(env, a.values[0]);
  if (h == nullptr) return fail(env, "relay");
  if (!asUint(env, a.values[1], static_cast<double>(h->relay->size()) - 1, thread)) return fail(env, "thread");
  if (!asBytes(env, a.values[2], bytes, length)) return fail(env, "command");
  napi_value out = nullptr;
  NAPI_OK(napi_get_boolean(env, h->relay->thread(thread).post(bytes, length), &out));
  return out;
}

napi_value counterMemory(napi_env env, napi_callback_info info) {
  Arguments a;
  std::shared_ptr<RelayHandle>* h = nullptr;
  if (!a.read(env, info, 1) || !unwrap(env, a.values[0], RELAY_TAG, h)) return fail(env, "relay");
  return share(env, (*h)->counters);
}

napi_value threadCpuNs(napi_env env, napi_callback_info info) {
  Arguments a;
  std::shared_ptr<RelayHandle>* held = nullptr;
  if (!a.read(env, info, 1) || !unwrap(env, a.values[0], RELAY_TAG, held)) return fail(env, "relay");
  RelayHandle& h = **held;
  const size_t count = h.relay == nullptr ? h.finalCpuNs.size() : h.relay->size();
  napi_value out = nullptr;
  NAPI_OK(napi_create_array_with_length(env, count, &out));
  for (size_t i = 0; i < count; i++) {
    napi_value ns = nullptr;
    NAPI_OK(napi_create_bigint_uint64(env, h.relay == nullptr ? h.finalCpuNs[i] : h.relay->thread(i).cpuNs(), &ns));
    NAPI_OK(napi_set_element(env, out, static_cast<uint32_t>(i), ns));
  }
  return out;
}

napi_value closeRelay(napi_env env, napi_callback_info info) {
  Arguments a;
  std::shared_ptr<RelayHandle>* h = nullptr;
  if (!a.read(env, info, 1) || !unwrap(env, a.values[0], RELAY_TAG, h)) return fail(env, "relay");
  napi_remove_env_cleanup_hook(env, closeAtExit, h->get());
  closeHandle(**h);
  return nullptr;
}

using CoreHandle = std::unique_ptr<Harness>;

napi_value createCore(napi_env env, napi_callback_info) {
  napi_value out = nullptr;
  auto* h = new CoreHandle(new Harness);
  const auto collect = [](napi_env, void* data, void*) { delete static_cast<CoreHandle*>(data); };
  NAPI_OK(napi_create_object(env, &out));
  NAPI_OK(napi_type_tag_object(env, out, &CORE_TAG));
  NAPI_OK(napi_wrap(env, out, h, collect, nullptr, nullptr));
  return out;
}

Harness* harnessOf(napi_env env, Arguments& a, napi_callback_info info, size_t expected) {
  CoreHandle* h = nullptr;
  if (!a.read(env, info, expected) || !unwrap(env, a.values[0], CORE_TAG, h)) return nullptr;
  return h->get();
}

napi_value coreApply(napi_env env, napi_callback_info info) {
  Arguments a;
  Harness* h = harnessOf(env, a, info, 3);
  uint8_t* bytes = nullptr;
  size_t length = 0;
  uint64_t now = 0;
  if (h == nullptr) return fail(env, "core");
  if (!asBytes(env, a.values[1], bytes, length) || !asTime(env, a.values[2], now)) return fail(env, "command");
  napi_value out = nullptr;
  NAPI_OK(napi_get_boolean(env, h->apply(bytes, length, now), &out));
  return out;
}

napi_value coreFeed(napi_env env, napi_callback_info info) {
  Arguments a;
  Harness* h = harnessOf(env, a, info, 6);
  uint32_t id = 0, port = 0;
  uint8_t* bytes = nullptr;
  size_t length = 0;
  uint64_t now = 0;
  Address from;
  bool isPeer = false;
  if (h == nullptr) return fail(env, "core");
  if (!asUint(env, a.values[1], 0xffffffff, id) || !asBytes(env, a.values[2], bytes, length)) return fail(env, "packet");
  if (!asTime(env, a.values[3], now) || !asUint(env, a.values[5], 65535, port)) return fail(env, "time or port");
  if (!asAddress(env, a.values[4], static_cast<uint16_t>(port), from, isPeer)) return fail(env, "address");
  Channel* channel = h->core().channel(id);
  if (channel == nullptr) return fail(env, "no such channel");
  const Drop drop = h->feed(*channel, bytes, length, now, isPeer ? nullptr : &from);
  napi_value out = nullptr;
  NAPI_OK(napi_create_int32(env, drop == Drop::none ? -1 : static_cast<int32_t>(drop), &out));
  return out;
}

napi_value coreTick(napi_env env, napi_callback_info info) {
  Arguments a;
  Harness* h = harnessOf(env, a, info, 2);
  uint64_t now = 0;
  if (h == nullptr || !asTime(env, a.values[1], now)) return fail(env, "core or time");
  h->core().tick(now);
  return nullptr;
}

napi_value coreEvents(napi_env env, napi_callback_info info) {
  Arguments a;
  Harness* h = harnessOf(env, a, info, 1);
  if (h == nullptr) return fail(env, "core");
  const std::vector<uint8_t> bytes = h->core().events().bytes();
  h->core().events().clear();
  return copyOut(env, bytes);
}

napi_value coreOutputs(napi_env env, napi_callback_info info) {
  Arguments a;
  Harness* h = harnessOf(env, a, info, 1);
  return h == nullptr ? fail(env, "core") : copyOut(env, h->takeOutputs());
}

napi_value coreStateHash(napi_env env, napi_callback_info info) {
  Arguments a;
  Harness* h = harnessOf(env, a, info, 1);
  if (h == nullptr) return fail(env, "core");
  napi_value out = nullptr;
  NAPI_OK(napi_create_bigint_uint64(env, h->core().stateHash(), &out));
  return out;
}

napi_value coreCounters(napi_env env, napi_callback_info info) {
  Arguments a;
  Harness* h = harnessOf(env, a, info, 1);
  return h == nullptr ? fail(env, "core") : share(env, h->counters());
}

napi_value closeCore(napi_env env, napi_callback_info info) {
  Arguments a;
  CoreHandle* h = nullptr;
  if (!a.read(env, info, 1) || !unwrap(env, a.values[0], CORE_TAG, h)) return fail(env, "core");
  h->reset();
  return nullptr;
}

// --- what both sides must agree on ---------------------------------------------------------------------------------

napi_value constants(napi_env env, napi_callback_info) {
  napi_value out = nullptr, value = nullptr;
  NAPI_OK(napi_create_object(env, &out));
#define CLAVIGER_EXPORT(name, number)                     \
  NAPI_OK(napi_create_uint32(env, number, &value));       \
  NAPI_OK(napi_set_named_property(env, out, #name, value));
  CLAVIGER_LIMITS(CLAVIGER_EXPORT)
  CLAVIGER_SCHEMA(CLAVIGER_EXPORT)
#undef CLAVIGER_EXPORT
  return out;
}

napi_value dropNames(napi_env env, napi_callback_info) {
  napi_value out = nullptr, value = nullptr;
  uint32_t i = 0;
  NAPI_OK(napi_create_array(env, &out));
#define CLAVIGER_EXPORT(name)                                                       \
  NAPI_OK(napi_create_string_latin1(env, #name, NAPI_AUTO_LENGTH, &value)); \
  NAPI_OK(napi_set_element(env, out, i++, value));
  CLAVIGER_DROPS(CLAVIGER_EXPORT)
#undef CLAVIGER_EXPORT
  return out;
}

}  // namespace

NAPI_MODULE_INIT() {
  const std::pair<const char*, napi_callback> table[] = {{"createRelay", createRelay},     {"bindSocket", bindSocketOf},   {"post", post},
               {"counterMemory", counterMemory}, {"threadCpuNs", threadCpuNs},   {"closeRelay", closeRelay},
               {"createCore", createCore},       {"coreApply", coreApply},       {"coreFeed", coreFeed},
               {"coreTick", coreTick},           {"coreEvents", coreEvents},     {"coreOutputs", coreOutputs},
               {"coreStateHash", coreStateHash}, {"coreCounters", coreCounters}, {"closeCore", closeCore},
               {"constants", constants},         {"dropNames", dropNames}};
  for (const auto& [name, function] : table) {
    napi_value f = nullptr;
    NAPI_OK(napi_create_function(env, name, NAPI_AUTO_LENGTH, function, nullptr, &f));
    NAPI_OK(napi_set_named_property(env, exports, name, f));
  }
  return exports;
}
