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
TEST_CASE(
    "record: when an object that was gone or leaving is there again, marks are nothing to go by") {
  const auto asked = [](auto... facts) {
    wire::RecordT known = marked(record(tuning(1), std::move(facts)...), "job", "rev1");
    return known;
  };
  wire::JobT gone = job(2);
  gone.exists = false;
  wire::RecordT of_job = asked(wire::JobT(gone));
  REQUIRE(runtime::absorb(of_job, said_in("default", job(3))));
  CHECK(of_job.marks.empty());
  wire::RecordT another = asked(wire::JobT(gone));  // a new Job, as each one that is made
  wire::JobT made = job(3);
  made.uid = "another";
  REQUIRE(runtime::absorb(another, said_in("default", std::move(made))));
  CHECK(another.marks.size() == 1);
  wire::RecordT left = marked(record(leaving(tuning(2))), "leaving", "yes");
  REQUIRE(runtime::absorb(left, said_in("default", tuning(3))));
  CHECK(left.marks.empty());
  wire::RecordT edited = asked();
  REQUIRE(runtime::absorb(edited, said_in("default", tuning(3))));
  CHECK(edited.marks.size() == 1);
}

TEST_CASE("record: two of a kind that went in one list are two messages") {
  wire::NodeClaimT claim;
  claim.version = 49;
  claim.kind = "NodeClaim";
  wire::PartT part;
  part.version = 49;
  part.kind = "Service";
  wire::PodT pod;
  pod.version = 49;
  const auto differ = [](auto body) {
    auto other = body;
    body.name = "a";
    other.name = "b";
    CHECK(runtime::message_id_of(fact(body)) != runtime::message_id_of(fact(other)));
    CHECK(runtime::subject_of(fact(body)) != runtime::subject_of(fact(other)));
  };
  differ(claim);
  differ(part);
  differ(pod);
}
TEST_CASE("record: of claims that are gone the newest are known, of each node some") {
  struct Row {
    std::uint32_t nodes;
    std::size_t kept;
  };
  for (const auto& [nodes, kept] : {Row{1, 8}, Row{3, 24}}) {
    wire::WorkspaceT w = serving(1);
    w.count = nodes;
    wire::RecordT known = record(std::move(w));
    for (std::uint64_t i = 0; i < 40; ++i) {
      wire::NodeClaimT claim;
      claim.version = 10 + i;
      claim.name = "ws" + std::to_string(10 + i);
      claim.exists = i == 0;
      REQUIRE(runtime::absorb(known, fact(std::move(claim))));
    }
    CHECK(known.claims.size() == kept + 1);
    CHECK(known.claims.front()->name == "ws10");  // it is there
    CHECK(known.claims.at(1)->version == 50 - kept);
  }
}
