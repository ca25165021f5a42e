// tests/fuzz/fuzz.h - decoders of foreign bytes, and what they must survive.
//
// A target must not crash, hang, leak or read outside its input, whatever the bytes; what it
// answers is its own tests' business. Run under the asan preset for the full effect.
// FUZZ_RUNS=n inputs per target (3,000), FUZZ_TARGET=name only that one, SEED=n another sequence,
// FUZZ_DUMP=file keeps the last input there.
#pragma once
#include <functional>
#include <string>
#include <vector>

namespace kairo::test {
struct FuzzTarget {
  std::string name;
  std::vector<std::string> seeds;  // valid inputs; mutations start from them
  std::function<void(const std::string& bytes)> feed;
};
// Feeds every target its seeds, then mutations of them: flipped, cut, repeated and spliced bytes,
// extreme numbers, deep nesting. Returns the number of inputs.
int fuzz(const std::vector<FuzzTarget>& targets);
}  // namespace kairo::test
