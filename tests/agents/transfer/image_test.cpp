// What this proves: the same files give the same image, whatever else about them differs.
#include "agents/transfer/image.h"

#include <doctest/doctest.h>

#include <filesystem>

#include "schemas/base/digest.h"
#include "tests/agents/transfer/registry_fixture.h"

namespace {
using namespace kairo;
using namespace kairo::transfer;
void make_adapter(const std::string& dir, const std::string& weights) {
  test::write_file(dir + "/adapter_config.json", "{}");
  test::write_file(dir + "/adapter_model.safetensors", weights);
}
}  // namespace

TEST_CASE("image: a hundred rebuilds, one digest") {
  const test::TempDir dir;
  std::string digest;
  for (int i = 0; i < 100; ++i) {
    const std::string at = dir.path + "/" + std::to_string(i);
    make_adapter(at, test::noise(1000));
    namespace fs = std::filesystem;
    fs::permissions(at + "/adapter_config.json", fs::perms::owner_all);
    fs::last_write_time(at + "/adapter_config.json",
                        fs::file_time_type::clock::now() - std::chrono::hours(i));
    const auto image = plan_image({at, "phi", {{"b", "2"}, {"a", "1"}}});
    REQUIRE(image.ok());
    if (i == 0) digest = image.value().digest;
    CHECK(image.value().digest == digest);
  }
}
TEST_CASE("image: the manifest's bytes hold together") {
  const test::TempDir dir;
  make_adapter(dir.path, test::noise(70'000));
  const Image image = plan_image({dir.path, "phi", {}}).value();
  CHECK(image.digest == "sha256:" + sha256_hex(image.manifest));
  CHECK(image.manifest.find(R"("annotations":{"sh.kaito.model.name":"phi"})") != std::string::npos);
  REQUIRE(image.layers.size() == 2);
  for (const Blob& layer : image.layers) {
    CHECK(layer.size % 512 == 0);
    std::string whole(layer.size, '\0');
    BlobReader reader(layer);
    CHECK(reader.read(0, whole.data(), whole.size()).value() == layer.size);
    CHECK("sha256:" + sha256_hex(whole) == layer.digest);
    std::string pieces;  // odd offsets give the same bytes
    for (std::uint64_t at = 0; at < layer.size; at += 777) {
      char piece[777];
      pieces.append(piece, reader.read(at, piece, sizeof piece).value());
    }
    CHECK(pieces == whole);
    CHECK(reader.read(layer.size, whole.data(), 1).value() == 0);
  }
}
TEST_CASE("image: missing, empty and changing files are errors") {
  const test::TempDir dir;
  make_adapter(dir.path, "x");
  Image image = plan_image({dir.path, "", {}}).value();
  test::write_file(dir.path + "/adapter_model.safetensors", "longer");
  char byte[600];
  CHECK(BlobReader(image.layers[1]).read(0, byte, sizeof byte).error().code == Code::conflict);
  test::write_file(dir.path + "/adapter_model.safetensors", "");
  CHECK(plan_image({dir.path, "", {}}).error().code == Code::invalid);
  std::filesystem::remove(dir.path + "/adapter_model.safetensors");
  CHECK(plan_image({dir.path, "", {}}).error().code == Code::not_found);
  CHECK(plan_image({dir.path + "/none", "", {}}).error().code == Code::not_found);
}
