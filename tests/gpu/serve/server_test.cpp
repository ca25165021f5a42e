// tests/gpu/serve/server_test.cpp
#include <doctest/doctest.h>
