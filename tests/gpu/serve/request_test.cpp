// tests/gpu/serve/request_test.cpp
#include <doctest/doctest.h>
