// What this proves: a list that comes as events is the list, and a log that comes twice is read
// once.
#include <doctest/doctest.h>

#include "agents/cluster/initial_events.h"
#include "agents/cluster/pod_log.h"

using namespace kairo;
using namespace kairo::cluster;

TEST_CASE("a first list as events") {
  InitialEvents first;
  const auto take = [&](Event::Type type, const std::string& metadata) {
    return first.take({type, R"({"kind":"Pod","metadata":)" + metadata + "}"});
  };
  CHECK_FALSE(
      take(Event::Type::added, R"({"namespace":"b","name":"a","managedFields":[]})").value());
  CHECK_FALSE(take(Event::Type::added, R"({"namespace":"a","name":"z"})").value());
  CHECK_FALSE(take(Event::Type::added, R"({"namespace":"a","name":"gone"})").value());
  CHECK_FALSE(take(Event::Type::modified, R"({"namespace":"a","name":"z","uid":"2"})").value());
  CHECK_FALSE(take(Event::Type::deleted, R"({"namespace":"a","name":"gone"})").value());
  CHECK_FALSE(take(Event::Type::bookmark, R"({"resourceVersion":"8"})").value());
  CHECK(take(Event::Type::added, "{}").error().what == "list: an object without a name");
  CHECK(take(Event::Type::bookmark,
             R"({"resourceVersion":"9","annotations":{"k8s.io/initial-events-end":"true"}})")
            .value());
  const Listing listing = std::move(first).listing();
  CHECK(listing.resource_version == "9");
  CHECK(listing.items == std::vector<std::string>{
                             R"({"kind":"Pod","metadata":{"name":"z","namespace":"a","uid":"2"}})",
                             R"({"kind":"Pod","metadata":{"name":"a","namespace":"b"}})"});
}

TEST_CASE("a log by time: what comes again is left out") {
  const std::string s = "2026-01-31T12:00:0";
  const std::string a = s + "0.000000001Z a\n", b = s + "0.000000002Z b\n",
                    b2 = s + "0.000000002Z b2\n", c = s + "1.000000000Z c\n";
  LogNews news = log_news(a + b, false, {});
  CHECK(news.text == "a\nb\n");
  CHECK(news.next.offset == 4);
  CHECK(news.next.time == s + "0.000000002Z");
  CHECK(news.next.lines == 1);
  CHECK(log_news(a + b, false, news.next).text == "");
  CHECK_FALSE(log_news(a + b, false, news.next).needs_more);
  news = log_news(a + b + b2 + c, false, news.next);  // another line of the same time
  CHECK(news.text == "b2\nc\n");
  CHECK(news.next.offset == 9);
  CHECK(news.next.lines == 1);
  news = log_news(a + b + b2.substr(0, 20), true, {});  // cut in the middle of a line
  CHECK(news.text == "a\nb\n");
  news = log_news(a + b2.substr(0, 20), true, news.next);  // all of it known, and cut
  CHECK(news.text == "");
  CHECK(news.needs_more);
  news = log_news(b + b2, false, news.next);
  CHECK(news.text == "b2\n");
  CHECK(news.next.lines == 2);
  CHECK(log_news(s + "0Z \n" + c.substr(0, c.size() - 1), false, {}).text == "\nc");
  CHECK(log_news("no time\n", false, {}).text == "no time\n");
  CHECK(log_news("no time\n", false, news.next).text == "");
  CHECK(log_news("", false, {}).text == "");
  const std::string gone = "unable to retrieve container logs for containerd://b3ed55a3";
  CHECK(log_news(gone, false, {}).text == "");
  CHECK(log_news(gone, false, {}).next.offset == 0);
  CHECK(log_news(a + gone, false, {}).text == "a\n");
}
