// What the benches' boundary to JavaScript is made of: arguments, results, handles.
#pragma once
#include <node_api.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <string>

#include "protect.h"
#include "replicator.h"
#include "retag.h"

namespace claviger::bench {

constexpr size_t MAX_ARGUMENTS = 9;

inline napi_value fail(napi_env env, const std::string& what) {
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (!pending) napi_throw_type_error(env, nullptr, ("bench: " + what).c_str());
  return nullptr;
}

inline napi_value failSystem(napi_env env, const std::string& what, int error) {
  return fail(env, what + ": " + std::strerror(error));
}

struct Arguments {
  napi_value values[MAX_ARGUMENTS];
  bool read(napi_env env, napi_callback_info info, size_t expected) {
    size_t count = MAX_ARGUMENTS;
    return napi_get_cb_info(env, info, &count, values, nullptr, nullptr) == napi_ok && count >= expected;
  }
};

inline bool asUint(napi_env env, napi_value v, double max, uint32_t& out) {
  double d = 0;
  if (napi_get_value_double(env, v, &d) != napi_ok || !(d >= 0 && d <= max) || d != std::floor(d)) return false;
  out = static_cast<uint32_t>(d);
  return true;
}

inline bool asNumber(napi_env env, napi_value v, double min, double max, double& out) {
  return napi_get_value_double(env, v, &out) == napi_ok && out >= min && out <= max;
}

inline bool asBytes(napi_env env, napi_value v, Bytes& out) {
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

inline bool asList(napi_env env, napi_value v, std::vector<Bytes>& out) {
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

inline bool asPorts(napi_env env, napi_value v, std::vector<uint16_t>& out) {
  bool isArray = false;
  uint32_t length = 0, port = 0;
  if (napi_is_array(env, v, &isArray) != napi_ok || !isArray || napi_get_array_length(env, v, &length) != napi_ok) {
    return false;
  }
  for (uint32_t i = 0; i < length; i++) {
    napi_value element = nullptr;
    if (napi_get_element(env, v, i, &element) != napi_ok || !asUint(env, element, 65535, port)) return false;
    out.push_back(static_cast<uint16_t>(port));
  }
  return length > 0;
}

inline bool setNumber(napi_env env, napi_value object, const char* name, double number) {
  napi_value value = nullptr;
  return napi_create_double(env, number, &value) == napi_ok &&
         napi_set_named_property(env, object, name, value) == napi_ok;
}

// --- handles: a shared pointer behind an object, so that an object closed twice or of another kind is refused ----------

template <typename T>
constexpr napi_type_tag TAG = {};
template <>
inline constexpr napi_type_tag TAG<Retag> = {0x6c617669676572b1, 0x7265746167000001};
template <>
inline constexpr napi_type_tag TAG<Ground> = {0x6c617669676572b2, 0x67726f756e000001};
template <>
inline constexpr napi_type_tag TAG<Replicator> = {0x6c617669676572b3, 0x7265706c69000001};
template <>
inline constexpr napi_type_tag TAG<Load> = {0x6c617669676572b4, 0x6c6f616400000001};

template <>
inline constexpr napi_type_tag TAG<Protect> = {0x6c617669676572b5, 0x70726f7465000001};

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

// An object of numbers.
inline napi_value numbers(napi_env env, std::initializer_list<std::pair<const char*, double>> fields) {
  napi_value out = nullptr;
  bool done = napi_create_object(env, &out) == napi_ok;
  for (const auto& [name, number] : fields) done = done && setNumber(env, out, name, number);
  return done ? out : fail(env, "result");
}

// The functions of traffic_addon.cc.
bool exportTraffic(napi_env env, napi_value exports);
bool exportFunction(napi_env env, napi_value exports, const char* name, napi_callback function);

}  // namespace claviger::bench
