// What this proves: NatsBus gets over a broker that is killed, wiped or stalled; clusters that
// share one do not meet; streams of earlier versions get this version's settings, or the agent says
// which it cannot give them.
#include <doctest/doctest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "agents/cli/servers.h"
#include "tests/contract/nats_broker.h"

using namespace kairo;
using namespace std::chrono_literals;
using test::Broker, test::Map, test::clock_now, test::drain, test::publish_soon, test::read_whole,
    test::take;
using Json = nlohmann::json;
namespace {

// SIGSTOP, and until none of the threads runs any more: kill() returns before.
void stop_all_threads(pid_t pid) {
  kill(pid, SIGSTOP);
  for (bool all = false; !all;) {
    all = true;
    for (const auto& task :
         std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task")) {
      std::string line;
      std::getline(std::ifstream(task.path() / "stat"), line);
      all = all && line.find(") T ") != std::string::npos;
    }
  }
}
bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}
// A stream as an earlier version, or a hand, made it.
void make_stream(const Broker& broker, const std::string& name, const std::string& subjects,
                 const Json& settings) {
  Json config = {{"name", name}, {"subjects", {subjects}}, {"storage", "file"}};
  config.update(settings);
  const auto ready = [&] { return has(broker.ask("$JS.API.INFO"), "\"limits\""); };
  for (int i = 0; i < 100 && !ready(); ++i) std::this_thread::sleep_for(20ms);
  const std::string reply = broker.ask("$JS.API.STREAM.CREATE." + name, config.dump());
  INFO(reply);
  REQUIRE(has(reply, "\"did_create\":true"));
}
Json settings_of(const Broker& broker, const std::string& stream) {
  return Json::parse(broker.ask("$JS.API.STREAM.INFO." + stream))["config"];
}
// What a first publish says; once the broker's connection is there.
std::string first_error(bus::Bus& bus) {
  for (int i = 0; i < 100; ++i) {
    const Status done = bus.publish({"kairo.facts.x.1", "", "v"});
    if (done.ok()) return "";
    if (!has(done.error().what, "not connected")) return done.error().what;
    std::this_thread::sleep_for(20ms);
  }
  return "not connected";
}
}  // namespace

TEST_CASE_TEMPLATE(
    "NATS: kill -9 and restart lose nothing that was stored, and the reading goes on", Server,
    test::InstalledNats, test::NewestNats) {
  Broker broker(Server::program());
  if (broker.program.empty()) return;
  broker.start();
  const auto a = broker.open(true), b = broker.open(false);
  publish_soon(*a, {"kairo.facts.k.0", "k0", "v"});
  CHECK(drain(*b).size() == 1);
  for (int round = 1; round <= 2; ++round) {
    const std::string n = std::to_string(round);
    REQUIRE(a->publish({"kairo.facts.k." + n, "k" + n, n}).ok());
    broker.child->kill_hard();
    CHECK_FALSE(a->publish({"kairo.facts.k.down", "down", ""}).ok());
    const std::vector<bus::Message> some{{"kairo.facts.k.s1", "", ""},
                                         {"kairo.facts.k.s2", "", ""}};
    CHECK_FALSE(a->publish(some).ok());
    broker.start();
    CHECK(drain(*b, 2500ms).count("kairo.facts.k." + n) == 1);
    publish_soon(*a, {"kairo.facts.k.after" + n, "after" + n, "x"});
    CHECK(drain(*b, 1500ms).count("kairo.facts.k.after" + n) == 1);
  }
}
TEST_CASE_TEMPLATE(
    "NATS: a wiped store shows in incarnation(), and the admin makes the streams anew", Server,
    test::InstalledNats, test::NewestNats) {
  Broker broker(Server::program());
  if (broker.program.empty()) return;
  broker.start();
  const auto a = broker.open(true), b = broker.open(false);
  publish_soon(*a, {"kairo.facts.w.0", "w0", "v"});
  const auto before = a->incarnation().value();
  broker.child->kill_hard();
  std::filesystem::remove_all(broker.dir.path + "/js");
  broker.start();
  publish_soon(*a, {"kairo.facts.w.1", "w1", "v"});
  CHECK(a->incarnation().value() != before);
  CHECK(drain(*b, 2500ms) == Map{{"kairo.facts.w.1", "v"}});
}
TEST_CASE_TEMPLATE("NATS: a stalled broker makes calls fail, not hang; afterwards all goes on",
                   Server, test::InstalledNats, test::NewestNats) {
  Broker broker(Server::program());
  if (broker.program.empty()) return;
  broker.start();
  const auto a = broker.open(true), b = broker.open(false);
  publish_soon(*a, {"kairo.facts.s.0", "s0", "v"});
  CHECK(drain(*b).size() == 1);
  stop_all_threads(broker.child->pid());
  const std::int64_t began = clock_now.monotonic_ms();
  CHECK_FALSE(a->publish({"kairo.facts.s.1", "s1", "v"}).ok());
  const std::vector<bus::Message> some{{"kairo.facts.s.1", "", ""}, {"kairo.facts.s.3", "", ""}};
  CHECK_FALSE(a->publish(some).ok());
  CHECK(clock_now.monotonic_ms() - began < 15'000);
  kill(broker.child->pid(), SIGCONT);
  publish_soon(*a, {"kairo.facts.s.2", "s2", "v"});
  CHECK(drain(*b, 1500ms).count("kairo.facts.s.2") == 1);
}

TEST_CASE("bus: a cluster's name in subjects, streams and inboxes") {
  const bus::Names none, blue = bus::Names::of("blue-1").value();
  CHECK(none.subject("kairo.facts.job.d.w") == "kairo.facts.job.d.w");
  CHECK(none.ours("kairo.facts.job.d.w") == "kairo.facts.job.d.w");
  CHECK(none.facts() + " " + none.status() + " " + none.dead() + " " + none.curves() ==
        "KAIRO_FACTS KAIRO_STATUS KAIRO_DEAD KAIRO_CURVES");
  CHECK(none.inbox("watcher") == "_INBOX_watcher");
  CHECK(blue.subject("kairo.facts.job.d.w") == "kairo-blue-1.facts.job.d.w");
  CHECK(blue.ours("kairo-blue-1.facts.job.d.w") == "kairo.facts.job.d.w");
  CHECK(blue.facts() + " " + blue.status() + " " + blue.dead() + " " + blue.curves() ==
        "KAIRO_FACTS_blue-1 KAIRO_STATUS_blue-1 KAIRO_DEAD_blue-1 KAIRO_CURVES_blue-1");
  CHECK(blue.inbox("watcher") == "_INBOX_blue-1-watcher");
  CHECK(bus::Names::of("").value().facts() == "KAIRO_FACTS");
  for (const std::string& bad : {std::string("a.b"), std::string("Blue"), std::string("*"),
                                 std::string("-a"), std::string("a-"), std::string(64, 'a')}) {
    CAPTURE(bad);
    const auto refused = bus::Names::of(bad);
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code == Code::invalid);
    CHECK(has(refused.error().what, "\"" + bad + "\"; use at most 63 of a-z, 0-9 and -"));
  }
}
TEST_CASE_TEMPLATE("two clusters on one server: nothing crosses", Server, test::InstalledNats,
                   test::NewestNats) {
  Broker broker(Server::program());
  if (broker.program.empty()) return;
  broker.start();
  const bus::Names blue = bus::Names::of("blue").value();
  const auto a = broker.open(true), b = broker.open(true, blue);
  const auto reader_a = broker.open(false), reader_b = broker.open(false, blue);
  publish_soon(*a, {"kairo.facts.x.1", "same id", "of a"});
  publish_soon(*b, {"kairo.facts.x.1", "same id", "of b"});
  publish_soon(*b, {"kairo.facts.x.2", "id2", "of b"});
  publish_soon(*b, {"kairo.status.d.w", "", "of b"});
  publish_soon(*b, {"kairo.dead.launcher", "", "of b"});
  CHECK(drain(*reader_a) == Map{{"kairo.facts.x.1", "of a"}});
  CHECK(drain(*reader_b) == Map{{"kairo.facts.x.1", "of b"}, {"kairo.facts.x.2", "of b"}});
  const auto count = [&](const std::string& stream) {
    return Json::parse(broker.ask("$JS.API.STREAM.INFO." + stream))["state"]["messages"];
  };
  CHECK(count("KAIRO_FACTS") == 1);
  CHECK(count("KAIRO_STATUS") == 0);
  CHECK(count("KAIRO_DEAD") == 0);
  CHECK(count("KAIRO_FACTS_blue") == 2);
  CHECK(count("KAIRO_STATUS_blue") == 1);
  CHECK(count("KAIRO_DEAD_blue") == 1);
  // One that loses its streams does not touch the other.
  const std::string life = a->incarnation().value();
  broker.ask("$JS.API.STREAM.DELETE.KAIRO_FACTS_blue");
  CHECK_FALSE(b->incarnation().ok());
  publish_soon(*b, {"kairo.facts.x.3", "id3", "of b"});
  CHECK(a->incarnation().value() == life);
  CHECK(read_whole(*a).first == 1);
}
TEST_CASE_TEMPLATE("a bus user of a named cluster has rights there and nowhere else", Server,
                   test::InstalledNats, test::NewestNats) {
  Broker broker(Server::program());
  if (broker.program.empty()) return;
  const bus::Names blue = bus::Names::of("blue").value();
  const std::string config = broker.dir.path + "/rights.conf";
  std::ofstream(config) << cli::nats_config(
      {broker.port, broker.dir.path + "/js", {{"watcher", "w"}, {"launcher", "l"}}, blue});
  broker.run(config);
  const auto open = [&](const std::string& user, const bus::Names& names) {
    bus::NatsOptions options;
    options.url = "nats://127.0.0.1:" + std::to_string(broker.port);
    options.user = user;
    options.password = user.substr(0, 1);
    options.admin = user == "watcher";
    options.names = names;
    return bus::open_nats_bus(options).value();
  };
  const auto watcher = open("watcher", blue), launcher = open("launcher", blue);
  publish_soon(*watcher, {"kairo.facts.job.d.w.u", "1", "v"});
  CHECK(take(*launcher, 1) == Map{{"kairo.facts.job.d.w.u", "v"}});
  publish_soon(*launcher, {"kairo.facts.run.d.w.u", "2", "v"});
  publish_soon(*launcher, {"kairo.dead.launcher", "3", "v"});
  CHECK(watcher->publish({"kairo.status.d.w", "", "v"}).ok());
  CHECK_FALSE(open("launcher", {})->publish({"kairo.facts.run.d.w.u", "4", "v"}).ok());
}
TEST_CASE_TEMPLATE("an old stream gets this version's settings and keeps an administrator's",
                   Server, test::InstalledNats, test::NewestNats) {
  Broker broker(Server::program());
  if (broker.program.empty()) return;
  broker.start();
  const std::int64_t hour_ns = 3'600'000'000'000;
  make_stream(broker, "KAIRO_FACTS", "kairo.old.>",
              {{"max_age", hour_ns},
               {"max_msgs_per_subject", 5},
               {"max_msgs", 7},
               {"duplicate_window", 1'000'000'000},
               {"max_bytes", 500'000'000},
               {"description", "ours"}});
  for (const char* name : {"launcher", "node", "mine"})
    broker.ask("$JS.API.CONSUMER.DURABLE.CREATE.KAIRO_FACTS." + std::string(name),
               Json{{"stream_name", "KAIRO_FACTS"},
                    {"config", {{"durable_name", name}, {"ack_policy", "explicit"}}}}
                   .dump());
  const auto admin = broker.open(true);
  publish_soon(*admin, {"kairo.facts.x.1", "", "v"});
  const Json config = settings_of(broker, "KAIRO_FACTS");
  CHECK(config["subjects"] == Json{"kairo.facts.>"});
  CHECK(config["max_age"] == 30 * 24 * hour_ns);
  CHECK(config["max_msgs_per_subject"] == 1);
  CHECK(config["max_msgs"] == -1);
  CHECK(config["duplicate_window"] == 120'000'000'000);
  CHECK(config["max_msg_size"] == 1'048'576);
  CHECK(config["max_bytes"] == 500'000'000);
  CHECK(config["description"] == "ours");
  const Json names = Json::parse(broker.ask("$JS.API.CONSUMER.NAMES.KAIRO_FACTS"))["consumers"];
  CHECK(names == Json{"mine"});  // theirs went, a person's stays
}
TEST_CASE_TEMPLATE("what NATS cannot change is named, with both values and the remedy", Server,
                   test::InstalledNats, test::NewestNats) {
  struct Row {
    std::string what;
    std::string stream;
    Json settings;
    std::vector<std::string> said;
  };
  const std::string facts = "KAIRO_FACTS";
  const Row rows[] = {
      {"storage",
       facts,
       {{"storage", "memory"}, {"max_age", 60'000'000'000}},
       {"bus: stream KAIRO_FACTS: storage is \"memory\", kairo needs \"file\" (NATS: "}},
      {"retention",
       facts,
       {{"retention", "workqueue"}},
       {"stream KAIRO_FACTS: retention is \"workqueue\", kairo needs \"limits\" (NATS: "}},
      {"two",
       facts,
       {{"storage", "memory"}, {"retention", "workqueue"}},
       {"storage is \"memory\"", "retention is \"workqueue\""}},
      {"of the status stream",
       "KAIRO_STATUS",
       {{"storage", "memory"}},
       {"stream KAIRO_STATUS: storage is \"memory\""}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    Broker broker(Server::program());
    if (broker.program.empty()) return;
    broker.start();
    make_stream(broker, row.stream, row.stream == facts ? "kairo.facts.>" : "kairo.status.>",
                row.settings);
    const auto admin = broker.open(true);
    const std::string error = first_error(*admin);
    CAPTURE(error);
    for (const std::string& part : row.said) CHECK(has(error, part));
    CHECK_FALSE(has(error, "max_age"));  // what can be changed is changed, and not spoken of
    CHECK(has(error,
              "remove the stream (nats stream rm " + row.stream + "), and kairo makes it anew"));
    CHECK(settings_of(broker, row.stream)["max_age"] == 30LL * 24 * 3'600'000'000'000);
    broker.ask("$JS.API.STREAM.DELETE." + row.stream);
    publish_soon(*admin, {"kairo.facts.x.1", "", "v"});
    CHECK(settings_of(broker, row.stream)["storage"] == "file");
  }
}
TEST_CASE_TEMPLATE("a stream that has our subjects already is spoken of", Server,
                   test::InstalledNats, test::NewestNats) {
  Broker broker(Server::program());
  if (broker.program.empty()) return;
  broker.start();
  make_stream(broker, "MINE", "kairo.>", Json::object());
  const auto admin = broker.open(true);
  const std::string error = first_error(*admin);
  CAPTURE(error);
  CHECK(has(error,
            "stream KAIRO_FACTS with subjects kairo.facts.> cannot be made: subjects overlap"));
  CHECK(has(error, "remove the stream that has them, or give this cluster a name"));
}
TEST_CASE_TEMPLATE("the broker's list tells who is who; no two have a name or an inbox in common",
                   Server, test::InstalledNats, test::NewestNats) {
  Broker broker(Server::program());
  if (broker.program.empty()) return;
  broker.start();
  const auto a = broker.open(true, {}, "launcher on n1"),
             b = broker.open(false, {}, "launcher on n1");
  publish_soon(*a, {"kairo.facts.x.1", "", "v"});
  publish_soon(*b, {"kairo.facts.x.1", "", "v"});
  const std::string said = broker.connections();
  const Json list = Json::parse(said.substr(said.find("\r\n\r\n")))["connections"];
  std::set<std::string> names, inboxes;
  for (const Json& one : list) {
    names.insert(one["name"].get<std::string>());
    for (const std::string subject : one["subscriptions_list"])
      if (subject.starts_with("_INBOX")) inboxes.insert(subject.substr(0, subject.rfind('.')));
  }
  CHECK(names.size() == 2);
  CHECK(inboxes.size() == 2);
  for (const std::string& name : names) CHECK(name.starts_with("kairo launcher on n1 "));
}
