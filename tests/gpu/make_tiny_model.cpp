// tests/gpu/make_tiny_model.cpp - writes a tiny model.
//
// usage: make_tiny_model FOLDER [phi3]. Real runs of the real programs take milliseconds a step
// with it: the end-to-end, crash and bench scripts put it under a preset's name.
#include <cstdio>
#include <string_view>

#include "tests/gpu/tiny_model.h"

int main(int argc, char** argv) {
  const bool is_phi3 = argc == 3 && std::string_view(argv[2]) == "phi3";
  if (argc != 2 && !is_phi3) {
    std::fputs("usage: make_tiny_model FOLDER [phi3]\n", stderr);
    return 2;
  }
  namespace test = kairo::gpu::test;
  const auto written = is_phi3 ? test::write_tiny_phi3(argv[1]) : test::write_tiny_model(argv[1]);
  if (written.ok()) return 0;
  std::fprintf(stderr, "make_tiny_model: %s\n", written.error().what.c_str());
  return 1;
}
