// What this proves: what was pushed comes back byte for byte, and no archive writes elsewhere.
#include "agents/transfer/pull.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <iostream>

#include "agents/pusher/registry_uploader.h"
#include "agents/transfer/inflate.h"
#include "agents/transfer/unpack.h"
#include "state/memory_store.h"
#include "tests/agents/transfer/registry_fixture.h"

namespace {
using namespace kairo;
using namespace kairo::pusher;
using namespace kairo::transfer;
namespace fs = std::filesystem;

void put(std::string& block, std::size_t at, const std::string& text) {
  block.replace(at, text.size(), text);
}
// One ustar entry by hand: whatever a hostile archive may say.
std::string entry(char type, const std::string& path, const std::string& body = "",
                  const std::string& link = "") {
  std::string block(512, '\0');
  put(block, 0, path);
  put(block, 100, "0000644");
  char size[13];
  std::snprintf(size, sizeof size, "%011zo", body.size());
  put(block, 124, size);
  put(block, 148, "        ");
  block[156] = type;
  put(block, 157, link);
  put(block, 257, std::string("ustar\00000", 8));
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  char check[8];
  std::snprintf(check, sizeof check, "%06o", sum);
  put(block, 148, std::string(check) + '\0');
  return block + body + std::string((512 - body.size() % 512) % 512, '\0');
}
std::string end() {
  return std::string(1024, '\0');
}
Status unpack(const std::string& root, const std::vector<std::string>& layers,
              UnpackLimits limits = {}, std::size_t piece = 100) {
  fs::create_directories(root);
  Unpack into(root, limits);
  for (const std::string& layer : layers) {
    into.begin_layer();
    TarReader tar({[&](const TarEntry& e) { return into.begin(e); },
                   [&](std::string_view bytes) { return into.data(bytes); }});
    for (std::size_t at = 0; at < layer.size(); at += piece)
      TRY(tar.feed(std::string_view(layer).substr(at, piece)));
    TRY(tar.finish());
    TRY(into.end_layer());
  }
  return ok();
}
std::string tree(const std::string& root) {  // "a/b=text c->target", sorted
  std::set<std::string> lines;
  for (const auto& file : fs::recursive_directory_iterator(root)) {
    const std::string name = fs::relative(file.path().parent_path(), root) / file.path().filename();
    const std::string clean = name.starts_with("./") ? name.substr(2) : name;
    if (file.is_symlink())
      lines.insert(clean + "->" + fs::read_symlink(file.path()).string());
    else if (file.is_regular_file())
      lines.insert(clean + "=" + test::read_file(file.path().string()));
  }
  std::string out;
  for (const std::string& line : lines) out += (out.empty() ? "" : " ") + line;
  return out;
}
}  // namespace

TEST_CASE("unpack: what lands in the folder") {
  struct Row {
    std::string name;
    std::vector<std::string> layers;
    std::string tree;
  };
  const Row rows[] = {
      {"plain", {entry('5', "data/") + entry('0', "data/a", "1") + end()}, "a=1"},
      {"dotted and absolute",
       {entry('0', "./data/a", "1") + entry('0', "/data/b", "2")},
       "a=1 b=2"},
      {"other folders are passed over",
       {entry('0', "etc/passwd", "x") + entry('3', "dev/null") + entry('0', "data/a", "1")},
       "a=1"},
      {"a later layer wins", {entry('0', "data/a", "1"), entry('0', "data/a", "2")}, "a=2"},
      {"whiteout",
       {entry('0', "data/a", "1") + entry('0', "data/b", "2"), entry('0', "data/.wh.a")},
       "b=2"},
      {"opaque",
       {entry('0', "data/d/a", "1"),
        entry('0', "data/d/b", "2") + entry('0', "data/d/.wh..wh..opq")},
       "d/b=2"},
      {"whiteout of all", {entry('0', "data/a", "1"), entry('0', ".wh.data")}, ""},
      {"hard link", {entry('0', "data/a", "1") + entry('1', "data/b", "", "data/a")}, "a=1 b=1"},
      {"links inside",
       {entry('0', "data/d/a", "1") + entry('2', "data/d/l", "", "../x") +
        entry('2', "data/m", "", "d/a")},
       "d/a=1 d/l->../x m->d/a"},
      {"a link is replaced, not followed",
       {entry('2', "data/l", "", "a") + entry('0', "data/a", "1") + entry('0', "data/l", "2")},
       "a=1 l=2"},
      {"pax path", {entry('x', "p", "15 path=data/p\n") + entry('0', "short", "1")}, "p=1"},
      {"GNU long name",
       {entry('L', "l", std::string("data/") + std::string(150, 'n') + '\0') +
        entry('0', "short", "1")},
       std::string(150, 'n') + "=1"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    for (const std::size_t piece : {1UL, 511UL, 100'000UL}) {
      const test::TempDir dir;
      const Status done = unpack(dir.path + "/root", row.layers, {}, piece);
      REQUIRE_MESSAGE(done.ok(), (done.ok() ? "" : done.error().what));
      CHECK(tree(dir.path + "/root") == row.tree);
    }
  }
}
TEST_CASE("unpack: hostile archives stop, and nothing is written outside") {
  struct Row {
    std::string name, layer;
    Code code;
  };
  const std::string big(3000, 'x');
  std::string bad_sum = entry('0', "data/a", "1");
  bad_sum[0] = 'D';
  std::string bad_size = entry('0', "data/a", "1");
  const Row rows[] = {
      {"dotdot", entry('0', "data/../../evil", "1"), Code::invalid},
      {"dotdot first", entry('0', "../data/evil", "1"), Code::invalid},
      {"absolute link", entry('2', "data/l", "", "/etc"), Code::invalid},
      {"escaping link", entry('2', "data/l", "", ".."), Code::invalid},
      {"escaping deep link", entry('2', "data/d/l", "", "../../x"), Code::invalid},
      {"link then dotdot", entry('2', "data/l", "", "d/.."), Code::invalid},
      {"through a link", entry('2', "data/l", "", "d") + entry('0', "data/l/x", "1"),
       Code::invalid},
      {"data is a link", entry('2', "data", "", "elsewhere"), Code::invalid},
      {"hard link outside", entry('1', "data/h", "", "etc/shadow"), Code::invalid},
      {"hard link up", entry('1', "data/h", "", "data/../../x"), Code::invalid},
      {"hard link to a link", entry('2', "data/l", "", "x") + entry('1', "data/h", "", "data/l"),
       Code::invalid},
      {"device", entry('3', "data/null"), Code::invalid},
      {"fifo", entry('6', "data/fifo"), Code::invalid},
      {"too many bytes", entry('0', "data/a", big), Code::invalid},
      {"too many bytes elsewhere", entry('0', "usr/a", big), Code::invalid},
      {"too many entries",
       entry('5', "a/") + entry('5', "b/") + entry('5', "c/") + entry('5', "d/") + entry('5', "e/"),
       Code::invalid},
      {"whiteout of dots", entry('0', "data/.wh..."), Code::invalid},
      {"checksum", bad_sum, Code::corrupt},
      {"cut", entry('0', "data/a", big).substr(0, 700), Code::corrupt},
      {"pax garbage", entry('x', "p", "999 path=x\n") + entry('0', "data/a", "1"), Code::corrupt},
      {"pax size", entry('x', "p", "11 size=-1\n") + entry('0', "data/a", "1"), Code::corrupt},
      {"empty record", entry('L', "l") + entry('0', "data/a", "1"), Code::corrupt},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const test::TempDir dir;
    const Status done = unpack(dir.path + "/root", {row.layer + end()}, {2000, 4});
    const bool is_cut = row.name == "cut";
    const Status cut = unpack(dir.path + "/root2", {row.layer}, {5000, 4});
    const Status& seen = is_cut ? cut : done;
    REQUIRE_FALSE(seen.ok());
    CHECK(seen.error().code == row.code);
    std::size_t outside = 0;
    for (const auto& file : fs::directory_iterator(dir.path))
      outside += file.path().filename().string().starts_with("root") ? 0 : 1;
    CHECK(outside == 0);
  }
}
TEST_CASE("unpack: mutated archives never crash") {
  const std::string good = entry('5', "data/") + entry('0', "data/a", test::noise(700)) +
                           entry('x', "p", "15 path=data/p\n") + entry('2', "data/l", "", "a") +
                           entry('1', "data/h", "", "data/a") + end();
  const std::string luck = test::noise(4000);
  const test::TempDir dir;
  for (std::size_t i = 0; i + 8 < luck.size(); i += 8) {
    std::string bad = good;
    const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(luck[i + k]); };
    const std::size_t at = (byte(0) * 256U + byte(1)) % bad.size();
    bad[at] = luck[i + 2];
    const Status done = unpack(dir.path + "/" + std::to_string(i), {bad}, {}, 1U + byte(3));
    CHECK((done.ok() || !done.error().what.empty()));
  }
}
TEST_CASE("inflate: cut and broken streams are corrupt") {
  const test::TempDir dir;
  const std::string text = test::noise(400'000);
  test::write_file(dir.path + "/t", text);
  const std::string make = "cd " + dir.path + " && gzip -k t && cat t.gz t.gz > two.gz";
  REQUIRE(std::system(make.c_str()) == 0);
  const auto inflated = [](const std::string& bytes) -> Result<std::string> {
    std::string out;
    Inflate inflate([&](std::string_view piece) {
      out.append(piece);
      return ok();
    });
    for (std::size_t at = 0; at < bytes.size(); at += 999)
      TRY(inflate.feed(std::string_view(bytes).substr(at, 999)));
    TRY(inflate.finish());
    return out;
  };
  const std::string packed = test::read_file(dir.path + "/t.gz");
  CHECK(inflated(packed).value() == text);
  CHECK(inflated(test::read_file(dir.path + "/two.gz")).value() == text + text);
  CHECK(inflated(text).value() == text);
  CHECK(inflated("ab").value() == "ab");
  CHECK(inflated(packed.substr(0, packed.size() - 9)).error().code == Code::corrupt);
  std::string broken = packed;
  broken[broken.size() / 2] = static_cast<char>(~broken[broken.size() / 2]);
  CHECK(inflated(broken).error().code == Code::corrupt);
  CHECK(inflated("\x28\xb5\x2f\xfd garbage").error().code == Code::corrupt);
}
TEST_CASE("pull: from a real registry, plain, gzip and zstd, with the right one of two Secrets") {
  if (const std::string why = test::missing_programs(); !why.empty()) {
    std::cout << "SKIP: " << why << std::endl;
    std::exit(77);  // NOLINT(concurrency-mt-unsafe): the only thread
  }
  const test::TempDir dir;
  test::Registry registry(dir);
  REQUIRE(registry.start());
  const std::string weights = test::noise(2'000'003);
  test::write_file(dir.path + "/run/adapter_config.json", "{}");
  test::write_file(dir.path + "/run/adapter_model.safetensors", weights);
  state::MemoryStore store;
  RegistryUploader uploader(store, {});
  PushRequest request;
  request.reference = registry.host() + "/team/adapter:plain";
  request.directory = dir.path + "/run";
  request.docker_config_json = registry.config();
  REQUIRE(uploader.push(request, {}).ok());
  for (const std::string kind : {"gzip", "zstd"}) {
    const std::string skopeo = "skopeo --insecure-policy copy -q ";
    const std::string packed = dir.path + "/packed-" + kind;
    const std::string copy = skopeo +
                             "--src-tls-verify=false --src-creds kairo:s3cret --dest-compress "
                             "--dest-compress-format " +
                             kind + " docker://" + request.reference + " dir:" + packed + " && " +
                             skopeo +
                             "--dest-tls-verify=false --dest-creds kairo:s3cret --preserve-digests "
                             "dir:" +
                             packed + " docker://" + registry.host() + "/team/" + kind + ":1";
    REQUIRE(std::system(copy.c_str()) == 0);
    const std::string look =
        "skopeo inspect --raw --tls-verify=false --creds kairo:s3cret docker://" + registry.host() +
        "/team/" + kind + ":1 > " + dir.path + "/raw.json";
    REQUIRE(std::system(look.c_str()) == 0);
    CHECK(test::read_file(dir.path + "/raw.json").find("tar+" + kind) != std::string::npos);
  }
  for (const std::string name : {"adapter:plain", "gzip:1", "zstd:1"}) {
    CAPTURE(name);
    PullOptions options;
    options.image = registry.host() + "/team/" + name;
    options.to = dir.path + "/to-" + name.substr(0, 4);
    options.docker_configs = {registry.config("wr0ng"), registry.config()};
    std::uint64_t last = 0, total = 1;
    options.progress = [&](std::uint64_t d, std::uint64_t t) { last = d, total = t; };
    const Status done = pull(options);
    REQUIRE_MESSAGE(done.ok(), (done.ok() ? "" : done.error().what));
    CHECK(test::read_file(options.to + "/adapter_config.json") == "{}");
    CHECK(test::read_file(options.to + "/adapter_model.safetensors") == weights);
    CHECK_FALSE(fs::exists(options.to + "/.pulling"));
    CHECK(last == total);
    CHECK(pull(options).ok());  // a retried pod

    options.docker_configs = {registry.config("wr0ng")};
    const Status refused = pull(options);
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code == Code::invalid);
    CHECK(refused.error().what.find("refused the credentials") != std::string::npos);
    CHECK(refused.error().what.find("wr0ng") == std::string::npos);
    options.docker_configs = {registry.config()};
    options.image = registry.host() + "/team/none:1";
    CHECK(pull(options).error().code == Code::invalid);
    options.image = registry.host() + "/team/" + name;
    options.bytes_max = 1000;
    CHECK(pull(options).error().code == Code::invalid);
  }
}
