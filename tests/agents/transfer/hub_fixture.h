// tests/agents/transfer/hub_fixture.h - a hub on loopback that behaves as huggingface.co does: a
// listing with digests, LFS files by redirect to a CDN on another port, tokens, and its faults.
#pragma once
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "schemas/base/digest.h"
#include "tests/agents/transfer/registry_fixture.h"
#include "tests/agents/transfer/web_fixture.h"

namespace kairo::test {
class Hub {
 public:
  std::map<std::string, std::string> files = {
      {"config.json", R"({"architectures": ["LlamaForCausalLM"]})"},
      {"generation_config.json", "{}"},
      {"tokenizer.json", R"({"version": "1.0"})"},
      {"tokenizer_config.json", "{}"},
      {"model.safetensors", noise(400'000)},
      {"README.md", "# words"},
      {"pytorch_model.bin", "pickled"},
      {"consolidated.safetensors", "a second copy"},
      {"original/config.json", "another"}};
  std::string commit = std::string(39, 'a') + "1", token;  // token: "" = none is asked for
  std::string error_code = "GatedRepo";                    // of a refusal
  std::atomic<int> busy{0}, cuts{0},
      wrong{0};  // how many answers are 429, cut short, of other bytes
  std::atomic<int> listings{0}, downloads{0}, ranges{0}, tokens_at_cdn{0};
  std::atomic<std::uint64_t> sent{0};
  std::atomic<bool> slow{false}, lists_blobs{true}, other_commit{false}, is_gone{false};
  std::string url() const { return hub_->url(""); }
  const std::string id = "HuggingFaceTB/SmolLM2-135M-Instruct";

  Hub() {
    cdn_ = std::make_unique<Web>([this](httplib::Server& s) {
      s.Get(R"(/blob/(.*))", [this](const httplib::Request& q, httplib::Response& r) {
        if (q.has_header("Authorization")) ++tokens_at_cdn;
        send(q, r, files.at(q.matches[1].str()));
      });
    });
    hub_ = std::make_unique<Web>([this](httplib::Server& s) {
      s.Get(R"(/api/models/([^/]+/[^/]+)/revision/([^/]+))",
            [this](const httplib::Request& q, httplib::Response& r) {
              ++listings;
              if (!may(q, r, q.matches[1].str(), q.matches[2].str())) return;
              r.set_content(listing().dump(), "application/json");
            });
      s.Get(R"(/([^/]+/[^/]+)/resolve/([^/]+)/(.+))",
            [this](const httplib::Request& q, httplib::Response& r) {
              if (!may(q, r, q.matches[1].str(), q.matches[2].str())) return;
              resolve(q, r, q.matches[3].str());
            });
    });
  }

 private:
  static bool is_lfs(const std::string& name) {
    return name.ends_with(".safetensors") || name == "tokenizer.json";
  }
  nlohmann::json listing() const {
    nlohmann::json siblings = nlohmann::json::array();
    for (const auto& [name, bytes] : files) {
      nlohmann::json file = {{"rfilename", name}};
      if (lists_blobs) {
        file["size"] = bytes.size();
        file["blobId"] = git_blob_id(bytes);
        if (is_lfs(name)) file["lfs"] = {{"sha256", sha256_hex(bytes)}, {"size", bytes.size()}};
      }
      siblings.push_back(file);
    }
    return {{"id", id}, {"sha", commit}, {"gated", !token.empty()}, {"siblings", siblings}};
  }
  bool may(const httplib::Request& q, httplib::Response& r, const std::string& model,
           const std::string& revision) {
    const auto refuse = [&](int status, const std::string& code) {
      r.status = status;
      if (!code.empty()) r.set_header("X-Error-Code", code);
      return false;
    };
    if (busy > 0) {
      --busy;
      r.set_header("Retry-After", "7");
      return refuse(429, "");
    }
    if (model != id) return refuse(401, "RepoNotFound");
    if (is_gone || (revision != "main" && revision != commit))
      return refuse(404, "RevisionNotFound");
    const std::string shown = q.get_header_value("Authorization");
    if (token.empty() || shown == "Bearer " + token) return true;
    return refuse(shown.empty() ? 401 : 403, error_code);
  }
  void resolve(const httplib::Request& q, httplib::Response& r, const std::string& name) {
    const auto found = files.find(name);
    if (found == files.end()) {
      r.status = 404;
      r.set_header("X-Error-Code", "EntryNotFound");
      return;
    }
    r.set_header("X-Repo-Commit", other_commit ? std::string(40, 'b') : commit);
    if (!is_lfs(name)) {
      r.set_header("ETag", "\"" + git_blob_id(found->second) + "\"");
      send(q, r, found->second);
      return;
    }
    r.set_header("X-Linked-Etag", "\"" + sha256_hex(found->second) + "\"");
    r.set_header("X-Linked-Size", std::to_string(found->second.size()));
    r.set_redirect(cdn_->url("/blob/" + name + "?signature=s3cret"), 302);
  }
  void send(const httplib::Request& q, httplib::Response& r, const std::string& bytes) {
    ++downloads;
    if (q.has_header("Range")) ++ranges;
    std::string body = bytes;
    if (wrong > 0) {
      --wrong;
      body[body.size() / 2] ^= 1;
    }
    const bool is_cut = bytes.size() > 100'000 && cuts > 0;
    if (is_cut) --cuts;
    const auto shared = std::make_shared<std::string>(std::move(body));
    r.set_content_provider(  // httplib asks for the range that was wanted
        shared->size(), "application/octet-stream",
        [this, shared, is_cut, given = std::size_t{0}](std::size_t at, std::size_t length,
                                                       httplib::DataSink& sink) mutable {
          if (is_cut && given >= 100'000) return false;  // the line breaks
          const std::size_t piece = std::min<std::size_t>(length, 10'000);
          if (slow && shared->size() > 100'000)
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
          given += piece;
          sent += piece;
          return sink.write(shared->data() + at, piece);
        });
  }
  std::unique_ptr<Web> cdn_, hub_;
};
}  // namespace kairo::test
