// tests/gpu/serve/stop_text_test.cpp
#include <doctest/doctest.h>
