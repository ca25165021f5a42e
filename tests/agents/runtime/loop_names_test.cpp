// What this proves: a decision that looks at another Workspace by its name sees that one as it is
// now, and is made again when there is news of it, before and after a restart.
#include <doctest/doctest.h>

#include "tests/support/loop_world.h"
#include "tests/support/tuned.h"

using namespace kairo;
using namespace kairo::test;
namespace {
std::string seen;  // by the last decision about the server, u1

runtime::Decision look(const wire::RecordT& record, const runtime::View& view) {
  if (record.uid != "u1") return {};
  const wire::RecordT* other = view.named("w-u2");
  seen = other == nullptr ? "none" : other->uid + " " + std::to_string(other->workspace->version);
  return {};
}
struct Watching : LoopWorld {
  Watching() : LoopWorld(role_of()) {}
  static runtime::Role role_of() {
    runtime::Role out{look};
    out.names = runtime::named_tunings;
    return out;
  }
};
}  // namespace

TEST_CASE("loop: a decision is made again when a Workspace that it looks at has news") {
  Watching w;
  seen.clear();
  w.say(naming(1, "w-u2"));
  w.settle();
  CHECK(seen == "none");
  w.say(tuning(5), "u2");
  w.settle();
  CHECK(seen == "u2 5");
  w.say(tuning(6, "rev2"), "u2");
  w.settle();
  CHECK(seen == "u2 6");
  w.restart();
  w.settle();
  seen.clear();
  w.say(tuning(7), "u2");
  w.settle();
  CHECK(seen == "u2 7");
  w.say(gone(tuning(8)), "u2");
  w.settle();
  CHECK(seen == "none");
  w.say_fact(fact(tuning(9), "u3", "w-u2"));  // another one of that name
  w.settle();
  CHECK(seen == "u3 9");
  wire::FactT elsewhere = fact(tuning(10), "u4", "w-u2");
  elsewhere.ns = "other";
  w.say_fact(elsewhere);
  w.settle();
  CHECK(seen == "u3 9");
  seen.clear();
  w.say(tuning(11), "u5");  // whom nobody names
  w.settle();
  CHECK(seen == "");
}
