{
  "targets": [
    {
      "target_name": "claviger",
      "sources": [
        "binding/addon.cc",
        "core/address.cc",
        "core/channel.cc",
        "core/channel_keys.cc",
        "core/commands.cc",
        "core/egress.cc",
        "core/ekt_tag.cc",
        "core/forward.cc",
        "core/gcm.cc",
        "core/group_set.cc",
        "core/hmac_sha1.cc",
        "core/ingress_rtcp.cc",
        "core/ingress_rtp.cc",
        "core/packet.cc",
        "core/relay_thread.cc",
        "core/routes.cc",
        "core/srtp_kdf.cc",
        "core/state_hash.cc",
        "core/stream.cc",
        "core/switch.cc"
      ],
      "include_dirs": ["core"],
      "defines": ["NAPI_VERSION=8"],
      "cflags": ["-Wall", "-Wextra", "-Wshadow", "-Wno-deprecated-declarations"],
      "cflags_cc": ["-std=c++17", "-O2"],
      "conditions": [["OS!='linux'", { "type": "none" }]]
    }
  ]
}
