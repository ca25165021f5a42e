// What this proves: a file is on disk whole or not at all, in every life of the gateway; uploads
// add up.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "agents/gateway/file_store.h"
#include "tests/support/fake_clock.h"

using namespace kairo;
using namespace kairo::gateway;
using kairo::test::FakeClock;
namespace {
namespace fs = std::filesystem;
struct Folder {
  std::string path = (fs::temp_directory_path() / ("kairo-files-" + random_word(12))).string();
  ~Folder() { fs::remove_all(path); }
};
StoredFile keep(FileStore& store, const std::string& bytes, const std::string& purpose) {
  Draft draft = store.begin().value();
  CHECK(draft.append(bytes).ok());
  StoredFile about;
  about.filename = "a.jsonl";
  about.purpose = purpose;
  about.owner = "alice";
  return store.keep(std::move(draft), about).value();
}
std::string bytes_in(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
}  // namespace

TEST_CASE("a file outlives the gateway; a draft does not") {
  const Folder folder;
  FakeClock clock;
  std::string id, token;
  {
    auto store = FileStore::open(folder.path, clock).value();
    const StoredFile file =
        keep(*store, "{\"prompt\": \"p\", \"completion\": \"c\"}\n", "fine-tune");
    id = file.id, token = file.token;
    CHECK(file.rows.rows == 1);
    CHECK(file.token.size() == 40);
    const Draft draft = store->begin().value();
    fs::create_directories(folder.path + "/drafts/left");  // as by kill -9
    std::ofstream(folder.path + "/drafts/left/data") << "half";
    fs::create_directories(folder.path + "/files/file-half");  // never told to anybody
  }
  auto store = FileStore::open(folder.path, clock).value();
  CHECK(store->list().size() == 1);
  const auto found = store->find(id);
  REQUIRE(found.has_value());
  CHECK(found->token == token);
  CHECK(found->owner == "alice");
  CHECK(found->rows.dialect == Dialect::completions);
  CHECK(bytes_in(store->data_of(id)) == "{\"prompt\": \"p\", \"completion\": \"c\"}\n");
  CHECK(fs::is_empty(folder.path + "/drafts"));
  CHECK(store->bytes_of("alice") == 35);
  CHECK(store->bytes_of("bob") == 0);
  CHECK(store->remove(id).ok());
  CHECK(store->remove(id).error().code == Code::not_found);
  CHECK_FALSE(FileStore::open(folder.path, clock).value()->find(id).has_value());
}
TEST_CASE("a file that expires") {
  const Folder folder;
  FakeClock clock;
  auto store = FileStore::open(folder.path, clock).value();
  Draft draft = store->begin().value();
  CHECK(draft.append("x").ok());
  StoredFile about;
  about.purpose = "user_data";
  about.expires_s = clock.now_ms() / 1000 + 3600;
  const std::string id = store->keep(std::move(draft), about).value().id;
  CHECK(store->find(id).has_value());
  clock.advance(3'601'000);
  CHECK_FALSE(store->find(id).has_value());
  CHECK_FALSE(fs::exists(folder.path + "/files/" + id));
}
TEST_CASE("an upload of parts, over two lives") {
  const Folder folder;
  FakeClock clock;
  std::string id;
  std::vector<std::string> parts;
  {
    auto store = FileStore::open(folder.path, clock).value();
    Upload about;
    about.filename = "b.jsonl";
    about.purpose = "user_data";
    about.bytes = 6;
    id = store->begin_upload(about).value().id;
    for (const char* bytes : {"abc", "def"}) {
      Draft draft = store->begin().value();
      CHECK(draft.append(bytes).ok());
      parts.push_back(store->keep_part(id, std::move(draft)).value());
    }
  }
  auto store = FileStore::open(folder.path, clock).value();
  CHECK(store->complete(id, {parts[0]}, "").error().what ==
        "the parts have 3 bytes together, the upload was announced with 6");
  CHECK(store->complete(id, {"part_x"}, "").error().what ==
        "part_ids names part_x, which is no part of this upload");
  CHECK(store->complete(id, {parts[1], parts[0]}, "00").error().what ==
        "md5 is not that of the parts together");
  const auto file = store->complete(id, {parts[1], parts[0]}, "3d43648e11815c5ded9f8578896ba454");
  if (!file.ok()) MESSAGE(file.error().what);
  REQUIRE(file.ok());
  CHECK(bytes_in(store->data_of(file.value().id)) == "defabc");
  CHECK(store->find_upload(id)->status == "completed");
  CHECK(store->complete(id, parts, "").value().id == file.value().id);  // the answer was lost
  CHECK(store->cancel_upload(id).error().what == "the upload is completed already");
}
