// tests/gpu/cuda/ptxas_test.cpp - what NVIDIA's assembler says of each kernel on each architecture:
// registers and shared memory fit, nothing is spilled, nothing lies on a stack.
#include <cxxabi.h>
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>

namespace {
struct Kernel {
  int registers = 0, shared = 0, spilled = 0, architectures = 0;
};
// "kairo::cuda::(anonymous namespace)::norm_rows<float, 32>(...)" as "norm_rows<float, 32>"
std::string short_name(const std::string& mangled) {
  int status = 0;
  char* whole = abi::__cxa_demangle(mangled.c_str(), nullptr, nullptr, &status);
  std::string name = whole == nullptr ? mangled : whole;
  std::free(whole);
  static const std::regex noise(R"(kairo::cuda::|\(anonymous namespace\)::|^void )");
  name = std::regex_replace(name, noise, "");
  int depth = 0;
  for (std::size_t i = 0; i < name.size(); ++i) {
    depth += name[i] == '<' ? 1 : name[i] == '>' ? -1 : 0;
    if (name[i] == '(' && depth == 0) return name.substr(0, i);
  }
  return name;
}
int number_before(const std::string& line, const std::string& words) {
  std::smatch m;
  return std::regex_search(line, m, std::regex("([0-9]+) " + words)) ? std::stoi(m[1]) : 0;
}
}  // namespace

TEST_CASE("each kernel fits the machine on every architecture") {
  const std::string path = KAIRO_CUDA_LOG;
  if (path.empty()) {
    MESSAGE("SKIP: no nvcc in the cache: `make deps` fetches it, then configure again");
    return;
  }
  std::ifstream log(path);
  REQUIRE_MESSAGE(log.is_open(), "cannot read " << path);
  static const std::regex entry("Compiling entry function '([^']+)' for '(sm_[0-9]+)'");
  std::map<std::string, Kernel> kernels;
  std::set<std::string> architectures;
  Kernel* now = nullptr;
  std::smatch m;
  for (std::string line; std::getline(log, line);) {
    if (std::regex_search(line, m, entry)) {
      now = &kernels[short_name(m[1])];
      ++now->architectures;
      architectures.insert(m[2]);
    }
    if (now == nullptr) continue;
    now->registers = std::max(now->registers, number_before(line, "registers"));
    now->shared = std::max(now->shared, number_before(line, "bytes smem"));
    now->spilled = std::max(now->spilled, number_before(line, "bytes stack frame") +
                                              number_before(line, "bytes spill stores") +
                                              number_before(line, "bytes spill loads"));
  }
  std::printf("%-68s %9s %13s\n", "kernel", "registers", "shared bytes");
  for (const auto& [name, k] : kernels) {
    std::printf("%-68s %9d %13d\n", name.c_str(), k.registers, k.shared);
    CAPTURE(name);
    CHECK(k.architectures == 6);
    CHECK(k.spilled == 0);
    CHECK(k.shared <= 48 * 1024);
    CHECK(k.registers > 0);
    CHECK(k.registers <= 128);  // two blocks of 256 threads, or one of 512
  }
  CHECK(kernels.size() >= 50);
  CHECK(architectures ==
        std::set<std::string>{"sm_100", "sm_120", "sm_80", "sm_86", "sm_89", "sm_90"});
}
