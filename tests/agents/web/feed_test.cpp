// What this proves: a viewer hears each change once and in order; who was away goes on where it was
// or is told all anew, and never misses anything silently.
#include "agents/web/feed.h"

#include <doctest/doctest.h>

#include "tests/support/fake_clock.h"

using namespace kairo;
using namespace std::chrono_literals;
namespace {
std::string kinds(const std::vector<web::FeedEvent>& events) {
  std::string out;
  for (const auto& e : events) out += (out.empty() ? "" : " ") + e.kind;
  return out;
}
}  // namespace

TEST_CASE("nobody is told anything before the list is there; then all, then changes") {
  const test::FakeClock clock;
  web::Feed feed("7", clock);
  CHECK(feed.after("", 1ms).empty());
  feed.set_workspaces({{"u1", R"({"a":1})"}, {"u2", R"({"a":2})"}});
  feed.train("u1", R"({"step":3})");
  feed.train("nobody", R"({"step":9})");
  auto all = feed.after("", 1ms);
  REQUIRE(kinds(all) == "reset");
  CHECK(all[0].id == "7:4");
  CHECK(*all[0].data == "{\"at\":" + std::to_string(clock.now_ms()) +
                            R"(,"workspaces":[{"a":1},{"a":2}],"progress":{"u1":{"step":3}},)"
                            R"("sparks":{},"tick":null})");
  CHECK(feed.after("7:4", 1ms).empty());
  feed.set_workspace("u1", R"({"a":1})");  // the same: no news
  CHECK(feed.after("7:4", 1ms).empty());
  feed.set_workspace("u1", R"({"a":5})");
  feed.curve("u1", 12, "[0.5]");
  feed.tick(R"({"at":1})");
  feed.remove_workspace("u2");
  const auto news = feed.after("7:4", 1ms);
  REQUIRE(kinds(news) == "ws curve tick gone");
  CHECK(news[0].id == "7:5");
  CHECK(*news[0].data == R"({"workspace":{"a":5}})");
  CHECK(*news[1].data == R"({"uid":"u1","last":12,"spark":[0.5]})");
  CHECK(*news[3].data == R"({"uid":"u2"})");
  CHECK(feed.workspaces() == R"([{"a":5}])");
}

TEST_CASE("an id that is not known, or too old, gets everything") {
  const test::FakeClock clock;
  web::Feed feed("7", clock, 3);
  feed.set_workspaces({{"u1", "{}"}});
  for (int i = 0; i < 5; ++i) feed.tick("{}");  // 7:1 is the Workspace, 7:6 the last
  struct Row {
    const char *id, *kinds;
  };
  for (const Row& row :
       {Row{"7:6", ""}, Row{"7:5", "tick"}, Row{"7:3", "tick tick tick"}, Row{"7:2", "reset"},
        Row{"7:0", "reset"}, Row{"7:7", "reset"}, Row{"6:5", "reset"}, Row{"7:", "reset"},
        Row{"7:5x", "reset"}, Row{"", "reset"}, Row{"7:99999999999999999999", "reset"}}) {
    CAPTURE(row.id);
    CHECK(kinds(feed.after(row.id, 1ms)) == row.kinds);
  }
}

TEST_CASE("a list that is read anew removes what is gone") {
  const test::FakeClock clock;
  web::Feed feed("7", clock);
  feed.set_workspaces({{"u1", "{}"}, {"u2", "{}"}});
  feed.set_workspaces({{"u2", "{}"}, {"u3", R"({"new":1})"}});
  CHECK(kinds(feed.after("7:2", 1ms)) == "gone ws");
}
