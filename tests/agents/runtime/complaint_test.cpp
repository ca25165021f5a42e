// What this proves: the log names what lasts, and does not repeat it all the time.
#include "agents/runtime/complaint.h"

#include <doctest/doctest.h>

using kairo::runtime::Complaint;

TEST_CASE("what passes is not said; what lasts is said after a second, then every ten") {
  Complaint c;
  CHECK(!c.is_due(true, 0));
  CHECK(!c.is_due(true, 999));
  CHECK(!c.is_due(false, 1'000));
  CHECK(!c.is_due(true, 5'000));
  CHECK(c.is_due(true, 6'000));
  CHECK(!c.is_due(true, 15'999));
  CHECK(c.is_due(true, 16'000));
  CHECK(!c.is_due(false, 16'001));
  CHECK(!c.is_due(true, 30'000));
}
