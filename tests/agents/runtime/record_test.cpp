// What this proves: whose word counts about a Workspace. What lies in another namespace moves
// nothing.
#include "agents/runtime/record.h"

#include <doctest/doctest.h>

#include "tests/support/facts.h"

using namespace kairo;
using namespace kairo::test;
namespace {
template <class Body>
wire::FactT said_in(const std::string& ns, Body body) {
  wire::FactT said = fact(std::move(body), "u1", ns == "evil" ? "forged" : "w");
  said.ns = ns;
  return said;
}
}  // namespace

TEST_CASE("record: a forged object in another namespace changes nothing") {
  wire::RecordT known;
  REQUIRE(runtime::absorb(known, said_in("default", tuning(1))));
  REQUIRE(runtime::absorb(known, said_in("default", job(2))));
  const wire::RecordT before = known;
  CHECK_FALSE(runtime::absorb(known, said_in("evil", job(9))));
  CHECK_FALSE(runtime::absorb(known, said_in("evil", server(9))));
  CHECK(known == before);
}
TEST_CASE("record: what its Job said before the Workspace was heard of stays") {
  wire::RecordT known;
  REQUIRE(runtime::absorb(known, said_in("default", job(2))));
  REQUIRE(runtime::absorb(known, said_in("default", tuning(1))));
  REQUIRE(known.job != nullptr);
  CHECK(known.job->version == 2);
}
