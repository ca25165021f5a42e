// tests/fuzz/fuzz.cpp
#include "tests/fuzz/fuzz.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>

namespace kairo::test {
namespace {
std::uint64_t number_of(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}
const std::vector<std::string>& interesting() {
  static const std::vector<std::string> pieces{"null",
                                               "-1",
                                               "1e999",
                                               "18446744073709551616",
                                               "9223372036854775807",
                                               "true",
                                               "[]",
                                               "{}",
                                               "\"\"",
                                               std::string(1, '\0'),
                                               "\xff\xff\xff\xff",
                                               "\xef\xbb\xbf",
                                               "../../etc/passwd",
                                               "\r\n\r\n",
                                               "%s%n",
                                               std::string(300, '['),
                                               std::string(300, '{'),
                                               std::string(5000, 'A')};
  return pieces;
}
std::string mutated(std::string text, const std::string& other, std::mt19937_64& random) {
  for (auto changes = 1 + random() % 5; changes > 0; --changes) {
    const std::size_t at = text.empty() ? 0 : random() % text.size();
    switch (random() % 7) {
      case 0:
        if (!text.empty()) text[at] = static_cast<char>(random());
        break;
      case 1:
        if (!text.empty()) text[at] = static_cast<char>(text[at] ^ (1 << random() % 8));
        break;
      case 2:
        text.erase(at, 1 + random() % 32);
        break;
      case 3:
        text.insert(at, text.substr(at, 1 + random() % 64));
        break;
      case 4:
        text.insert(at, interesting()[random() % interesting().size()]);
        break;
      case 5:
        text.resize(at);
        break;
      default:
        text = text.substr(0, at) + other.substr(other.empty() ? 0 : random() % other.size());
    }
  }
  return text;
}
}  // namespace

int fuzz(const std::vector<FuzzTarget>& targets) {
  const std::uint64_t runs = number_of("FUZZ_RUNS", 3'000), seed = number_of("SEED", 1);
  const char* only = std::getenv("FUZZ_TARGET");
  const char* dump = std::getenv("FUZZ_DUMP");  // a file: the input before it is fed
  int inputs = only != nullptr ? 1 : 0;         // of a program's other lists
  for (const FuzzTarget& target : targets) {
    if (only != nullptr && target.name != only) continue;
    std::printf("fuzz %s SEED=%llu\n", target.name.c_str(), static_cast<unsigned long long>(seed));
    std::fflush(stdout);  // the last line names the target that crashed
    std::mt19937_64 random(seed);
    for (const std::string& good : target.seeds) target.feed(good);
    for (std::uint64_t i = 0; i < runs; ++i, ++inputs) {
      const std::string input = mutated(target.seeds[random() % target.seeds.size()],
                                        target.seeds[random() % target.seeds.size()], random);
      if (dump != nullptr) std::ofstream(dump, std::ios::binary) << input;
      target.feed(input);
    }
  }
  return inputs;
}
}  // namespace kairo::test
