// tests [group] [--fuzz-summary TEXT]: runs one group or all; the fuzzer's verdict counts as one more test.
#include <cstring>

#include "test.h"

int main(int argc, char** argv) {
  const char* only = nullptr;
  const char* fuzz = nullptr;
  for (int i = 1; i < argc; i++) {
    if (std::strcmp(argv[i], "--fuzz-summary") == 0 && i + 1 < argc) {
      fuzz = argv[++i];
    } else {
      only = argv[i];
    }
  }
  int passed = 0, failed = 0;
  for (const test::Case& c : test::cases()) {
    if (only != nullptr && std::strcmp(only, c.group) != 0) continue;
    const int before = test::failures();
    c.run();
    const bool good = test::failures() == before;
    good ? passed++ : failed++;
    if (!good) std::printf("failed: %s: %s\n", c.group, c.name);
  }
  if (fuzz != nullptr) {
    std::printf("%s\n", fuzz);
    std::strncmp(fuzz, "fuzz: ok", 8) == 0 ? passed++ : failed++;
  }
  std::printf("native: %d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}
