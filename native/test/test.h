// Just enough of a test runner: TEST registers, CHECK counts a failure and goes on.
#pragma once
#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

namespace test {

struct Case {
  const char* group;
  const char* name;
  void (*run)();
};
inline std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}
inline int& failures() {
  static int count = 0;
  return count;
}
struct Register {
  Register(const char* group, const char* name, void (*run)()) { cases().push_back({group, name, run}); }
};

using Bytes = std::vector<uint8_t>;

inline Bytes hex(const std::string& text) {
  Bytes out;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    out.push_back(static_cast<uint8_t>(std::stoi(text.substr(i, 2), nullptr, 16)));
  }
  return out;
}

inline bool same(const uint8_t* got, const Bytes& expected) {
  for (size_t i = 0; i < expected.size(); i++) {
    if (got[i] != expected[i]) return false;
  }
  return true;
}

}  // namespace test

#define TEST_NAME2(line) test_at_##line
#define TEST_NAME(line) TEST_NAME2(line)
#define TEST_REGISTER2(line) register_at_##line
#define TEST_REGISTER(line) TEST_REGISTER2(line)
#define TEST(group, name)                                                                     \
  static void TEST_NAME(__LINE__)();                                                          \
  static const test::Register TEST_REGISTER(__LINE__)(group, name, TEST_NAME(__LINE__));      \
  static void TEST_NAME(__LINE__)()

#define CHECK(condition)                                                              \
  do {                                                                                \
    if (!(condition)) {                                                               \
      test::failures()++;                                                             \
      std::printf("%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);           \
    }                                                                                 \
  } while (0)
