// What this proves: the source obeys the layers, the size limits and the bans; the rules live here,
// not in prose (STYLE.md gives the reasons).
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <string>
#include <vector>

namespace fs = std::filesystem;
namespace {
struct Layer {  // the longest prefix of a file's path wins
  std::string path;
  std::vector<std::string> may_include;
};
const std::vector<Layer> layers = {
    {"schemas/", {"schemas/"}},
    {"state/", {"schemas/", "state/"}},
    {"agents/bus/", {"schemas/", "agents/bus/"}},
    {"agents/cluster/", {"schemas/", "agents/cluster/"}},
    {"agents/local/", {"schemas/", "state/", "agents/cluster/", "agents/local/"}},
    {"agents/local/apiserver/", {"schemas/", "agents/cluster/", "agents/local/apiserver/"}},
    {"agents/transfer/", {"schemas/", "state/", "agents/transfer/"}},
    {"agents/admission/", {"schemas/", "agents/admission/"}},
    {"agents/runtime/", {"schemas/", "state/", "agents/bus/", "agents/runtime/"}},
    {"agents/watcher/",
     {"schemas/", "state/", "agents/bus/", "agents/cluster/", "agents/runtime/",
      "agents/watcher/"}},
    {"agents/provisioner/",
     {"schemas/", "agents/cluster/", "agents/runtime/", "agents/provisioner/"}},
    {"agents/launcher/", {"schemas/", "agents/cluster/", "agents/runtime/", "agents/launcher/"}},
    {"agents/node/",
     {"schemas/", "agents/cluster/", "agents/runtime/", "agents/transfer/", "agents/node/"}},
    {"agents/pusher/",
     {"schemas/", "state/", "agents/cluster/", "agents/runtime/", "agents/transfer/",
      "agents/pusher/"}},
    {"agents/gateway/", {"schemas/", "agents/cluster/", "agents/gateway/"}},
    // A decision sees its record and itself: no store, no bus, no cluster, no sibling.
    {"agents/watcher/decide.",
     {"schemas/", "agents/runtime/agent.h", "agents/runtime/decision.h", "agents/watcher/"}},
    {"agents/provisioner/decide.",
     {"schemas/", "agents/runtime/agent.h", "agents/runtime/decision.h", "agents/provisioner/"}},
    // The engine's own plan, which is pure.
    {"agents/provisioner/estimate.",
     {"schemas/", "agents/provisioner/", "gpu/formats/model_config.h", "gpu/plan/"}},
    {"agents/launcher/decide.",
     {"schemas/", "agents/runtime/agent.h", "agents/runtime/decision.h", "agents/launcher/"}},
    {"agents/node/decide.",
     {"schemas/", "agents/runtime/agent.h", "agents/runtime/decision.h", "agents/node/"}},
    {"agents/pusher/decide.",
     {"schemas/", "agents/runtime/agent.h", "agents/runtime/decision.h", "agents/pusher/"}},
    {"agents/web/",
     {"schemas/", "agents/bus/", "agents/cluster/", "agents/runtime/", "agents/cli/family.h",
      "agents/cli/printers.h", "agents/transfer/url.h", "agents/web/"}},
    // The rim: these put the parts together.
    {"agents/cli/", {"schemas/", "agents/"}},
    {"agents/main.cpp", {"schemas/", "state/", "agents/"}},
    {"agents/config.", {"schemas/", "agents/"}},
    {"agents/init_containers.", {"schemas/", "agents/"}},
    {"agents/settings.", {"schemas/", "agents/settings."}},
    {"agents/role.", {"agents/"}},
    {"agents/kube_lease.",
     {"schemas/", "agents/cluster/", "agents/runtime/", "agents/kube_lease."}},
    {"agents/serve_gateway.", {"schemas/", "agents/"}},
    {"agents/serve_agent.", {"schemas/", "state/", "agents/"}},
    {"gpu/kernels/", {"gpu/formats/", "gpu/kernels/"}},
    {"gpu/cuda/", {"gpu/cuda/"}},
    {"gpu/formats/", {"schemas/base/", "schemas/yaml/", "gpu/formats/"}},
    {"gpu/hf/", {"schemas/base/", "gpu/formats/", "gpu/hf/"}},
    {"gpu/model/", {"schemas/base/", "gpu/formats/", "gpu/model/"}},
    {"gpu/plan/",
     {"schemas/base/", "gpu/formats/", "gpu/model/", "gpu/kernels/nf4.h", "gpu/plan/"}},
    {"gpu/data/", {"schemas/base/", "gpu/formats/", "gpu/hf/", "gpu/data/"}},
    {"gpu/engine/",
     {"schemas/base/", "schemas/run_generated.h", "gpu/formats/", "gpu/model/", "gpu/plan/",
      "gpu/kernels/", "gpu/engine/"}},
    {"gpu/aten/",
     {"schemas/base/", "gpu/formats/", "gpu/kernels/", "gpu/engine/buffer.h", "gpu/engine/device.h",
      "gpu/engine/mat.h", "gpu/engine/ops.h", "gpu/engine/forward_ops.h", "gpu/engine/self_test.h",
      "gpu/cuda/kernels.h", "gpu/aten/"}},
    {"gpu/serve/", {"schemas/base/", "gpu/formats/", "gpu/hf/", "gpu/engine/", "gpu/serve/"}},
    {"gpu/tune_", {"schemas/", "gpu/"}},
    {"gpu/serve_main.cpp", {"schemas/", "gpu/"}},
};
struct Ban {
  std::string word;
  std::vector<std::string> allowed_in;
  std::string instead;
};
const std::vector<Ban> bans = {
    {"system_clock", {"schemas/base/clock.cpp"}, "Clock"},
    {"steady_clock", {"schemas/base/clock.cpp"}, "Clock"},
    {"<rocksdb/", {"state/rocks_store.cpp"}, "state/store.h"},
    {"<nats/", {"agents/bus/nats_"}, "agents/bus/bus.h"},
    {"<spdlog/", {"schemas/base/log.cpp"}, "schemas/base/log.h"},
    {"<yaml.h>", {"schemas/yaml/yaml.cpp"}, "schemas/yaml/yaml.h"},
    {"<openssl/", {"schemas/base/digest.cpp"}, "schemas/base/digest.h"},
    {"<torch/", {"gpu/engine/torch_"}, "gpu/engine/torch_cpu.h"},
    {"<ATen/", {"gpu/engine/torch_", "gpu/aten/"}, "gpu/engine/ops.h"},
    {"<c10/", {"gpu/aten/"}, "gpu/engine/ops.h"},
    {"<iostream>", {"agents/cli/", "agents/main.cpp"}, "schemas/base/log.h"},
    {"std::endl", {"agents/cli/"}, "'\\n'"},
    {"using namespace std", {}, "std::"},
    {"TODO", {}, "an issue"},
    {"FIXME", {}, "an issue"},
    {"rand()", {}, "a seeded generator"},
};
constexpr int lines_max = 400, decide_lines_max = 200;
constexpr std::size_t columns_max = 100, step_lines_max = 300;

const Layer* layer_of(const std::string& path) {
  const Layer* best = nullptr;
  for (const Layer& l : layers)
    if (path.starts_with(l.path) && (best == nullptr || l.path.size() > best->path.size()))
      best = &l;
  return best;
}
bool begins_with_one_of(const std::string& text, const std::vector<std::string>& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](const std::string& p) { return text.starts_with(p); });
}
std::vector<std::string> lines_of(const fs::path& file) {
  std::vector<std::string> out;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}
// Paths below the root, '/' between the folders.
std::vector<std::string> sources(const std::vector<std::string>& tops) {
  std::vector<std::string> out;
  const fs::path root = KAIRO_SOURCE_DIR;
  for (const std::string& top : tops)
    for (const auto& entry : fs::recursive_directory_iterator(root / top)) {
      const std::string extension = entry.path().extension().string();
      if (extension == ".h" || extension == ".cpp" || extension == ".cu")
        out.push_back(fs::relative(entry.path(), root).generic_string());
    }
  std::sort(out.begin(), out.end());
  return out;
}
// What one line of a product file does wrong; "" when nothing.
std::string wrong_with(const std::string& path, const std::string& line) {
  static const std::regex own_include("^#include \"([^\"]+)\"");
  if (line.size() > columns_max) return "is longer than " + std::to_string(columns_max);
  for (const Ban& ban : bans)
    if (line.find(ban.word) != std::string::npos && !begins_with_one_of(path, ban.allowed_in))
      return ban.word + " is banned here; use " + ban.instead;
  std::smatch match;
  if (!std::regex_search(line, match, own_include)) return {};
  const Layer* layer = layer_of(path);
  if (layer == nullptr) return "its folder is missing in the layer table";
  if (!begins_with_one_of(match[1], layer->may_include))
    return layer->path + " may not include " + match[1].str();
  return {};
}
}  // namespace

TEST_CASE("product files: layers, bans, first line, size") {
  const auto files = sources({"schemas", "state", "agents", "gpu"});
  CHECK(files.size() > 200);
  for (const std::string& path : files) {
    CAPTURE(path);
    const auto lines = lines_of(fs::path(KAIRO_SOURCE_DIR) / path);
    REQUIRE_FALSE(lines.empty());
    const bool says_what_it_is =
        lines[0].starts_with("// " + path) || lines[0].starts_with("/* " + path + " - ");
    CHECK_MESSAGE(says_what_it_is, "the first line must be: // " << path << " - what it is");
    CHECK_MESSAGE(lines.size() <= lines_max, "the file has more than " << lines_max << " lines");
    if (path.find("/decide.cpp") != std::string::npos)
      CHECK_MESSAGE(lines.size() < decide_lines_max, "a decision is read in one sitting");
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const std::string wrong = wrong_with(path, lines[i]);
      CHECK_MESSAGE(wrong.empty(), path << ":" << i + 1 << ": " << wrong);
    }
  }
}

TEST_CASE("headers begin with what they are and are included once") {
  for (const std::string& path : sources({"schemas", "state", "agents", "gpu", "tests"})) {
    if (!path.ends_with(".h")) continue;
    CAPTURE(path);
    const auto lines = lines_of(fs::path(KAIRO_SOURCE_DIR) / path);
    CHECK(std::find(lines.begin(), lines.end(), "#pragma once") != lines.end());
  }
}

TEST_CASE("tests say what they prove") {
  for (const std::string& path : sources({"tests"})) {
    CAPTURE(path);
    const auto lines = lines_of(fs::path(KAIRO_SOURCE_DIR) / path);
    REQUIRE_FALSE(lines.empty());
    CHECK(lines[0].starts_with("// "));
    CHECK_MESSAGE(lines.size() <= lines_max, "the file has more than " << lines_max << " lines");
  }
}

TEST_CASE("a training step is read in short files") {
  static const std::regex row("^\\| `(gpu/[^`]+)` \\|");
  bool is_there = false;
  int files = 0;
  for (const std::string& line : lines_of(fs::path(KAIRO_SOURCE_DIR) / "ARCHITECTURE.md")) {
    if (line.starts_with("## ")) is_there = line.starts_with("## One step");
    std::smatch match;
    if (!is_there || !std::regex_search(line, match, row)) continue;
    const std::string path = match[1];
    CAPTURE(path);
    CHECK(lines_of(fs::path(KAIRO_SOURCE_DIR) / path).size() < step_lines_max);
    ++files;
  }
  CHECK(files == 9);
}

TEST_CASE("paths named in the map exist") {
  static const std::regex named(
      "`((?:schemas|state|agents|gpu|deploy|examples|tests|docs)/[^` *{<]*)`");
  const fs::path root = KAIRO_SOURCE_DIR;
  int seen = 0;
  for (const std::string page : {"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "STYLE.md"})
    for (const std::string& line : lines_of(root / page))
      for (std::sregex_iterator it(line.begin(), line.end(), named), end; it != end; ++it, ++seen) {
        const std::string path = (*it)[1];
        CHECK_MESSAGE(fs::exists(root / path), page << " names " << path);
      }
  CHECK(seen > 20);
}
