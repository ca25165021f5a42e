// What this proves: whatever form a registry has a model in, its files come out of it: oras'
// artifacts (KAITO's), ModelPack, images, behind an index; on a real docker-registry.
#include "agents/transfer/model_image.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "agents/transfer/http.h"
#include "tests/agents/transfer/registry_fixture.h"

namespace {
using namespace kairo;
using namespace kairo::transfer;
using Json = nlohmann::json;
namespace fs = std::filesystem;

class Pusher {  // of blobs and manifests, as they are
 public:
  explicit Pusher(const test::Registry& registry) : host_(registry.host()), http_("", nullptr) {}
  Json blob(const std::string& bytes, const std::string& type, Json annotations = Json()) {
    const std::string digest = "sha256:" + sha256_hex(bytes);
    const HttpAnswer begun =
        call("POST", "http://" + host_ + "/v2/models/m/blobs/uploads/", "", "");
    REQUIRE(begun.status == 202);
    const std::string at = begun.header("location");
    REQUIRE(call("PUT", at + (at.find('?') == std::string::npos ? "?" : "&") + "digest=" + digest,
                 bytes, "application/octet-stream")
                .status == 201);
    Json out = {{"mediaType", type}, {"digest", digest}, {"size", bytes.size()}};
    if (!annotations.is_null()) out["annotations"] = annotations;
    return out;
  }
  std::string manifest(const std::string& tag, const Json& json) {
    const std::string text = json.dump();
    const HttpAnswer done = call("PUT", "http://" + host_ + "/v2/models/m/manifests/" + tag, text,
                                 json["mediaType"].get<std::string>());
    REQUIRE_MESSAGE(done.status == 201, done.body);
    return "sha256:" + sha256_hex(text);
  }
  Json of(std::vector<Json> layers, const std::string& type, const std::string& config) {
    return {{"schemaVersion", 2},
            {"mediaType", type},
            {"config", blob("{}", config)},
            {"layers", std::move(layers)}};
  }
  std::string image(const std::string& tag) const { return host_ + "/models/m:" + tag; }

 private:
  HttpAnswer call(const std::string& method, const std::string& url, const std::string& body,
                  const std::string& type) {
    HttpCall request;
    request.method = method;
    request.url = parse_url(url).value();
    request.body = body;
    request.headers = {"Authorization: Basic " + base64_encode("kairo:s3cret")};
    if (!type.empty()) request.headers.push_back("Content-Type: " + type);
    const auto answer = http_.perform(request);
    REQUIRE_MESSAGE(answer.ok(), (answer.ok() ? "" : answer.error().what));
    return answer.value();
  }
  const std::string host_;
  Http http_;
};
std::string tar(const std::map<std::string, std::string>& files) {
  std::string out;
  for (const auto& [name, body] : files) {
    std::string block(512, '\0');
    block.replace(0, name.size(), name);
    block.replace(100, 7, "0000644");
    char size[13];
    std::snprintf(size, sizeof size, "%011zo", body.size());
    block.replace(124, 11, size);
    block.replace(148, 8, "        ");
    block[156] = '0';
    block.replace(257, 5, "ustar");
    unsigned sum = 0;
    for (const char c : block) sum += static_cast<unsigned char>(c);
    char check[8];
    std::snprintf(check, sizeof check, "%06o", sum);
    block.replace(148, 7, std::string(check, 7));
    out += block + body + std::string((512 - body.size() % 512) % 512, '\0');
  }
  return out + std::string(1024, '\0');
}
const std::string oci = "application/vnd.oci.image.manifest.v1+json";
const std::string docker = "application/vnd.docker.distribution.manifest.v2+json";
const std::string weights = test::noise(300'000);
Result<FetchedModel> fetched(const test::Registry& registry, const std::string& image,
                             const std::string& to, const std::string& password = "s3cret") {
  fs::create_directories(to);
  ModelImageOptions options;
  options.image = image;
  options.to = to;
  options.docker_configs = {registry.config(password)};
  options.registry.backoff_ms = 1;
  return fetch_model_image(options);
}
std::string names(const FetchedModel& model) {
  std::string out;
  for (const ModelFile& file : model.files) out += (out.empty() ? "" : " ") + file.name;
  return out;
}
Json titled(const std::string& name) {
  return {{"org.opencontainers.image.title", name}};
}
}  // namespace

TEST_CASE("a model in a registry: every form gives the same files") {
  if (const std::string why = test::missing_programs(); !why.empty()) {
    std::cout << "SKIP a model in a registry: " << why << "\n";
    return;
  }
  const test::TempDir dir;
  test::Registry registry(dir);
  REQUIRE(registry.start());
  Pusher push(registry);
  const std::string file = "application/vnd.oci.image.layer.v1.tar";  // as oras names any file
  push.manifest("oras", push.of({push.blob("{}", file, titled("config.json")),
                                 push.blob("{\"t\":1}", file, titled("weights/tokenizer.json")),
                                 push.blob(weights, file, titled("model.safetensors")),
                                 push.blob("# words", file, titled("README.md"))},
                                oci, "application/vnd.oci.empty.v1+json"));
  Json folder = titled("weights");
  folder["io.deis.oras.content.unpack"] = "true";
  push.manifest("folder", push.of({push.blob(tar({{"weights/config.json", "{}"},
                                                  {"weights/tokenizer.json", "{\"t\":1}"},
                                                  {"weights/model.safetensors", weights}}),
                                             file + "+gzip", folder)},
                                  oci, "application/vnd.oci.empty.v1+json"));
  const std::string pack = "application/vnd.cncf.model.";
  const std::string packed = push.manifest(
      "pack-inner",
      push.of({push.blob(weights, pack + "weight.v1.raw",
                         {{"org.cncf.model.filepath", "model.safetensors"}}),
               push.blob(tar({{"config.json", "{}"}, {"tokenizer.json", "{\"t\":1}"}}),
                         pack + "weight.config.v1.tar", {{"org.cncf.model.filepath", "config"}})},
              oci, pack + "config.v1+json"));
  push.manifest("pack", {{"schemaVersion", 2},
                         {"mediaType", "application/vnd.oci.image.index.v1+json"},
                         {"manifests", {{{"mediaType", oci}, {"digest", packed}, {"size", 1}}}}});
  push.manifest(
      "image",
      push.of({push.blob(tar({{"etc/config.json", "wrong"},
                              {"srv/models/m/config.json", "deeper"},
                              {"m/config.json", "{}"},
                              {"m/original/config.json", "deeper"},
                              {"m/tokenizer.json", "old"}}),
                         "application/vnd.docker.image.rootfs.diff.tar"),
               push.blob(tar({{"m/tokenizer.json", "{\"t\":1}"}, {"m/model.safetensors", weights}}),
                         "application/vnd.docker.image.rootfs.diff.tar")},
              docker, "application/vnd.docker.container.image.v1+json"));
  for (const std::string form : {"oras", "folder", "pack", "image"}) {
    CAPTURE(form);
    const std::string to = dir.path + "/to-" + form;
    const auto model = fetched(registry, push.image(form), to);
    REQUIRE_MESSAGE(model.ok(), (model.ok() ? "" : model.error().what));
    CHECK(names(model.value()) == "config.json model.safetensors tokenizer.json");
    CHECK(test::read_file(to + "/config.json") == "{}");
    CHECK(test::read_file(to + "/tokenizer.json") == "{\"t\":1}");
    CHECK(test::read_file(to + "/model.safetensors") == weights);
  }
  // Gone on with where it broke off.
  const std::string to = dir.path + "/part";
  test::write_file(to + "/.model.safetensors.part", weights.substr(0, 100'000));
  ModelImageOptions options;
  options.image = push.image("oras");
  options.to = to;
  options.docker_configs = {registry.config()};
  std::uint64_t missing = 0;
  options.watch.room = [&](std::uint64_t bytes) {
    missing = bytes;
    return ok();
  };
  CHECK(fetch_model_image(options).ok());
  CHECK(missing == 200'000 + 2 + 7);
  CHECK(test::read_file(to + "/model.safetensors") == weights);

  push.manifest("bare", push.of({push.blob("{}", file, titled("config.json"))}, oci,
                                "application/vnd.oci.empty.v1+json"));
  const auto bare = fetched(registry, push.image("bare"), dir.path + "/bare");
  REQUIRE_FALSE(bare.ok());
  CHECK(bare.error().what ==
        push.image("bare") +
            " has no tokenizer.json, *.safetensors: kairo's engine needs config.json, "
            "tokenizer.json and *.safetensors; put a converted model into the models folder");
  const auto none = fetched(registry, push.image("none"), dir.path + "/none");
  REQUIRE_FALSE(none.ok());
  CHECK(none.error().code == Code::invalid);
  const auto wrong = fetched(registry, push.image("oras"), dir.path + "/wrong", "other");
  REQUIRE_FALSE(wrong.ok());
  CHECK(wrong.error().code == Code::invalid);
}
