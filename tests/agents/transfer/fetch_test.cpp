// What this proves: data sets arrive whole or not at all, and only from where they may come.
#include "agents/transfer/fetch.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <httplib.h>
#include <ifaddrs.h>
#include <netinet/in.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <thread>

#include "agents/transfer/address.h"
#include "agents/transfer/http.h"
#include "tests/agents/transfer/registry_fixture.h"
#include "tests/agents/transfer/web_fixture.h"

namespace {
using namespace kairo;
using namespace kairo::transfer;

FetchOptions options_for(const std::string& to, std::vector<std::string> urls) {
  FetchOptions out;
  out.urls = std::move(urls);
  out.to = to;
  out.allow_loopback = true;
  out.backoff_ms = 1;
  return out;
}
std::size_t files_in(const std::string& dir) {  // without the hidden side files
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(dir))
    count += entry.path().filename().string().starts_with(".") ? 0 : 1;
  return count;
}
bool is_public(const std::string& text) {
  sockaddr_storage storage{};
  auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
  if (inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1)
    storage.ss_family = AF_INET;
  else if (inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) == 1)
    storage.ss_family = AF_INET6;
  return is_public_address(*reinterpret_cast<sockaddr*>(&storage));
}
}  // namespace

TEST_CASE("fetch: what is refused, in which words") {
  const test::TempDir dir;
  const test::Web web([](httplib::Server& s) {
    s.Get("/empty.json", [](const httplib::Request&, httplib::Response&) {});
    s.Get("/large.json", [](const httplib::Request&, httplib::Response& r) {
      r.set_content(std::string(2000, 'x'), "application/json");
    });
    s.Get("/streamed.json", [](const httplib::Request&, httplib::Response& r) {
      r.set_chunked_content_provider("text/plain", [](std::size_t at, httplib::DataSink& sink) {
        sink.write(std::string(600, 'x').data(), 600);
        if (at > 3000) sink.done();
        return true;
      });
    });
    s.Get("/private", [](const httplib::Request&, httplib::Response& r) {
      r.set_redirect("http://10.1.2.3/x.json");
    });
    s.Get("/metadata", [](const httplib::Request&, httplib::Response& r) {
      r.set_redirect("http://169.254.169.254/latest/meta-data");
    });
    s.Get("/file", [](const httplib::Request&, httplib::Response& r) {
      r.set_redirect("file:///etc/passwd");
    });
    s.Get("/loop", [](const httplib::Request&, httplib::Response& r) { r.set_redirect("/loop"); });
    s.Get("/busy", [](const httplib::Request&, httplib::Response& r) { r.status = 503; });
  });
  const std::string with_secrets = web.url("/none.json?sig=s3cret");
  const std::string no_login = "; check the URL, it must be readable without a login";
  struct Row {
    std::string name, url;
    Code code;
    std::string text;
  };
  const Row rows[] = {
      {"not there", with_secrets, Code::invalid,
       "GET " + web.url("/none.json") + ": 404 Not Found" + no_login},
      {"not http", "ftp://user:pw@a.example/x", Code::invalid,
       "ftp://a.example/x: only http and https URLs are fetched"},
      {"no URL", "not a url", Code::invalid,
       "not a url: not a URL; write https://host/path or http://host/path"},
      {"to a private address", web.url("/private"), Code::invalid,
       "GET http://10.1.2.3/x.json: the host 10.1.2.3 has a loopback, private or link-local "
       "address, which is not fetched from; use a public host"},
      {"to the metadata address", web.url("/metadata"), Code::invalid,
       "GET http://169.254.169.254/latest/meta-data: the host 169.254.169.254 has a loopback, "
       "private or link-local address, which is not fetched from; use a public host"},
      {"to a file", web.url("/file"), Code::invalid,
       "file:///etc/passwd: only http and https URLs are fetched"},
      {"in circles", web.url("/loop"), Code::invalid,
       "GET " + web.url("/loop") + ": more than 10 redirects"},
      {"too large, said before", web.url("/large.json"), Code::invalid,
       "GET " + web.url("/large.json") +
           ": the file is larger than the limit of 1000 bytes (2000 so far)"},
      {"too large, seen on the way", web.url("/streamed.json"), Code::invalid,
       "GET " + web.url("/streamed.json") +
           ": the file is larger than the limit of 1000 bytes (1200 so far)"},
      {"empty", web.url("/empty.json"), Code::invalid,
       "GET " + web.url("/empty.json") + ": the file is empty"},
      {"busy for good", web.url("/busy"), Code::unavailable,
       "GET " + web.url("/busy") + ": 503 Service Unavailable"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const test::TempDir to;
    FetchOptions options = options_for(to.path, {row.url});
    options.bytes_max = 1000;
    const Status done = fetch(options);
    REQUIRE_FALSE(done.ok());
    CHECK(done.error().code == row.code);
    CHECK(done.error().what == row.text);
    CHECK(files_in(to.path) == 0);
  }
  // Loopback is for who writes it, not for a name that points there, today or after a redirect.
  const std::string port = web.url("").substr(web.url("").rfind(':'));
  const Status by_name =
      fetch(options_for(dir.path, {"http://data.localhost" + port + "/large.json"}));
  REQUIRE_FALSE(by_name.ok());
  CHECK(by_name.error().what.find("the host data.localhost has a loopback, private") !=
        std::string::npos);
  CHECK(fetch(options_for(dir.path, {"http://localhost" + port + "/large.json"})).ok());
  FetchOptions strict = options_for(dir.path, {web.url("/large.json")});
  strict.allow_loopback = false;
  CHECK(fetch(strict).error().code == Code::invalid);
}
TEST_CASE("fetch: a cut connection goes on by Range; a whole file is not fetched again") {
  const test::TempDir dir;
  const std::string whole = test::noise(300'000);
  std::atomic<int> asked{0}, ranges{0};
  const test::Web web([&](httplib::Server& s) {
    s.Get("/data.jsonl", [&](const httplib::Request& q, httplib::Response& r) {
      ++asked;
      r.set_header("ETag", "\"v1\"");
      if (q.has_header("Range")) {  // httplib cuts the range out itself
        ++ranges;
        r.set_content(whole, "text/plain");
        return;
      }
      r.set_content_provider(whole.size(), "text/plain",
                             [&](std::size_t at, std::size_t, httplib::DataSink& sink) {
                               if (at >= 100'000) return false;  // the line breaks
                               return sink.write(whole.data() + at, 50'000);
                             });
    });
  });
  FetchOptions options = options_for(dir.path, {web.url("/data.jsonl?token=s3cret")});
  std::uint64_t told = 0;
  options.progress = [&](const std::string& url, std::uint64_t done, std::uint64_t) {
    CHECK(url.find("s3cret") == std::string::npos);
    told = done;
  };
  const Status done = fetch(options);
  REQUIRE_MESSAGE(done.ok(), (done.ok() ? "" : done.error().what));
  CHECK(test::read_file(dir.path + "/data.jsonl") == whole);
  CHECK(asked == 2);
  CHECK(ranges == 1);
  CHECK(told == whole.size());
  CHECK(fetch(options).ok());
  CHECK(asked == 2);
  for (const auto& entry : std::filesystem::directory_iterator(dir.path))
    CHECK(test::read_file(entry.path().string()).find("s3cret") == std::string::npos);
}
TEST_CASE("fetch: names") {
  const std::vector<std::string> urls = {"https://a/x/train.parquet?sig=1",
                                         "https://b/train.parquet",
                                         "https://c/train.parquet#top",
                                         "https://d",
                                         "https://e/",
                                         "https://f/.hidden",
                                         "https://g/a%2f..%2fb c"};
  const std::vector<std::string> names = {"train.parquet", "train-2.parquet", "train-3.parquet",
                                          "data",          "data-2",          "hidden",
                                          "a_2f.._2fb_c"};
  CHECK(file_names_of(urls) == names);
}
TEST_CASE("fetch: which addresses are the internet") {
  for (const char* address : {"8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "192.169.0.1",
                              "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"}) {
    CAPTURE(address);
    CHECK(is_public(address));
  }
  for (const char* address : {"0.0.0.0",
                              "10.0.0.1",
                              "100.64.0.1",
                              "127.0.0.1",
                              "169.254.169.254",
                              "172.16.0.1",
                              "172.31.255.255",
                              "192.168.1.1",
                              "198.18.0.1",
                              "224.0.0.1",
                              "255.255.255.255",
                              "168.63.129.16",
                              "::",
                              "::1",
                              "fe80::1",
                              "fc00::1",
                              "ff02::1",
                              "::ffff:10.0.0.1",
                              "::ffff:127.0.0.1",
                              "64:ff9b::a00:1",
                              "64:ff9b:1::808:808",
                              "64:ff9b:1:a00:1::808:808",
                              "2002:a00:1::",
                              "2001:db8::1"}) {
    CAPTURE(address);
    CHECK_FALSE(is_public(address));
  }
}
TEST_CASE("no proxy is asked for what is on this machine") {
  const test::Web web([](httplib::Server& s) {
    s.Get("/v2/", [](const httplib::Request&, httplib::Response& r) {
      r.set_content("direct", "text/plain");
    });
  });
  const test::Web proxy([](httplib::Server& s) {
    s.Get(".*", [](const httplib::Request&, httplib::Response& r) {
      r.set_content("through a proxy", "text/plain");
    });
  });
  setenv("http_proxy", proxy.url("").c_str(), 1);
  setenv("no_proxy", "other.example", 1);
  Http http("", nullptr);
  const std::string port = web.url("").substr(web.url("").rfind(':'));
  const auto body_of = [&](const std::string& host) {
    HttpCall call;
    call.url = parse_url("http://" + host + port + "/v2/").value();
    const auto answer = http.perform(call);
    return answer.ok() ? answer.value().body : answer.error().what;
  };
  CHECK(body_of("localhost") == "direct");
  CHECK(body_of("127.0.0.1") == "direct");
  CHECK(body_of("registry.example") == "through a proxy");
  unsetenv("http_proxy");
  unsetenv("no_proxy");
}
TEST_CASE("fetch: which addresses are of a network of one's own") {
  const auto is_private = [](const std::string& text) {
    sockaddr_storage storage{};
    auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
    storage.ss_family = AF_INET;
    if (inet_pton(AF_INET, text.c_str(), &v4->sin_addr) != 1) {
      storage.ss_family = AF_INET6;
      inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr);
    }
    return is_private_address(*reinterpret_cast<sockaddr*>(&storage));
  };
  for (const char* address :
       {"10.96.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.127.255.255",
        "fc00::1", "fd12::1", "::ffff:10.0.0.1"}) {
    CAPTURE(address);
    CHECK(is_private(address));
  }
  for (const char* address :
       {"8.8.8.8", "127.0.0.1", "169.254.169.254", "172.32.0.1", "100.128.0.1", "192.169.0.1",
        "0.0.0.0", "224.0.0.1", "168.63.129.16", "::1", "fe80::1", "fd00:ec2::254",
        "::ffff:127.0.0.1", "2606:4700::1111"}) {
    CAPTURE(address);
    CHECK_FALSE(is_private(address));
  }
}
// This machine's own address on its network; "" where it has none.
std::string own_private_address() {
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) return {};
  std::string out;
  for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != AF_INET) continue;
    if (!is_private_address(*one->ifa_addr)) continue;
    char text[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &reinterpret_cast<sockaddr_in*>(one->ifa_addr)->sin_addr, text, sizeof text);
    out = text;
  }
  freeifaddrs(all);
  return out;
}
TEST_CASE("fetch: the cluster's gateway, and nothing else beside it, may be at a private address") {
  const std::string host = own_private_address();
  if (host.empty()) {
    MESSAGE("SKIP this machine has no private IPv4 address");
    return;
  }
  httplib::Server server;
  server.Get("/rows.jsonl", [](const httplib::Request&, httplib::Response& r) {
    r.set_content("{}", "text/plain");
  });
  std::string elsewhere;
  server.Get("/away.jsonl",
             [&](const httplib::Request&, httplib::Response& r) { r.set_redirect(elsewhere); });
  const int port = server.bind_to_any_port("0.0.0.0");
  std::thread serving([&] { server.listen_after_bind(); });
  const std::string base = "http://" + host + ":" + std::to_string(port);
  const auto code_of = [&](const std::string& url, const std::string& gateway) {
    const test::TempDir dir;
    FetchOptions options = options_for(dir.path, {url});
    options.allow_loopback = false;
    options.gateway = gateway;
    const Status done = fetch(options);
    return done.ok() ? std::string("fetched")
           : done.error().what.find("has a loopback, private or link-local address") !=
                   std::string::npos
               ? std::string("refused")
               : done.error().what;
  };
  const std::string loopback = "http://127.0.0.1:" + std::to_string(port);
  CHECK(code_of(base + "/rows.jsonl", base) == "fetched");
  CHECK(code_of(base + "/rows.jsonl", "") == "refused");
  CHECK(code_of(base + "/rows.jsonl", "http://" + host) == "refused");  // another port
  CHECK(code_of(base + "/rows.jsonl", "https://" + host + ":" + std::to_string(port)) == "refused");
  CHECK(code_of(base + "/rows.jsonl", "http://kairo-gateway.kairo-system.svc") == "refused");
  CHECK(code_of(base + "/rows.jsonl", "nonsense") == "refused");
  CHECK(code_of(loopback + "/rows.jsonl", loopback) == "refused");  // no Service is there
  for (const std::string& target :
       {loopback + "/rows.jsonl", std::string("http://169.254.169.254/")}) {
    elsewhere = target;
    CHECK(code_of(base + "/away.jsonl", base) == "refused");
  }
  elsewhere = base + "/rows.jsonl";
  CHECK(code_of(base + "/away.jsonl", base) == "fetched");
  server.stop();
  serving.join();
}
