// tests/gpu/serve/sampler_test.cpp
#include <doctest/doctest.h>
