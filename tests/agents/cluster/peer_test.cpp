// What this proves: a server that is busy is given the time that it asks for, one that is gone
// without a word is found, one without WatchList is asked for pages, and a log that a kubelet gives
// by time is read once.
#include <doctest/doctest.h>
#include <httplib.h>

#include <atomic>
#include <thread>

#include "agents/cluster/kinds.h"
#include "agents/cluster/kube_cluster.h"
#include "agents/cluster/watch_stream.h"
#include "tests/support/fake_clock.h"
#include "tests/support/tcp_relay.h"

using namespace kairo;
using namespace kairo::cluster;
namespace {
class Server {  // answers GET and POST as it is told
 public:
  using Answer = std::function<void(const httplib::Request&, httplib::Response&)>;
  explicit Server(const Answer& answer) {
    server_.Get(".*", answer);
    server_.Post(".*", answer);
    port = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::yield();
  }
  ~Server() {
    server_.stop();
    thread_.join();
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port); }
  int port = 0;

 private:
  httplib::Server server_;
  std::thread thread_;
};
const Ref node{nodes, "", "n"};
const std::string empty_list = R"({"items":[],"metadata":{"resourceVersion":"7"}})";
}  // namespace

TEST_CASE("a busy server is asked again when it says, and a create is not made twice") {
  std::atomic<int> asked{0};
  std::atomic<int> busy_for{2};
  std::atomic<int> status{429};
  std::string wait_s = "1";
  Server server([&](const httplib::Request&, httplib::Response& res) {
    ++asked;
    if (busy_for-- <= 0) return res.set_content("{}", "application/json");
    res.status = status;
    res.set_header("Retry-After", wait_s);
    res.set_content(R"({"message":"too many requests"})", "application/json");
  });
  const SystemClock clock;
  KubeConfig config{server.url(), "", ""};
  std::atomic<bool> stop{false};
  config.stop = &stop;
  KubeCluster cluster(config);
  const std::int64_t begin = clock.monotonic_ms();
  CHECK(cluster.get(node).ok());
  CHECK(asked == 3);
  CHECK(clock.monotonic_ms() - begin >= 2000);

  busy_for = 1, asked = 0, status = 503;
  CHECK_FALSE(cluster.create({node, "{}", "m", ""}).ok());
  CHECK(asked == 1);
  busy_for = 1, asked = 0;
  CHECK(cluster.get(node).ok());
  CHECK(asked == 2);

  busy_for = 1, asked = 0, status = 429, wait_s = "3600";
  const auto refused = cluster.get(node);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code == Code::unavailable);
  CHECK(refused.error().what == "get Node n: too many requests");
  CHECK(asked == 1);

  busy_for = 100, asked = 0, wait_s = "20";
  std::thread ends([&] {
    while (asked == 0) std::this_thread::yield();
    stop = true;
  });
  CHECK_FALSE(cluster.get(node).ok());
  ends.join();
  CHECK(asked == 1);
}

TEST_CASE("a watch that a busy server refuses is not asked for again before its time") {
  std::atomic<int> watches{0};
  Server server([&](const httplib::Request& req, httplib::Response& res) {
    if (!req.has_param("watch")) return res.set_content(empty_list, "application/json");
    ++watches;
    res.status = 429;
    res.set_header("Retry-After", "2");
  });
  KubeCluster cluster({server.url(), "", ""});
  CHECK_FALSE(cluster.watch({nodes, "", ""}, "7", 2000).ok());
  for (int i = 0; i < 3; ++i) {
    const auto quiet = cluster.watch({nodes, "", ""}, "7", 100);
    REQUIRE(quiet.ok());
    CHECK(quiet.value().empty());
  }
  CHECK(watches == 1);
}

TEST_CASE("WatchList: a server that refuses it gets pages, from then on") {
  std::atomic<int> streams{0}, pages{0};
  std::atomic<bool> is_refused{true};  // else it begins, and says that its etcd cannot
  Server server([&](const httplib::Request& req, httplib::Response& res) {
    if (req.has_param("sendInitialEvents")) {
      ++streams;
      if (!is_refused)
        return res.set_content(
            "{\"type\":\"ERROR\",\"object\":{\"code\":500,\"message\":\"the required storage "
            "feature RequestWatchProgress is disabled\"}}\n",
            "application/json");
      res.status = 422;
      return res.set_content(R"({"message":"sendInitialEvents is forbidden"})", "application/json");
    }
    ++pages;
    res.set_content(empty_list, "application/json");
  });
  KubeConfig config{server.url(), "", ""};
  config.streams_lists = true;
  for (const bool refused : {true, false}) {
    CAPTURE(refused);
    is_refused = refused;
    streams = pages = 0;
    KubeCluster cluster(config);
    for (int i = 0; i < 2; ++i) {
      const auto listed = cluster.list({nodes, "", ""});
      REQUIRE(listed.ok());
      CHECK(listed.value().resource_version == "7");
    }
    CHECK(streams == 1);
    CHECK(pages == 2);
  }
}

TEST_CASE("a proxy that answers in a silent server's stead: the watch is over after 40 s") {
  Server server([&](const httplib::Request&, httplib::Response& res) {
    res.set_chunked_content_provider("application/json", [](std::size_t, httplib::DataSink& sink) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      return sink.is_writable();
    });
  });
  test::TcpRelay relay(server.port);
  for (const bool has_proxy : {false, true}) {
    CAPTURE(has_proxy);
    test::FakeClock clock;
    HttpRequest request;
    HttpPeer peer;
    request.url = has_proxy ? "http://api.invalid/watch"
                            : "http://127.0.0.1:" + std::to_string(relay.port()) + "/watch";
    if (has_proxy) peer.proxy = "http://127.0.0.1:" + std::to_string(relay.port());
    request.peer = std::make_shared<const HttpPeer>(peer);
    WatchStream stream(request, "7", clock);
    for (int i = 0; i < 200 && stream.status() == 0; ++i) {
      CHECK(stream.next(0).ok());
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    CHECK(stream.status() == 200);
    clock.advance(39'000);
    CHECK(stream.next(0).ok());
    CHECK(stream.is_open());
    clock.advance(2'000);
    CHECK(stream.next(0).ok());
    CHECK(stream.is_open() == !has_proxy);
  }
}

TEST_CASE("a log from a server that knows times and no offsets") {
  // As a kubelet gives it: from the second of sinceTime on, limitBytes at most, lines with times.
  std::vector<std::pair<std::string, std::string>> lines;
  std::vector<std::string> asked;
  Server server([&](const httplib::Request& req, httplib::Response& res) {
    const std::string since = req.get_param_value("sinceTime").substr(0, 19);
    asked.push_back(since + "," + req.get_param_value("limitBytes"));
    std::string out;
    for (const auto& [time, text] : lines)
      if (time.substr(0, 19) >= since) out += time + " " + text + "\n";
    res.set_content(out.substr(0, std::stoul(req.get_param_value("limitBytes"))), "text/plain");
  });
  KubeCluster cluster({server.url(), "", ""});
  const Ref pod{pods, "default", "p"};
  const std::string minute = "2026-01-31T12:00:";
  lines = {{minute + "01.000000001Z", "a"}, {minute + "01.000000002Z", "b"}};
  CHECK(cluster.log(pod, "c", 0).value() == "a\nb\n");
  CHECK(cluster.log(pod, "c", 4).value() == "");
  lines.emplace_back(minute + "01.000000002Z", "c");
  lines.emplace_back(minute + "02.5Z", "d");
  CHECK(cluster.log(pod, "c", 4).value() == "c\nd\n");
  CHECK(asked ==
        std::vector<std::string>{",1048576", minute + "01,1048576", minute + "01,1048576"});
  CHECK(cluster.log(pod, "c", 6).value() == "d\n");  // from a place that it was not at
  CHECK(cluster.log(pod, "c", 8).value() == "");
  CHECK(KubeCluster({server.url(), "", ""}).log(pod, "c", 7).value() == "\n");
  CHECK(cluster.log(pod, "c", 0).value() == "a\nb\nc\nd\n");
  asked.clear();  // more than an answer holds within one second
  const std::string wide(600'000, 'w');
  for (const char* nano : {"1", "2", "3"})
    lines.emplace_back(minute + "03.00000000" + nano + "Z", wide);
  std::string all;
  for (std::uint64_t offset = 8; all.size() < 3 * (wide.size() + 1);) {
    const auto more = cluster.log(pod, "c", offset);
    REQUIRE(more.ok());
    REQUIRE_FALSE(more.value().empty());
    all += more.value();
    offset += more.value().size();
  }
  CHECK(all == wide + "\n" + wide + "\n" + wide + "\n");
  CHECK(asked.back() == minute + "03,8388608");
}
