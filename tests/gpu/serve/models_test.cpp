// tests/gpu/serve/models_test.cpp - what is there by name, and what the two routes take.
#include "gpu/serve/models.h"

#include <doctest/doctest.h>

#include <filesystem>

#include "gpu/serve/adapter_request.h"
#include "tests/gpu/support.h"

using namespace kairo;
using namespace kairo::gpu;

TEST_CASE("an adapter by name: expected, there, replaced, gone") {
  const std::vector<AdapterSource> first{{"pip", "/adapters/pip", 1}};
  Models models("base", first);
  CHECK(models.find("base").value().adapter == -1);
  CHECK(models.find("pip").value().adapter == 0);
  CHECK(models.find("zip").error().what == "model zip is not served here; there are: base, pip");
  REQUIRE(models.expect("zip", false).ok());
  CHECK(models.find("zip").error().code == Code::unavailable);
  CHECK(models.expect("zip", true).error().what ==
        "The lora adapter 'zip' is being loaded just now");
  models.give_up("zip");
  CHECK(models.find("zip").error().code == Code::not_found);
  REQUIRE(models.expect("zip", false).ok());
  CHECK(models.put({"zip", "/z", 1}) == -1);
  CHECK(models.find("zip").value().root == "/z");
  CHECK(models.expect("zip", false).error().what.find("has already been loaded") !=
        std::string::npos);
  REQUIRE(models.expect("zip", true).ok());
  CHECK(models.find("zip").value().adapter == 1);  // the old one answers meanwhile
  CHECK(models.put({"zip", "/y", 2}) == 1);
  CHECK(models.remove("zip").value() == 2);
  CHECK(models.remove("zip").error().code == Code::not_found);
  CHECK(models.remove("base").error().code == Code::not_found);
  CHECK(models.expect("base", true).error().code == Code::invalid);
  CHECK(models.all().size() == 2);
  for (std::size_t i = 1; i < adapters_max; ++i) {
    const std::string name = "n" + std::to_string(i);
    REQUIRE(models.expect(name, false).ok());
    models.put({name, "", static_cast<int>(i)});
  }
  CHECK(models.expect("more", false).error().what.find("unload one first") != std::string::npos);
  CHECK(models.expect("n1", true).ok());
}

TEST_CASE("what a load and an unload ask for") {
  const auto asked =
      parse_load_adapter(R"({"lora_name": "pip", "lora_path": "a/b", "load_inplace": true})");
  REQUIRE(asked.ok());
  CHECK(asked.value().name == "pip");
  CHECK(asked.value().path == "a/b");
  CHECK(asked.value().in_place);
  CHECK(parse_unload_adapter(R"({"lora_name": "pip", "lora_int_id": 3})").value().name == "pip");
  struct Row {
    std::string body, why;
  };
  const Row rows[] = {
      {"[]", "the body is not a JSON object"},
      {"{", "the body is not JSON"},
      {R"({"lora_path": "a"})", "lora_name must be a text of 1 to 256 bytes"},
      {R"({"lora_name": "", "lora_path": "a"})", "lora_name must be a text of 1 to 256 bytes"},
      {R"({"lora_name": 3, "lora_path": "a"})", "lora_name"},
      {R"({"lora_name": "a\nb", "lora_path": "a"})", "lora_name must be a text"},
      {R"({"lora_name": "a"})", "lora_path must be a text of 1 to 4096 bytes"},
      {R"({"lora_name": "a", "lora_path": "b", "load_inplace": "yes"})", "load_inplace"},
      {R"({"lora_name": "a", "lora_path": "b", "is_3d_lora_weight": true})", "is_3d_lora_weight"}};
  for (const Row& row : rows) {
    CAPTURE(row.body);
    const auto parsed = parse_load_adapter(row.body);
    REQUIRE_FALSE(parsed.ok());
    CHECK_MESSAGE(parsed.error().what.starts_with(row.why), parsed.error().what);
  }
}

TEST_CASE("only a folder below the one that was given is taken, links followed") {
  namespace fs = std::filesystem;
  const test::TempFolder outside, folder;
  const fs::path root = fs::path(folder.path()) / "adapters";
  fs::create_directories(root / "pip");
  fs::create_directories(fs::path(folder.path()) / "adapters-not");
  fs::create_directory_symlink(outside.path(), root / "away");
  fs::create_directory_symlink(root / "pip", root / "near");
  const std::string pip = fs::canonical(root / "pip").string();
  CHECK(folder_below(root.string(), "pip").value() == pip);
  CHECK(folder_below(root.string(), (root / "pip").string()).value() == pip);
  CHECK(folder_below(root.string(), "near/../pip").value() == pip);
  CHECK(folder_below(root.string(), "near").value() == pip);
  for (const std::string& path :
       {std::string("away"), std::string(".."), std::string("../adapters-not"), outside.path()}) {
    CAPTURE(path);
    const auto refused = folder_below(root.string(), path);
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code == Code::invalid);
  }
  CHECK(folder_below(root.string(), "none").error().code == Code::not_found);
}
