// tests/gpu/serve/adapters_test.cpp - adapters that come and go while others are answered.
#include <atomic>
#include <filesystem>
#include <mutex>
#include <thread>

#include "gpu/formats/files.h"
#include "tests/gpu/serve/server_bench.h"

using namespace kairo;
using namespace kairo::gpu;
using namespace kairo::gpu::test;
namespace {
struct AdapterBench : Bench {
  AdapterBench()
      : Bench(2, ServerOptions().look_after, ConnectionLimits().patience, {}, adapters()) {
    open();
  }
  static std::string adapters() {
    const std::string root = model_folder() + "/runtime";
    write_tiny_adapter(root + "/pip", 37);
    write_tiny_adapter(root + "/zip", 41);
    return root;
  }
  std::string ask(const std::string& model, int tokens = 24) const {
    const auto reply = post(
        "/v1/completions",
        {{"model", model}, {"prompt", "Who are you?"}, {"temperature", 0}, {"max_tokens", tokens}});
    REQUIRE(reply);
    REQUIRE_MESSAGE(reply->status == 200, reply->body);
    return Json::parse(reply->body)["choices"][0]["text"];
  }
  std::string load(const std::string& name, const std::string& path, bool in_place = false) const {
    return said("/v1/load_lora_adapter",
                {{"lora_name", name}, {"lora_path", path}, {"load_inplace", in_place}});
  }
  std::string unload(const std::string& name) const {
    return said("/v1/unload_lora_adapter", {{"lora_name", name}});
  }
  // The text of a success; of an error its number, type and message.
  std::string said(const std::string& path, const Json& body) const {
    const auto reply = post(path, body);
    REQUIRE(reply);
    if (reply->status == 200) return reply->body;
    const Json error = Json::parse(reply->body)["error"];
    CHECK(error["code"] == reply->status);
    return std::to_string(reply->status) + " " + error["type"].get<std::string>() + ": " +
           error["message"].get<std::string>();
  }
  int status(const std::string& model) const {
    return client().Get(("/v1/models/" + model).c_str())->status;
  }
};
}  // namespace

TEST_CASE("an adapter is loaded, replaced and unloaded without a restart") {
  const AdapterBench bench;
  const std::string base = bench.ask("tiny");
  CHECK(bench.status("pip") == 404);
  CHECK(bench.load("pip", "pip") == "Success: LoRA adapter 'pip' added successfully.");
  CHECK(bench.status("pip") == 200);
  const std::string pip = bench.ask("pip");
  CHECK(pip != base);
  CHECK(bench.ask("tiny") == base);
  CHECK(bench.load("pip", "zip")
            .starts_with("400 InvalidUserInput: The lora adapter 'pip' has "
                         "already been loaded."));
  CHECK(bench.ask("pip") == pip);
  CHECK(bench.load("pip", "zip", true) == "Success: LoRA adapter 'pip' added successfully.");
  const std::string zip = bench.ask("pip");
  CHECK(zip != pip);
  CHECK(bench.load("pip", "pip", true).starts_with("Success: LoRA adapter"));
  CHECK(bench.ask("pip") == pip);
  CHECK(bench.unload("pip") == "Success: LoRA adapter 'pip' removed successfully.");
  CHECK(bench.status("pip") == 404);
  CHECK(bench.unload("pip") == "404 NotFoundError: The lora adapter 'pip' cannot be found");
  CHECK(bench.post("/v1/completions", {{"model", "pip"}, {"prompt", "a"}})->status == 404);
  CHECK(bench.load("pip", bench.adapters() + "/pip").starts_with("Success"));
  CHECK(bench.ask("pip") == pip);
  const Json models = Json::parse(bench.client().Get("/v1/models")->body)["data"];
  REQUIRE(models.size() == 2);
  CHECK(models[1]["id"] == "pip");
  CHECK(models[1]["parent"] == "tiny");
  CHECK(models[1]["root"] == std::filesystem::canonical(bench.adapters() + "/pip").string());
}

TEST_CASE("what cannot be loaded is told, and nothing has changed") {
  const AdapterBench bench;
  std::filesystem::create_directory(bench.adapters() + "/bad");
  REQUIRE(write_file(bench.adapters() + "/bad/adapter_config.json", "{}").ok());
  CHECK(bench.load("pip", "none") == "404 NotFoundError: lora_path: there is no folder none");
  CHECK(bench.load("pip", "..").starts_with("400 InvalidUserInput: lora_path: .. is not below"));
  CHECK(bench.load("tiny", "pip").starts_with("400 InvalidUserInput: lora_name: tiny is the base"));
  CHECK(bench.load("bad", "bad").starts_with("400 InvalidUserInput: "));
  CHECK(bench.status("bad") == 404);
  CHECK(Json::parse(bench.client().Get("/v1/models")->body)["data"].size() == 1);
  const Bench without;
  const auto reply =
      without.post("/v1/load_lora_adapter", {{"lora_name", "pip"}, {"lora_path", "pip"}});
  REQUIRE(reply);
  CHECK(reply->status == 404);
  CHECK(reply->body.find("--runtime-adapters") != std::string::npos);
}

TEST_CASE(
    "whoever asks meanwhile gets the whole answer of one adapter, or is told that it is away") {
  const AdapterBench bench;
  const std::string base = bench.ask("tiny");
  REQUIRE(bench.load("pip", "pip").starts_with("Success"));
  const std::string pip = bench.ask("pip");
  REQUIRE(bench.load("pip", "zip", true).starts_with("Success"));
  const std::string zip = bench.ask("pip");
  std::atomic<bool> goes_on = true;
  std::atomic<int> answers = 0;
  std::mutex mutex;
  std::vector<std::string> wrong;
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i)
    readers.emplace_back([&, i] {
      const bool asks_base = i == 0;
      while (goes_on) {
        const auto reply = bench.post("/v1/completions", {{"model", asks_base ? "tiny" : "pip"},
                                                          {"prompt", "Who are you?"},
                                                          {"temperature", 0},
                                                          {"max_tokens", 24}});
        ++answers;
        std::string seen = "no reply";
        if (reply && reply->status == 200)
          seen = Json::parse(reply->body)["choices"][0]["text"];
        else if (reply)
          seen = std::to_string(reply->status);
        const bool is_away = seen == "404" || seen == "503";  // 503: it comes just now
        const bool right = asks_base ? seen == base : seen == pip || seen == zip || is_away;
        const std::scoped_lock lock(mutex);
        if (!right) wrong.push_back((asks_base ? "tiny: " : "pip: ") + seen);
      }
    });
  for (int i = 0; i < 20; ++i) {
    CHECK(bench.load("pip", i % 2 == 0 ? "pip" : "zip", true).starts_with("Success"));
    if (i % 5 == 4) CHECK(bench.unload("pip").starts_with("Success"));
  }
  while (answers < 30) std::this_thread::yield();
  goes_on = false;
  for (auto& reader : readers) reader.join();
  std::string shown;
  for (const std::string& one : wrong) shown += one + "\n";
  CHECK(shown == "");
}
