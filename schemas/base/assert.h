// schemas/base/assert.h - a broken invariant of our own stops the process, in every build.
// Bytes from outside are never asserted: verify them and return an Error.
#pragma once
#include <cstdio>
#include <cstdlib>

#define KAIRO_ASSERT(condition, why)                                                             \
  do {                                                                                           \
    if (!(condition)) {                                                                          \
      std::fprintf(stderr, "%s:%d: broken invariant: %s (%s)\n", __FILE__, __LINE__, #condition, \
                   why);                                                                         \
      std::abort();                                                                              \
    }                                                                                            \
  } while (false)
