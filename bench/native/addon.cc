// The boundary of the benches to JavaScript: checks arguments, translates, decides nothing. Only this file, arguments.h and
// traffic_addon.cc know node_api.h; what the functions take and give is described in bench/native.ts.
#include <malloc.h>

#include "arguments.h"

namespace claviger::bench {
namespace {

// --- retag -------------------------------------------------------------------------------------------------------------

napi_value createRetag(napi_env env, napi_callback_info info) {
  Arguments a;
  RetagInput input;
  uint32_t bytes = 0;
  if (!a.read(env, info, 9) || !asList(env, a.values[0], input.setup) || !asList(env, a.values[1], input.routes) ||
      !asUint(env, a.values[2], 0xffffffff, input.channel) || !asBytes(env, a.values[3], input.first) ||
      !asBytes(env, a.values[4], input.packets) || !asUint(env, a.values[5], 0xffff, bytes) ||
      !asBytes(env, a.values[6], input.senderKey) || !asBytes(env, a.values[7], input.masterSalt) ||
      !asBytes(env, a.values[8], input.routeTagInputs)) {
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
  return numbers(env, {{"ns", static_cast<double>(pass.ns)},
                       {"packets", pass.packets},
                       {"right", pass.right},
                       {"allocations", static_cast<double>(pass.allocations)},
                       {"opening", static_cast<double>(pass.opening)}});
}

// --- protection --------------------------------------------------------------------------------------------------------

constexpr double MAX_PROTECT_RECEIVERS = 8000, MAX_PROTECT_BURST = 64;

napi_value hasLibrary(napi_env env, napi_callback_info) {
  napi_value out = nullptr;
  return napi_get_boolean(env, hasLibSrtp(), &out) == napi_ok ? out : fail(env, "boolean");
}

napi_value createProtect(napi_env env, napi_callback_info info) {
  Arguments a;
  uint32_t profile = 0, bytes = 0, receivers = 0, burst = 0;
  if (!a.read(env, info, 4) || !asUint(env, a.values[0], 0xffff, profile) || !asUint(env, a.values[1], 0xffff, bytes) ||
      !asUint(env, a.values[2], MAX_PROTECT_RECEIVERS, receivers) || !asUint(env, a.values[3], MAX_PROTECT_BURST, burst) ||
      receivers == 0 || burst == 0) {
    return fail(env, "arguments");
  }
  auto made = std::make_shared<Protect>(static_cast<uint16_t>(profile), bytes, receivers, burst);
  return made->usable() ? hand(env, std::move(made)) : fail(env, "no such profile, or packets that do not fit");
}

napi_value protectPass(napi_env env, napi_callback_info info) {
  Arguments a;
  bool library = false;
  const auto protect = openHandle<Protect>(env, a, info, 2);
  if (protect == nullptr) return nullptr;
  if (napi_get_value_bool(env, a.values[1], &library) != napi_ok) return fail(env, "whose protection");
  const Pass pass = protect->run(library);
  return numbers(env, {{"ns", static_cast<double>(pass.ns)}, {"packets", pass.packets}, {"right", pass.right}});
}

// Bytes that the process has from malloc and not given back.
napi_value heapBytes(napi_env env, napi_callback_info) {
  const struct mallinfo2 heap = mallinfo2();
  napi_value out = nullptr;
  const auto bytes = static_cast<double>(heap.uordblks + heap.hblkhd);
  return napi_create_double(env, bytes, &out) == napi_ok ? out : fail(env, "number");
}

// What retransmission takes: of a video stream that is sent, of a video channel that may ask, of each packet that is kept.
napi_value storeBytes(napi_env env, napi_callback_info) {
  return numbers(env, {{"stream", sizeof(KeptStream)}, {"receiver", sizeof(RequestLimit)}, {"packet", sizeof(Variant)}});
}

}  // namespace

bool exportFunction(napi_env env, napi_value exports, const char* name, napi_callback function) {
  napi_value f = nullptr;
  return napi_create_function(env, name, NAPI_AUTO_LENGTH, function, nullptr, &f) == napi_ok &&
         napi_set_named_property(env, exports, name, f) == napi_ok;
}

}  // namespace claviger::bench

NAPI_MODULE_INIT() {
  using namespace claviger::bench;
  const bool done = exportFunction(env, exports, "createRetag", createRetag) &&
                    exportFunction(env, exports, "retagPass", retagPass) &&
                    exportFunction(env, exports, "closeRetag", closeHandle<Retag>) &&
                    exportFunction(env, exports, "hasLibSrtp", hasLibrary) &&
                    exportFunction(env, exports, "createProtect", createProtect) &&
                    exportFunction(env, exports, "protectPass", protectPass) &&
                    exportFunction(env, exports, "closeProtect", closeHandle<Protect>) &&
                    exportFunction(env, exports, "heapBytes", heapBytes) &&
                    exportFunction(env, exports, "storeBytes", storeBytes) && exportTraffic(env, exports);
  return done ? exports : fail(env, "functions");
}
