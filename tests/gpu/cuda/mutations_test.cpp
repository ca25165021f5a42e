// tests/gpu/cuda/mutations_test.cpp - each mistake of mutations.txt, made in the kernels on
// purpose, makes the test fail that is there for it.
#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <regex>
#include <string>
#include <thread>
#include <vector>

namespace {
struct Mutation {
  std::string name, tests, found;
  int number = 0;
  bool is_caught = false;
};
std::vector<Mutation> mutations_of(const std::filesystem::path& list) {
  static const std::regex entry(R"(^= (.*) \| .* \| (.*)$)");
  std::vector<Mutation> out;
  std::ifstream in(list);
  std::smatch m;
  for (std::string line; std::getline(in, line);)
    if (std::regex_match(line, m, entry))
      out.push_back({m[1], m[2], "", static_cast<int>(out.size()), false});
  return out;
}
// The line that says what was found: the emulator's, the signal's, or the first check's.
std::string finding_in(const std::string& output) {
  static const std::array<std::regex, 3> lines = {std::regex("emulator: ([^\n]*)"),
                                                  std::regex("CRASHED: ([^\n]*)"),
                                                  std::regex("ERROR: ([^\n]*)")};
  std::smatch m;
  for (const std::regex& line : lines)
    if (std::regex_search(output, m, line)) return m[1];
  return "no line says what";
}
void run(Mutation& m, const std::filesystem::path& folder) {
  const std::string command =
      "KAIRO_CUDA_PLUGIN=" + (folder / "mutants").string() + "/" + std::to_string(m.number) +
      ".so timeout 60 " + (folder / "test_gpu_cuda").string() + " -aa=1 -tc='" + m.tests + "' 2>&1";
  std::string output;
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return;
  std::array<char, 4096> part{};
  for (std::size_t n = 0; (n = fread(part.data(), 1, part.size(), pipe)) > 0;)
    output.append(part.data(), n);
  m.is_caught = pclose(pipe) != 0;
  m.found = finding_in(output);
}
}  // namespace

TEST_CASE("mistakes that are made on purpose are caught") {
  const auto folder = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  std::vector<Mutation> mutations = mutations_of(folder / "mutations.txt");
  CHECK(mutations.size() >= 40);
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (std::size_t i = 0; (i = next++) < mutations.size();) run(mutations[i], folder);
  };
  std::thread other(work);
  work();
  other.join();
  for (const Mutation& m : mutations) {
    std::printf("%-50s %s\n", m.name.c_str(), m.is_caught ? m.found.c_str() : "NOT CAUGHT");
    CAPTURE(m.name);
    CHECK(m.is_caught);
  }
}
