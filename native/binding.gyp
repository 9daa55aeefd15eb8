{
  "targets": [
    {
      "target_name": "claviger",
      "sources": [
        "binding/addon.cc",
        "core/address.cc",
        "core/backlog.cc",
        "core/branch.cc",
        "core/bundle.cc",
        "core/channel.cc",
        "core/channel_keys.cc",
        "core/commands.cc",
        "core/continuous.cc",
        "core/egress.cc",
        "core/dtls_door.cc",
        "core/ekt_field.cc",
        "core/ekt_tag.cc",
        "core/exchange.cc",
        "core/field_mode.cc",
        "core/forward.cc",
        "core/gcm.cc",
        "core/group_set.cc",
        "core/handover.cc",
        "core/hmac_sha1.cc",
        "core/hmac_sha256.cc",
        "core/hop.cc",
        "core/hop_keys.cc",
        "core/ingress_rtcp.cc",
        "core/ingress_rtp.cc",
        "core/key_wrap.cc",
        "core/media_cipher.cc",
        "core/packet.cc",
        "core/payload.cc",
        "core/relay_thread.cc",
        "core/report.cc",
        "core/retransmit.cc",
        "core/routes.cc",
        "core/rtcp_port.cc",
        "core/sockets.cc",
        "core/srtp_kdf.cc",
        "core/state_hash.cc",
        "core/stream.cc",
        "core/switch.cc",
        "core/tag_mode.cc",
        "core/variant.cc"
      ],
      "include_dirs": ["core"],
      "defines": ["NAPI_VERSION=8"],
      "cflags": ["-Wall", "-Wextra", "-Wshadow", "-Wno-deprecated-declarations"],
      "cflags_cc": ["-std=c++17", "-O2"],
      "conditions": [["OS!='linux'", { "type": "none" }]]
    },
    {
      # The DTLS engine on the libssl that is in Node's own binary.
      "target_name": "claviger_dtls",
      "sources": [
        "dtls/addon.cc",
        "dtls/association.cc",
        "dtls/context.cc",
        "dtls/datagram_bio.cc",
        "dtls/failure.cc",
        "dtls/fingerprint.cc",
        "dtls/gate.cc",
        "dtls/hello_guard.cc",
        "dtls/library.cc",
        "dtls/reassembly.cc",
        "dtls/wire.cc"
      ],
      "include_dirs": ["dtls"],
      "defines": ["NAPI_VERSION=8"],
      "cflags": ["-Wall", "-Wextra", "-Wshadow", "-Wno-deprecated-declarations"],
      "cflags_cc": ["-std=c++17", "-O2"],
      "conditions": [["OS!='linux'", { "type": "none" }]]
    },
    {
      # The benches of bench/: they measure the very objects that the relay is made of.
      "target_name": "claviger_bench",
      "dependencies": ["claviger"],
      "sources": [
        "../bench/native/addon.cc",
        "../bench/native/allocations.cc",
        "../bench/native/copier.cc",
        "../bench/native/ground.cc",
        "../bench/native/libsrtp.cc",
        "../bench/native/pacer.cc",
        "../bench/native/protect.cc",
        "../bench/native/replicator.cc",
        "../bench/native/retag.cc",
        "../bench/native/traffic_addon.cc"
      ],
      "libraries": ["<!@(ls core/*.cc | sed 's,^,$(obj).target/claviger/,; s,cc$,o,')"],
      # Its calls of operator new are counted in allocations.cc.
      "ldflags": ["-Wl,-Bsymbolic-functions"],
      "include_dirs": ["core"],
      "defines": ["NAPI_VERSION=8"],
      "cflags": ["-Wall", "-Wextra", "-Wshadow", "-Wno-deprecated-declarations"],
      "cflags_cc": ["-std=c++17", "-O2"],
      "conditions": [["OS!='linux'", { "type": "none" }]]
    }
  ]
}
