// tests/gpu/serve/stop_text_test.cpp - a text ends at the first of its stop strings and never shows
// a part of one.
#include "gpu/serve/stop_text.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using kairo::gpu::StopText;

TEST_CASE("stop strings") {
  struct Row {
    std::string name;
    std::vector<std::string> stops, pieces, shown;  // shown: what each push gives, then finish
    bool stopped;
  };
  const Row rows[] = {
      {"no stops", {}, {"a", "b"}, {"a", "b", ""}, false},
      {"within a piece", {"END"}, {"one END two"}, {"one ", ""}, true},
      {"over three pieces", {"END"}, {"one E", "N", "D two"}, {"one ", "", "", ""}, true},
      {"a beginning that is none", {"END"}, {"one E", "NTER"}, {"one ", "ENTER", ""}, false},
      {"a beginning at the end", {"END"}, {"one EN"}, {"one ", "EN"}, false},
      {"the earliest of several", {"cd", "b"}, {"abcd"}, {"a", ""}, true},
      {"one begins with another", {"ab", "abc"}, {"xabc"}, {"x", ""}, true},
      {"overlapping beginnings", {"aab"}, {"aa", "ab!"}, {"", "a", ""}, true},
      {"nothing after it", {"."}, {"a.", "b", "c"}, {"a", "", "", ""}, true},
      {"at the very begin", {"END"}, {"END"}, {"", ""}, true},
      {"two candidates held", {"abcX", "bcd"}, {"abc", "d"}, {"", "a", ""}, true},
      {"the longer candidate fails", {"abcX", "zz"}, {"abc", "d"}, {"", "abcd", ""}, false},
      {"its own beginning again", {"aab"}, {"aaab"}, {"a", ""}, true},
      {"a held beginning shrinks", {"aab"}, {"aa", "a", "c"}, {"", "a", "aac", ""}, false},
      {"an empty piece", {"END"}, {"E", "", "ND"}, {"", "", "", ""}, true},
      {"bytes of a character", {"\xC3\xA9"}, {"caf\xC3", "\xA9!"}, {"caf", "", ""}, true},
      {"the earliest, also when named last", {"two", "one"}, {"x one two"}, {"x ", ""}, true},
      {"a newline", {"\n"}, {"line one\nline two"}, {"line one", ""}, true},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    StopText text(row.stops);
    std::vector<std::string> shown;
    for (const auto& piece : row.pieces) shown.push_back(text.push(piece));
    shown.push_back(text.finish());
    CHECK(shown == row.shown);
    CHECK(text.stopped() == row.stopped);
  }
}

TEST_CASE("however the text is cut, the same is shown") {
  const std::string text = "one EEN two ENEND three";
  for (std::size_t first = 0; first <= text.size(); ++first) {
    for (std::size_t second = first; second <= text.size(); ++second) {
      CAPTURE(first);
      CAPTURE(second);
      StopText stop({"END", "four"});
      std::string shown = stop.push(text.substr(0, first));
      shown += stop.push(text.substr(first, second - first));
      shown += stop.push(text.substr(second));
      shown += stop.finish();
      REQUIRE(shown == "one EEN two EN");
      REQUIRE(stop.stopped());
    }
  }
}
