// tests/sim/main.cpp - doctest's main with the agents' log off: thousands of crashes are expected.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdlib>

#include "schemas/base/log.h"

int main(int argc, char** argv) {
  setenv("KAIRO_LOG", "off", 0);
  kairo::log::start("sim");
  doctest::Context context(argc, argv);
  return context.run();
}
