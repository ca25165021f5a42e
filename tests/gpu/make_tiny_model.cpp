// tests/gpu/make_tiny_model.cpp - writes the tiny model.
//
// usage: make_tiny_model FOLDER. Real runs of the real programs take milliseconds a step with it:
// the end-to-end, crash and bench scripts put it under a preset's name.
#include <cstdio>

#include "tests/gpu/tiny_model.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: make_tiny_model FOLDER\n", stderr);
    return 2;
  }
  const auto written = kairo::gpu::test::write_tiny_model(argv[1]);
  if (written.ok()) return 0;
  std::fprintf(stderr, "make_tiny_model: %s\n", written.error().what.c_str());
  return 1;
}
