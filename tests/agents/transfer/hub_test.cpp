// What this proves: a model comes from a hub whole, of one commit, with the bytes that the hub
// lists; its token goes nowhere else; what is refused says what to do.
#include "agents/transfer/hub.h"

#include <doctest/doctest.h>

#include <filesystem>

#include "agents/transfer/hub_listing.h"
#include "tests/agents/transfer/hub_fixture.h"

namespace {
using namespace kairo;
using namespace kairo::transfer;
namespace fs = std::filesystem;

struct Fetched {
  Status done = ok();
  FetchedModel model;
  std::int64_t retry_after_s = 0;
};
HubOptions options_for(const test::Hub& hub, const std::string& to) {
  HubOptions out;
  out.base = hub.url();
  out.id = hub.id;
  out.to = to;
  out.backoff_ms = 1;
  return out;
}
Fetched fetched(const HubOptions& options) {
  Fetched out;
  auto got = fetch_from_hub(options, out.retry_after_s);
  if (got.ok())
    out.model = std::move(got).value();
  else
    out.done = got.error();
  return out;
}
std::string listed_in(const std::string& folder) {
  std::set<std::string> names;
  for (const auto& file : fs::directory_iterator(folder)) names.insert(file.path().filename());
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : " ") + name;
  return out;
}
const std::string needed =
    "config.json generation_config.json model.safetensors tokenizer.json tokenizer_config.json";
// With the port of this test's hub as PORT.
std::string plain(std::string text, const test::Hub& hub) {
  for (std::size_t at = 0; (at = text.find(hub.url(), at)) != std::string::npos;)
    text.replace(at, hub.url().size(), "HUB");
  return text;
}
}  // namespace

TEST_CASE("hub: what the engine needs comes, of one commit, with progress") {
  const test::TempDir dir;
  test::Hub hub;
  HubOptions options = options_for(hub, dir.path);
  std::uint64_t missing = 0, done = 0, total = 0;
  std::string pinned;
  options.watch.room = [&](std::uint64_t bytes) {
    missing = bytes;
    return ok();
  };
  options.watch.pinned = [&](const std::string& revision) {
    pinned = revision;
    return ok();
  };
  options.watch.progress = [&](std::uint64_t a, std::uint64_t b) {
    done = a;
    total = b;
  };
  const Fetched got = fetched(options);
  REQUIRE_MESSAGE(got.done.ok(), got.done.error().what);
  CHECK(listed_in(dir.path) == needed);
  for (const auto& file : got.model.files)
    CHECK(test::read_file(dir.path + "/" + file.name) == hub.files[file.name]);
  CHECK(got.model.revision == hub.commit);
  CHECK(pinned == hub.commit);
  CHECK(done == total);
  CHECK(missing == total);
  const int downloads = hub.downloads;
  CHECK(downloads == 5);
  CHECK(fetched(options).done.ok());  // nothing comes twice
  CHECK(hub.downloads == downloads);
}

TEST_CASE(
    "hub: the token is shown to the hub and not to its CDN; of several the right one counts") {
  for (const bool has_wrong_one : {false, true}) {
    const test::TempDir dir;
    test::Hub hub;
    hub.token = "hf_right";
    HubOptions options = options_for(hub, dir.path);
    if (has_wrong_one) options.tokens.emplace_back("hf_wrong");
    options.tokens.emplace_back("hf_right");
    const Fetched got = fetched(options);
    REQUIRE_MESSAGE(got.done.ok(), got.done.error().what);
    CHECK(hub.tokens_at_cdn == 0);
    CHECK(listed_in(dir.path) == needed);
  }
  const test::TempDir dir;
  test::Hub open;  // a wrong token is no reason not to get what is free
  open.token = "";
  HubOptions options = options_for(open, dir.path);
  options.tokens = {"hf_old"};
  CHECK(fetched(options).done.ok());
}

TEST_CASE("hub: refusals say what to do, and show no token") {
  struct Row {
    std::string name, code, id, revision;
    std::vector<std::string> tokens;
    Code reaction;
    std::string text;
  };
  const std::string gated = "HuggingFaceTB/SmolLM2-135M-Instruct", page = "HUB/" + gated;
  const std::string secret =
      "kubectl create secret generic hf-token --from-literal=HF_TOKEN=... in the Workspace's "
      "namespace, and name it in preset.presetOptions.modelAccessSecret (or set hub-token-file)";
  const Row rows[] = {
      {"gated, no token",
       "GatedRepo",
       gated,
       "main",
       {},
       Code::invalid,
       gated + " is gated (401 GatedRepo): accept its licence at " + page + ", then " + secret},
      {"gated, the licence not accepted",
       "GatedRepo",
       gated,
       "main",
       {"hf_s3cret"},
       Code::invalid,
       gated + " is gated (403 GatedRepo): accept its licence at " + page +
           " with the account whose token was used; it may read no gated model otherwise"},
      {"private, or not there",
       "",
       "other/model",
       "main",
       {},
       Code::invalid,
       "HUB/other/model is not there, or is private or gated (401 RepoNotFound): " + secret},
      {"private, with a token",
       "",
       "other/model",
       "main",
       {"hf_s3cret"},
       Code::invalid,
       "HUB/other/model is not there, or is private or gated (401 RepoNotFound): check the token: "
       "it is wrong, has ended, or may not read this model"},
      {"no such revision",
       "",
       gated,
       "v9",
       {},
       Code::invalid,
       page + " is not there, or has no revision v9 (404 RevisionNotFound): check the model's id "
              "and the hub's address"},
      {"no id",
       "",
       "../etc",
       "main",
       {},
       Code::invalid,
       "\"../etc\" is no model of a hub: use owner/name"},
      {"no revision",
       "",
       gated,
       "a b",
       {},
       Code::invalid,
       "\"a b\" is no revision: use a branch, a tag or a commit"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const test::TempDir dir;
    test::Hub hub;
    hub.token = "hf_right";
    hub.error_code = row.code;
    HubOptions options = options_for(hub, dir.path);
    options.id = row.id;
    options.revision = row.revision;
    options.tokens = row.tokens;
    const Fetched got = fetched(options);
    REQUIRE_FALSE(got.done.ok());
    CHECK(got.done.error().code == row.reaction);
    CHECK(plain(got.done.error().what, hub) == row.text);
    CHECK(hub.downloads == 0);
  }
}

TEST_CASE("hub: 429 is obeyed: one request, and how long to wait") {
  const test::TempDir dir;
  test::Hub hub;
  hub.busy = 100;
  const Fetched got = fetched(options_for(hub, dir.path));
  REQUIRE_FALSE(got.done.ok());
  CHECK(got.done.error().code == Code::unavailable);
  CHECK(
      plain(got.done.error().what, hub) ==
      "HUB/HuggingFaceTB/SmolLM2-135M-Instruct: the hub answers 429 Too Many Requests and asks to "
      "wait 7 s");
  CHECK(got.retry_after_s == 7);
  CHECK(hub.listings == 1);
}

TEST_CASE("hub: a line that breaks goes on by Range; a killed fetch too") {
  const test::TempDir dir;
  test::Hub hub;
  hub.cuts = 2;
  const std::string whole = hub.files["model.safetensors"];
  test::write_file(dir.path + "/.model.safetensors.part", whole.substr(0, 50'000));
  const Fetched got = fetched(options_for(hub, dir.path));
  REQUIRE_MESSAGE(got.done.ok(), got.done.error().what);
  CHECK(test::read_file(dir.path + "/model.safetensors") == whole);
  CHECK(hub.ranges == 3);
  CHECK(hub.sent < 360'000);  // what was here did not come again
}

TEST_CASE("hub: other bytes than it lists are thrown away; once may happen, twice is told") {
  for (const char* name : {"model.safetensors", "config.json"}) {
    CAPTURE(name);
    const bool is_first = std::string(name) == "config.json";  // files come in their order
    const test::TempDir dir;
    test::Hub hub;
    if (!is_first)
      for (const char* small : {"config.json", "generation_config.json"})
        test::write_file(dir.path + "/" + small, hub.files[small]);
    hub.wrong = 1;
    CHECK(fetched(options_for(hub, dir.path)).done.ok());
    const test::TempDir other;
    hub.wrong = 1000;
    const Fetched got = fetched(options_for(hub, other.path));
    REQUIRE_FALSE(got.done.ok());
    CHECK(got.done.error().code == Code::corrupt);
    CHECK(got.done.error().what.find("config.json came with other bytes than the hub lists") !=
          std::string::npos);
  }
  const test::TempDir dir;  // a part of something else
  test::Hub hub;
  test::write_file(dir.path + "/.model.safetensors.part", test::noise(1000) + "other");
  CHECK(fetched(options_for(hub, dir.path)).done.ok());
  CHECK(test::read_file(dir.path + "/model.safetensors") == hub.files["model.safetensors"]);
}

TEST_CASE("hub: a mirror without digests in its list: those of the answers count") {
  const test::TempDir dir;
  test::Hub hub;
  hub.lists_blobs = false;
  CHECK(fetched(options_for(hub, dir.path)).done.ok());
  CHECK(listed_in(dir.path) == needed);
  const test::TempDir other;
  hub.wrong = 1000;
  const Fetched got = fetched(options_for(hub, other.path));
  REQUIRE_FALSE(got.done.ok());
  CHECK(got.done.error().code == Code::corrupt);
}

TEST_CASE("hub: another commit, no room, no weights, stopped") {
  const test::TempDir dir;
  test::Hub hub;
  hub.other_commit = true;
  const Fetched moved = fetched(options_for(hub, dir.path));
  REQUIRE_FALSE(moved.done.ok());
  CHECK(moved.done.error().code == Code::unavailable);
  hub.other_commit = false;

  HubOptions options = options_for(hub, dir.path);
  const int before = hub.downloads;
  options.watch.room = [](std::uint64_t) { return Status(Error{Code::unavailable, "full"}); };
  CHECK(fetched(options).done.error().what == "full");
  CHECK(hub.downloads == before);

  hub.files.erase("model.safetensors");
  hub.files.erase("consolidated.safetensors");
  const Fetched bare = fetched(options_for(hub, dir.path));
  REQUIRE_FALSE(bare.done.ok());
  CHECK(bare.done.error().code == Code::invalid);
  CHECK(plain(bare.done.error().what, hub) ==
        "HUB/HuggingFaceTB/SmolLM2-135M-Instruct has no *.safetensors: kairo's engine needs "
        "config.json, tokenizer.json and *.safetensors; put a converted model into the models "
        "folder");
  std::atomic<bool> stop{true};
  options.stop = &stop;
  CHECK(fetched(options).done.error().code == Code::conflict);
}

TEST_CASE("hub: a list that is none") {
  const std::string files =
      R"("siblings":[{"rfilename":"config.json"},{"rfilename":"tokenizer.json"},{"rfilename":"a.safetensors"}])";
  const std::string sha = R"("sha":")" + std::string(40, 'a') + "\",";
  CHECK(parse_hub_listing("{" + sha + files + "}", "m").ok());
  struct Row {
    std::string json, text;
  };
  const Row rows[] = {
      {"", "m: the answer is no list of files (\"siblings\"); is the hub's address right?"},
      {"[1]", "m: the answer is no list of files (\"siblings\"); is the hub's address right?"},
      {"{" + files + "}", "m: the answer names no commit (\"sha\")"},
      {R"({"sha":"../../etc",)" + files + "}", "m: the answer names no commit (\"sha\")"},
      {"{" + sha + R"("siblings":[{"rfilename":"config.json"},{"rfilename":"config.json"}]})",
       "m: it lists config.json twice"},
      {"{" + sha + R"("siblings":[{"rfilename":"a.safetensors","lfs":{"sha256":"x"}}]})",
       "m: the sha256 of a.safetensors is none"},
      {"{" + sha + R"("siblings":[{"rfilename":"../a.safetensors"},7,{"rfilename":8}]})",
       "m has no config.json, tokenizer.json, *.safetensors: kairo's engine needs config.json, "
       "tokenizer.json and *.safetensors; put a converted model into the models folder"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.json);
    const auto read = parse_hub_listing(row.json, "m");
    REQUIRE_FALSE(read.ok());
    CHECK(read.error().what == row.text);
  }
}
