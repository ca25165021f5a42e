// tests/gpu/serve/reply_test.cpp
#include <doctest/doctest.h>
