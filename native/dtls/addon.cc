// The boundary to JavaScript: checks arguments, translates, decides nothing. The only file here with node_api.h; what the
// functions take and give is described in src/dtls/openssl/addon.ts.
#include <node_api.h>

#include <openssl/crypto.h>

#include <cmath>
#include <cstring>

#include "association.h"

namespace {

using namespace claviger::dtls;

constexpr napi_type_tag TAG = {0x6c617669676572a3, 0x64746c7300000001};

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

bool asBytes(napi_env env, napi_value v, Span& out) {
  bool typed = false;
  napi_typedarray_type type = napi_int8_array;
  void* data = nullptr;
  if (napi_is_typedarray(env, v, &typed) != napi_ok || !typed) return false;
  if (napi_get_typedarray_info(env, v, &type, &out.length, &data, nullptr, nullptr) != napi_ok) return false;
  out.data = static_cast<const uint8_t*>(data);
  return type == napi_uint8_array;
}

bool asTime(napi_env env, napi_value v, double& out) {
  return napi_get_value_double(env, v, &out) == napi_ok && std::isfinite(out);
}

bool asText(napi_env env, napi_value v, std::string& out) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, v, nullptr, 0, &length) != napi_ok) return false;
  out.resize(length + 1);
  if (napi_get_value_string_utf8(env, v, out.data(), out.size(), &length) != napi_ok) return false;
  out.resize(length);
  return true;
}

bool field(napi_env env, napi_value object, const char* name, napi_value& out) {
  return napi_get_named_property(env, object, name, &out) == napi_ok;
}

template <typename Read>
bool each(napi_env env, napi_value array, const Read& read) {
  uint32_t count = 0;
  if (napi_get_array_length(env, array, &count) != napi_ok) return false;
  for (uint32_t i = 0; i < count; i++) {
    napi_value item = nullptr;
    if (napi_get_element(env, array, i, &item) != napi_ok || !read(item)) return false;
  }
  return true;
}

bool asOptions(napi_env env, napi_value v, Options& out) {
  napi_value item = nullptr;
  double number = 0;
  const auto numberOf = [&](const char* name) {
    return field(env, v, name, item) && napi_get_value_double(env, item, &number) == napi_ok && number >= 0 && number < 1e9;
  };
  if (!field(env, v, "client", item) || napi_get_value_bool(env, item, &out.client) != napi_ok) return false;
  if (!field(env, v, "cookieVerified", item) || napi_get_value_bool(env, item, &out.cookieVerified) != napi_ok) return false;
  if (!field(env, v, "extendedMasterSecret", item)) return false;
  if (napi_get_value_bool(env, item, &out.extendedMasterSecret) != napi_ok) return false;
  if (!field(env, v, "certificatePem", item) || !asText(env, item, out.certificatePem)) return false;
  if (!field(env, v, "groups", item) || !asText(env, item, out.groups)) return false;
  if (!numberOf("mtuBytes")) return false;
  out.mtuBytes = static_cast<size_t>(number);
  if (!numberOf("retransmitMs")) return false;
  out.retransmitMs = static_cast<unsigned>(number);
  const bool profiles = field(env, v, "profiles", item) && each(env, item, [&](napi_value p) {
    if (napi_get_value_double(env, p, &number) != napi_ok || !(number >= 0 && number <= 65535)) return false;
    out.profiles.push_back(static_cast<uint16_t>(number));
    return true;
  });
  return profiles && field(env, v, "peerFingerprints", item) && each(env, item, [&](napi_value f) {
    Fingerprint one;
    Span value;
    napi_value part = nullptr;
    if (!field(env, f, "algorithm", part) || !asText(env, part, one.algorithm)) return false;
    if (!field(env, f, "value", part) || !asBytes(env, part, value)) return false;
    one.value.assign(value.data, value.data + value.length);
    out.peerFingerprints.push_back(std::move(one));
    return true;
  });
}

// The context of this thread; made on first use, kept until the thread's environment ends.
std::shared_ptr<Context> contextOf(napi_env env) {
  using Kept = std::shared_ptr<Context>;
  void* data = nullptr;
  if (napi_get_instance_data(env, &data) != napi_ok) return nullptr;
  if (data != nullptr) return *static_cast<Kept*>(data);
  Kept made = Context::create();
  if (made == nullptr) return nullptr;
  const auto release = [](napi_env, void* held, void*) { delete static_cast<Kept*>(held); };
  auto* kept = new Kept(made);
  if (napi_set_instance_data(env, kept, release, nullptr) != napi_ok) delete kept;
  return made;
}

napi_value createAssociation(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument = nullptr, out = nullptr;
  NAPI_OK(napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr));
  Options options;
  if (count < 1 || !asOptions(env, argument, options)) return fail(env, "options");
  auto context = contextOf(env);
  if (context == nullptr) return fail(env, "OpenSSL offers less than this engine needs");
  auto* association = new Association(std::move(context), std::move(options));
  const auto release = [](napi_env, void* held, void*) { delete static_cast<Association*>(held); };
  NAPI_OK(napi_create_object(env, &out));
  NAPI_OK(napi_type_tag_object(env, out, &TAG));
  if (napi_wrap(env, out, association, release, nullptr, nullptr) != napi_ok) {
    delete association;
    return fail(env, "wrap");
  }
  return out;
}

struct Call {
  napi_value values[3];
  Association* association = nullptr;
  Call(napi_env env, napi_callback_info info, size_t expected) {
    size_t count = 3;
    bool matches = false;
    void* data = nullptr;
    if (napi_get_cb_info(env, info, &count, values, nullptr, nullptr) != napi_ok || count < expected) return;
    if (napi_check_object_type_tag(env, values[0], &TAG, &matches) != napi_ok || !matches) return;
    if (napi_unwrap(env, values[0], &data) == napi_ok) association = static_cast<Association*>(data);
  }
};

// start(association, privateKeyPem, now), receive(association, datagram, now)
template <void (Association::*method)(Span, double)>
napi_value withBytes(napi_env env, napi_callback_info info) {
  Call call(env, info, 3);
  Span bytes;
  double now = 0;
  if (call.association == nullptr) return fail(env, "association");
  if (!asBytes(env, call.values[1], bytes) || !asTime(env, call.values[2], now)) return fail(env, "bytes or time");
  (call.association->*method)(bytes, now);
  return nullptr;
}

// tick(association, now), close(association, now)
template <void (Association::*method)(double)>
napi_value withTime(napi_env env, napi_callback_info info) {
  Call call(env, info, 2);
  double now = 0;
  if (call.association == nullptr || !asTime(env, call.values[1], now)) return fail(env, "association or time");
  (call.association->*method)(now);
  return nullptr;
}

bool setText(napi_env env, napi_value object, const char* name, const std::string& text) {
  napi_value v = nullptr;
  return napi_create_string_utf8(env, text.data(), text.size(), &v) == napi_ok &&
         napi_set_named_property(env, object, name, v) == napi_ok;
}

bool setNumber(napi_env env, napi_value object, const char* name, double number) {
  napi_value v = nullptr;
  return napi_create_double(env, number, &v) == napi_ok && napi_set_named_property(env, object, name, v) == napi_ok;
}

// The bytes have an array buffer of their own; those here are wiped.
bool setBytes(napi_env env, napi_value object, const char* name, Bytes& bytes) {
  napi_value buffer = nullptr, v = nullptr;
  void* data = nullptr;
  if (napi_create_arraybuffer(env, bytes.size(), &data, &buffer) != napi_ok) return false;
  if (!bytes.empty()) std::memcpy(data, bytes.data(), bytes.size());
  OPENSSL_cleanse(bytes.data(), bytes.size());
  return napi_create_typedarray(env, napi_uint8_array, bytes.size(), buffer, 0, &v) == napi_ok &&
         napi_set_named_property(env, object, name, v) == napi_ok;
}

bool describe(napi_env env, napi_value out, Output& o) {
  switch (o.type) {
    case Output::Type::datagram:
      return setText(env, out, "type", "datagram") && setBytes(env, out, "bytes", o.bytes);
    case Output::Type::keys:
      return setText(env, out, "type", "keys") && setNumber(env, out, "profile", o.profile) &&
             setText(env, out, "peerFingerprint", o.peerFingerprint) && setBytes(env, out, "local", o.bytes) &&
             setBytes(env, out, "remote", o.remote);
    case Output::Type::failed:
      return setText(env, out, "type", "failed") && setText(env, out, "reason", o.finding.reason) &&
             setText(env, out, "detail", o.finding.detail) &&
             (o.finding.received < 0 || setNumber(env, out, "alert", o.finding.received));
    case Output::Type::closed:
      return setText(env, out, "type", "closed");
  }
  return false;
}

napi_value poll(napi_env env, napi_callback_info info) {
  Call call(env, info, 1);
  if (call.association == nullptr) return fail(env, "association");
  Output output;
  if (!call.association->poll(output)) return nullptr;
  napi_value out = nullptr;
  NAPI_OK(napi_create_object(env, &out));
  return describe(env, out, output) ? out : fail(env, "output");
}

napi_value status(napi_env env, napi_callback_info info) {
  Call call(env, info, 1);
  if (call.association == nullptr) return fail(env, "association");
  const Association& a = *call.association;
  constexpr const char* STATES[] = {"new", "handshaking", "established", "failed", "closed"};
  napi_value out = nullptr, extended = nullptr;
  NAPI_OK(napi_create_object(env, &out));
  const auto at = a.deadline();
  if (!setText(env, out, "state", STATES[static_cast<int>(a.state())]) || !setText(env, out, "suite", a.suite()) ||
      !setNumber(env, out, "heldBytes", static_cast<double>(a.heldBytes())) ||
      (at.has_value() && !setNumber(env, out, "deadline", *at))) {
    return fail(env, "status");
  }
  NAPI_OK(napi_get_boolean(env, a.hasExtendedMasterSecret(), &extended));
  NAPI_OK(napi_set_named_property(env, out, "extendedMasterSecret", extended));
  return out;
}

napi_value limits(napi_env env, napi_callback_info) {
  napi_value out = nullptr;
  NAPI_OK(napi_create_object(env, &out));
#define CLAVIGER_EXPORT(name, number) \
  if (!setNumber(env, out, #name, number)) return fail(env, "limits");
  CLAVIGER_DTLS_LIMITS(CLAVIGER_EXPORT)
#undef CLAVIGER_EXPORT
  return out;
}

}  // namespace

NAPI_MODULE_INIT() {
  const std::pair<const char*, napi_callback> table[] = {{"createAssociation", createAssociation},
                                                         {"start", withBytes<&Association::start>},
                                                         {"receive", withBytes<&Association::receive>},
                                                         {"tick", withTime<&Association::tick>},
                                                         {"close", withTime<&Association::close>},
                                                         {"poll", poll},
                                                         {"status", status},
                                                         {"limits", limits}};
  for (const auto& [name, function] : table) {
    napi_value f = nullptr;
    NAPI_OK(napi_create_function(env, name, NAPI_AUTO_LENGTH, function, nullptr, &f));
    NAPI_OK(napi_set_named_property(env, exports, name, f));
  }
  return exports;
}
