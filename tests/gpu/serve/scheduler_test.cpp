// tests/gpu/serve/scheduler_test.cpp
#include <doctest/doctest.h>
