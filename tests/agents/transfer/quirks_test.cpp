// What this proves: tokens, redirects and registries with quirks, against an emulated registry.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>

#include "agents/pusher/registry_uploader.h"
#include "schemas/base/digest.h"
#include "state/memory_store.h"
#include "tests/agents/transfer/registry_fixture.h"
#include "tests/agents/transfer/web_fixture.h"

namespace {
using namespace kairo;
using namespace kairo::pusher;
using namespace kairo::transfer;

enum class Quirk {
  none,
  no_patch,
  first_chunk_only,
  body_limit,
  flaky,
  gone_once,
  counts_one_more,  // Range: 0-<size>
  no_range,
  never_in_order,  // 416 whatever comes
  large_chunks,    // OCI-Chunk-Min-Length
  far_location
};
constexpr std::size_t large_chunk = 12 << 20;

struct Emulator {  // an OCI registry in memory
  explicit Emulator(Quirk q) : quirk(q) {}
  const Quirk quirk;
  std::mutex mutex;
  std::string upload, storage_url;
  std::map<std::string, std::string> blobs, manifests;
  int puts = 0, patches = 0, posts = 0, leaks = 0;
  std::size_t largest_patch = 0;
  bool has_failed = false;

  void patch(const httplib::Request& q, httplib::Response& r) {
    ++patches;
    largest_patch = std::max(largest_patch, q.body.size());
    const bool is_first = !has_failed;
    has_failed = true;
    if (quirk == Quirk::no_patch) {
      r.status = 405;
    } else if (quirk == Quirk::body_limit && q.body.size() > (4U << 20)) {
      r.status = 413;
    } else if (quirk == Quirk::flaky && patches % 2 == 1) {
      r.status = 503;
    } else if (quirk == Quirk::gone_once && is_first) {
      r.status = 404;
    } else if (quirk == Quirk::never_in_order ||
               (quirk == Quirk::large_chunks && q.body.size() < large_chunk)) {
      r.status = 416;
    } else {
      upload += q.body;
      r.status = quirk == Quirk::first_chunk_only ? 201 : 202;
      place(r);
    }
  }
  void place(httplib::Response& r) {
    r.set_header("Location", storage_url + "/v2/t/a/blobs/uploads/u?_state=x");
    const std::size_t last = upload.empty() ? 0 : upload.size() - 1;
    if (quirk != Quirk::no_range)
      r.set_header("Range",
                   "0-" + std::to_string(last + (quirk == Quirk::counts_one_more ? 1 : 0)));
    if (quirk == Quirk::large_chunks)
      r.set_header("OCI-Chunk-Min-Length", std::to_string(large_chunk));
  }
  void put(const httplib::Request& q, httplib::Response& r) {
    ++puts;
    upload += q.body;
    const std::string digest = q.get_param_value("digest");
    if ("sha256:" + sha256_hex(upload) != digest) {
      r.status = 400;
      r.set_content(R"({"errors":[{"code":"DIGEST_INVALID","message":"no"}]})", "application/json");
      return;
    }
    blobs[digest] = upload;
    r.status = 201;
  }
  // `guard` answers and returns false when the request may not go on.
  void serve(httplib::Server& s,
             std::function<bool(const httplib::Request&, httplib::Response&)> guard) {
    s.set_payload_max_length(64 << 20);
    const auto locked = [this, guard](auto work) {
      return [this, guard, work](const httplib::Request& q, httplib::Response& r) {
        const std::lock_guard lock(mutex);
        if (guard(q, r)) work(q, r);
      };
    };
    s.Get(R"(/v2/t/a/blobs/(sha256:.*))", locked([this](const auto& q, auto& r) {
            r.status = blobs.count(q.matches[1]) != 0 ? 200 : 404;
          }));
    s.Get(R"(/v2/t/a/manifests/(.*))", locked([this](const auto& q, auto& r) {
            const auto it = manifests.find(q.matches[1]);
            r.status = it != manifests.end() ? 200 : 404;
            if (it != manifests.end())
              r.set_header("Docker-Content-Digest", "sha256:" + sha256_hex(it->second));
          }));
    s.Put(R"(/v2/t/a/manifests/(.*))", locked([this](const auto& q, auto& r) {
            manifests[q.matches[1]] = q.body;
            r.status = 201;
          }));
    s.Post("/v2/t/a/blobs/uploads/", locked([this](const auto&, auto& r) {
             ++posts;
             upload.clear();
             r.status = 202;
             place(r);
           }));
    s.Get("/v2/t/a/blobs/uploads/u", locked([this](const auto&, auto& r) {
            r.status = 204;
            place(r);
          }));
    s.Patch("/v2/t/a/blobs/uploads/u", locked([this](const auto& q, auto& r) { patch(q, r); }));
    s.Put("/v2/t/a/blobs/uploads/u", locked([this](const auto& q, auto& r) { put(q, r); }));
  }
};
bool anybody(const httplib::Request&, httplib::Response&) {
  return true;
}
PushRequest adapter_in(const test::TempDir& dir, const std::string& host) {
  test::write_file(dir.path + "/adapter_config.json", "{}");
  test::write_file(dir.path + "/adapter_model.safetensors", test::noise(17 << 20));
  PushRequest out;
  out.reference = host + "/t/a:1";
  out.directory = dir.path;
  return out;
}
std::string host_of(const test::Web& web) {
  const std::string url = web.url("");
  return url.substr(std::string("http://").size());
}
}  // namespace

TEST_CASE("quirks: each kind of registry gets the blob in its way") {
  struct Row {
    std::string name;
    Quirk quirk;
    int patches, posts;  // exactly; config and first layer: one POST and one PUT each
    std::size_t largest_patch;
  };
  const Row rows[] = {
      {"plain: three chunks", Quirk::none, 3, 3, 8 << 20},
      {"no PATCH: one PUT", Quirk::no_patch, 1, 4, 8 << 20},
      {"keeps the first chunk only: one PUT", Quirk::first_chunk_only, 1, 4, 8 << 20},
      {"413 over 4 MiB: smaller chunks", Quirk::body_limit, 6, 3, 8 << 20},
      {"503 now and then", Quirk::flaky, 6, 3, 8 << 20},
      {"a forgotten session", Quirk::gone_once, 4, 4, 8 << 20},
      {"Range is one too many: one PUT", Quirk::counts_one_more, 1, 4, 8 << 20},
      {"no Range: what was sent is there", Quirk::no_range, 3, 3, 8 << 20},
      {"416 whatever comes: one PUT in the end", Quirk::never_in_order, 4, 4, 8 << 20},
      {"a minimum of 12 MiB: one chunk, the rest with the PUT", Quirk::large_chunks, 1, 3,
       12 << 20},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const test::TempDir dir;
    Emulator registry(row.quirk);
    const test::Web web([&](httplib::Server& s) { registry.serve(s, anybody); });
    state::MemoryStore store;
    RegistryOptions options;
    options.chunk_bytes = 8 << 20;
    options.backoff_ms = 1;
    RegistryUploader uploader(store, options);
    const auto pushed = uploader.push(adapter_in(dir, host_of(web)), {});
    REQUIRE_MESSAGE(pushed.ok(), (pushed.ok() ? "" : pushed.error().what));
    CHECK(registry.blobs.size() == 3);
    CHECK(registry.manifests.count("1") == 1);
    CHECK(registry.manifests.count(pushed.value().digest) == 1);
    CHECK(registry.patches == row.patches);
    CHECK(registry.posts == row.posts);
    CHECK(registry.largest_patch == row.largest_patch);
    CHECK(store.scan("upload/", "", 10).value().empty());
  }
}
TEST_CASE("quirks: an upload Location elsewhere never sees the credentials") {
  const test::TempDir dir;
  Emulator registry(Quirk::far_location);
  const test::Web storage([&](httplib::Server& s) {
    registry.serve(s, [&](const httplib::Request& q, httplib::Response&) {
      registry.leaks += q.has_header("Authorization") ? 1 : 0;
      return true;
    });
  });
  registry.storage_url = storage.url("");
  const test::Web web([&](httplib::Server& s) {
    registry.serve(s, [](const httplib::Request& q, httplib::Response& r) {
      if (q.get_header_value("Authorization") == "Basic " + base64_encode("u:p")) return true;
      r.status = 401;
      r.set_header("WWW-Authenticate", "Basic realm=\"x\"");
      return false;
    });
  });
  PushRequest request = adapter_in(dir, host_of(web));
  request.docker_config_json =
      R"({"auths":{")" + host_of(web) + R"(":{"username":"u","password":"p"}}})";
  state::MemoryStore store;
  RegistryUploader uploader(store, {});
  const auto pushed = uploader.push(request, {});
  REQUIRE_MESSAGE(pushed.ok(), (pushed.ok() ? "" : pushed.error().what));
  CHECK(registry.puts == 3);
  CHECK(registry.leaks == 0);
}
TEST_CASE("quirks: a bearer token is fetched with the right scope, and again when it expires") {
  struct Row {
    std::string name, entry, token_request;
  };
  const Row rows[] = {
      {"password", R"({"username":"u","password":"p"})", "GET Basic " + base64_encode("u:p")},
      {"refresh token", R"({"identitytoken":"r3fresh"})", "POST r3fresh"},
      {"a password too, and the server takes POST",
       R"({"username":"u","password":"p","identitytoken":"r3fresh"})", "POST r3fresh"},
      {"a password too, and it does not",
       R"({"username":"u","password":"p","identitytoken":"refused"})",
       "GET Basic " + base64_encode("u:p")},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const test::TempDir dir;
    Emulator registry(Quirk::none);
    std::atomic<int> tokens{0}, uses{0};
    std::string token_request, scope, realm;
    const auto give = [&](const httplib::Request& q, httplib::Response& r) {
      if (q.get_param_value("refresh_token") == "refused") {
        r.status = 405;
        return;
      }
      token_request = q.method == "POST" ? "POST " + q.get_param_value("refresh_token")
                                         : "GET " + q.get_header_value("Authorization");
      scope = q.get_param_value("scope");
      uses = 0;
      r.set_content(R"({"token":"t)" + std::to_string(++tokens) + R"(","expires_in":3600})",
                    "application/json");
    };
    const test::Web web([&](httplib::Server& s) {
      s.Get("/token", give);
      s.Post("/token", give);
      registry.serve(s, [&](const httplib::Request& q, httplib::Response& r) {
        const bool is_right = tokens > 0 && q.get_header_value("Authorization") ==
                                                "Bearer t" + std::to_string(tokens.load());
        if (is_right && ++uses <= 6) return true;  // then it is too old
        r.status = 401;
        r.set_header("WWW-Authenticate", "Bearer realm=\"" + realm +
                                             "\",service=\"reg\",scope=\"repository:t/a:pull\"");
        return false;
      });
    });
    realm = web.url("/token");
    PushRequest request = adapter_in(dir, host_of(web));
    request.docker_config_json = R"({"auths":{")" + host_of(web) + "\":" + row.entry + "}}";
    state::MemoryStore store;
    RegistryOptions options;
    options.chunk_bytes = 1 << 20;
    RegistryUploader uploader(store, options);
    const auto pushed = uploader.push(request, {});
    REQUIRE_MESSAGE(pushed.ok(), (pushed.ok() ? "" : pushed.error().what));
    CHECK(token_request == row.token_request);
    CHECK(scope == "repository:t/a:pull,push");
    CHECK(tokens >= 4);
    // A refused chunk goes again, nothing else does.
    CHECK(pushed.value().sent <=
          pushed.value().bytes + static_cast<std::uint64_t>(tokens) * (1 << 20) + 10'000);
  }
}
TEST_CASE("quirks: a long Retry-After ends the call, a short one is waited for") {
  const test::TempDir dir;
  std::atomic<int> asked{0};
  std::string seconds = "3600";
  const test::Web web([&](httplib::Server& s) {
    s.Get(".*", [&](const httplib::Request&, httplib::Response& r) {
      ++asked;
      r.status = 429;
      r.set_header("Retry-After", seconds);
    });
  });
  state::MemoryStore store;
  RegistryOptions options;
  options.backoff_ms = 1;
  RegistryUploader uploader(store, options);
  const PushRequest request = adapter_in(dir, host_of(web));
  const auto slow = uploader.push(request, {});
  REQUIRE_FALSE(slow.ok());
  CHECK(slow.error().code == Code::unavailable);
  CHECK(slow.error().what ==
        "registry " + host_of(web) + " answers 429 Too Many Requests for repository t/a");
  CHECK(asked == 1);
  seconds = "0";
  CHECK(uploader.push(request, {}).error().code == Code::unavailable);
  CHECK(asked == 4);
}
TEST_CASE("quirks: from an https registry nothing goes on in clear") {
  if (!test::have_program("openssl")) {
    MESSAGE("SKIP: openssl is not installed");
    return;
  }
  const test::TempDir dir;
  const std::string pem = dir.path + "/server.pem";
  const std::string made =
      "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 "
      "-addext subjectAltName=IP:127.0.0.1 -keyout " +
      pem + ".key -out " + pem + " 2>/dev/null && cat " + pem + ".key >> " + pem;
  REQUIRE(std::system(made.c_str()) == 0);
  int leaks = 0;
  const auto leak = [&](const httplib::Request&, httplib::Response&) { ++leaks; };
  const test::Web clear([&](httplib::Server& s) {
    s.Get(".*", leak).Post(".*", leak).Put(".*", leak).Patch(".*", leak);
  });
  const std::string clear_url = clear.url("/v2/t/a/blobs/uploads/u"),
                    token_url = clear.url("/token");
  struct Row {
    std::string name, refusal;
    std::function<bool(const httplib::Request&, httplib::Response&)> guard;
  };
  const std::string remedy = " is not: refused; its proxy must tell it (X-Forwarded-Proto: https)";
  const Row rows[] = {
      {"the upload's Location",
       ": the registry is https, its upload Location " + clear_url + remedy,
       [&](const auto& q, auto& r) {
         if (q.method != "POST") return true;
         r.status = 202;
         r.set_header("Location", clear_url);
         return false;
       }},
      {"a redirect", ": redirected from https to " + clear_url + ", which is not: refused",
       [&](const auto& q, auto& r) {
         if (q.method != "PUT") return true;
         r.status = 307;
         r.set_header("Location", clear_url);
         return false;
       }},
      {"the token server", "names the token server " + token_url + ", which is not https: refused",
       [&](const auto&, auto& r) {
         r.status = 401;
         r.set_header("WWW-Authenticate", "Bearer realm=\"" + token_url + "\"");
         return false;
       }},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    Emulator registry(Quirk::none);
    const test::Web web([&](httplib::Server& s) { registry.serve(s, row.guard); }, pem);
    const std::string host = web.url("").substr(std::string("https://").size());
    PushRequest request = adapter_in(dir, host);
    request.docker_config_json = R"({"auths":{")" + host + R"(":{"username":"u","password":"p"}}})";
    state::MemoryStore store;
    RegistryOptions options;
    options.allow_http_loopback = false;
    options.ca_file = pem;
    const auto pushed = RegistryUploader(store, options).push(request, {});
    REQUIRE_FALSE(pushed.ok());
    CHECK(pushed.error().code == Code::invalid);
    CHECK(pushed.error().what.ends_with(row.refusal));
    CHECK(leaks == 0);
  }
}
