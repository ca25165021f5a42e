// agents/node/model_cache.cpp - draft, lock, rename.
#include "agents/node/model_cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "agents/node/model_room.h"
#include "agents/node/models.h"
#include "agents/transfer/hub.h"
#include "agents/transfer/model_image.h"
#include "schemas/base/digest.h"
#include "schemas/base/log.h"

namespace kairo::node {
namespace {
namespace fs = std::filesystem;
using Json = nlohmann::json;
constexpr const char* source_file = ".source.json";
constexpr const char* draft_note = ".from.json";
constexpr std::int64_t just_used_ms = 60'000;  // its run directory may be being made

Json read_json(const std::string& path) {
  std::ifstream in(path);
  return Json::parse(in, nullptr, false);
}
std::string word_of(const Json& json, const char* key) {
  return json.is_object() && json.contains(key) && json[key].is_string()
             ? json[key].get<std::string>()
             : "";
}
Status write_json(const std::string& path, const Json& json) {
  std::ofstream out(path + ".new", std::ios::trunc);
  out << json.dump(1) << "\n";
  out.close();
  std::error_code error;
  if (out) fs::rename(path + ".new", path, error);
  if (!out || error)
    return Error{Code::unavailable, "models folder: write " + fs::path(path).filename().string() +
                                        ": the disk refuses"};
  return ok();
}
Error in_the_way(const std::string& what, const std::error_code& error) {
  return {Code::unavailable, "models folder: " + what + ": " + error.message()};
}
CachedModel about(const fs::path& folder, const std::set<std::string>& pins, std::int64_t now_ms) {
  CachedModel out;
  out.name = folder.filename().string();
  out.used_ms = parse_rfc3339(word_of(read_json(folder / source_file), "lastUsed"));
  bool is_linked = false;
  std::error_code error;
  for (const auto& file : fs::directory_iterator(folder, error)) {
    struct stat s {};
    if (::lstat(file.path().c_str(), &s) != 0 || !S_ISREG(s.st_mode)) continue;
    out.bytes += static_cast<std::uint64_t>(s.st_size);
    if (s.st_nlink > 1) is_linked = true;
    if (s.st_nlink <= 1) out.freed_bytes += static_cast<std::uint64_t>(s.st_blocks) * 512;
  }
  out.is_pinned = is_linked || pins.contains(out.name) || now_ms - out.used_ms < just_used_ms;
  return out;
}
}  // namespace

std::string entry_of(const std::string& preset, const std::string& image) {
  return image.empty() ? preset : preset + "@" + sha256_hex(image).substr(0, 12);
}
bool is_model(const std::string& folder) {
  std::error_code ignored;
  return fs::is_regular_file(fs::path(folder) / "config.json", ignored) &&
         fs::is_regular_file(fs::path(folder) / "tokenizer.json", ignored);
}

// What is being fetched of one model; the lock is held as long as it lives.
class ModelCache::Draft {
 public:
  Draft(const std::string& models, const std::string& preset)
      : folder((fs::path(models) / ".fetching" / preset).string()) {}
  ~Draft() {
    if (lock_ >= 0) close(lock_);
  }
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;
  Status open() {
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) return in_the_way("create a folder", error);
    lock_ = ::open((folder + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock_ < 0 || flock(lock_, LOCK_EX | LOCK_NB) != 0)
      return Error{Code::unavailable, "another process of this machine fetches it"};
    return ok();
  }
  // The revision of `source` that lies here; "" = none.
  std::string revision_from(const std::string& source) const {
    const Json note = read_json(folder + "/" + draft_note);
    return word_of(note, "source") == source ? word_of(note, "revision") : "";
  }
  // Another revision's files are thrown away.
  Status pin(const std::string& source, const std::string& revision) const {
    if (revision_from(source) == revision) return ok();
    std::error_code error;
    for (const auto& file : fs::directory_iterator(folder, error)) fs::remove_all(file, error);
    if (error) return in_the_way("clear a draft", error);
    return write_json(folder + "/" + draft_note, {{"source", source}, {"revision", revision}});
  }
  const std::string folder;

 private:
  int lock_ = -1;
};

bool ModelCache::has(const std::string& preset) const {
  return is_model(path_of(preset));
}
std::vector<std::string> ModelCache::sources() const {
  std::vector<std::string> out;
  if (!settings_.hub.empty()) out.emplace_back("hub");
  if (!settings_.registry.empty()) out.emplace_back("image");
  out.emplace_back("named");  // images that Workspaces name
  return out;
}
bool ModelCache::can_fetch(const catalogue::Preset& preset) const {
  return catalogue::can_fetch(preset, sources());
}
void ModelCache::note_use(const std::string& preset) const {
  const std::string file = path_of(preset) + "/" + source_file;
  Json json = read_json(file);
  if (!json.is_object()) return;  // the user's own
  json["lastUsed"] = rfc3339(clock_.now_ms());
  (void)write_json(file, json);  // it only orders
}

Status ModelCache::make_room(const FetchAsk& ask, std::uint64_t missing) const {
  struct statvfs disk {};
  if (::statvfs(settings_.folder.c_str(), &disk) != 0)
    return Error{Code::unavailable, "the models folder's disk cannot be read"};
  std::vector<CachedModel> models;
  std::error_code error;
  for (const auto& folder : fs::directory_iterator(settings_.folder, error))
    if (fs::exists(folder.path() / source_file, error))
      models.push_back(about(folder.path(), ask.pins, clock_.now_ms()));
  const Room room{missing, static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize,
                  settings_.keep_free_bytes, settings_.limit_bytes};
  for (const std::string& name : TRY(models_to_remove(std::move(models), room))) {
    const std::string gone = settings_.folder + "/.fetching/" + name + ".gone";
    fs::rename(path_of(name), gone, error);  // at once: nobody finds half of it
    fs::remove_all(gone, error);
    log::info("a model is removed to make room", {{"model", name}, {"for", ask.preset.name}});
  }
  return ok();
}

transfer::ModelWatch ModelCache::watch(const FetchAsk& ask, const Draft& draft,
                                       const std::string& source) const {
  transfer::ModelWatch out;
  out.pinned = [&draft, source](const std::string& revision) {
    return draft.pin(source, revision);
  };
  out.room = [this, &ask](std::uint64_t missing) { return make_room(ask, missing); };
  out.progress = [&ask, source](std::uint64_t done, std::uint64_t total) {
    if (ask.told) ask.told({source, done, total});
  };
  return out;
}

Status ModelCache::from_hub(const FetchAsk& ask, const Draft& draft,
                            std::int64_t& retry_after_s) const {
  const std::string source = settings_.hub + "/" + ask.preset.hf_id;
  transfer::HubOptions options;
  options.base = settings_.hub;
  options.id = ask.preset.hf_id;
  options.to = draft.folder;
  options.tokens = ask.tokens;
  options.ca_file = settings_.ca_file;
  options.stop = ask.stop;
  options.watch = watch(ask, draft, source);
  const std::string pinned = draft.revision_from(source);
  options.revision = pinned.empty() ? ask.preset.revision : pinned;
  auto model = transfer::fetch_from_hub(options, retry_after_s);
  const bool is_gone = !model.ok() && model.error().code == Code::invalid;
  if (is_gone && options.revision != ask.preset.revision) {  // that commit is there no more
    options.revision = ask.preset.revision;
    model = transfer::fetch_from_hub(options, retry_after_s);
  }
  return finish(draft, source, TRY(model));
}

Status ModelCache::from_image(const FetchAsk& ask, const Draft& draft,
                              const std::string& image) const {
  transfer::ModelImageOptions options;
  options.image = image;
  options.to = draft.folder;
  options.registry.ca_file = settings_.ca_file;
  options.registry.stop = ask.stop;
  options.docker_configs = ask.configs;
  if (!settings_.registry_config.empty()) {
    std::ifstream in(settings_.registry_config);
    std::ostringstream text;
    text << in.rdbuf();
    if (!in || text.str().empty())
      return Error{Code::unavailable, "preset-registry-config cannot be read"};
    options.docker_configs.push_back(text.str());
  }
  options.watch = watch(ask, draft, image);
  return finish(draft, image, TRY(transfer::fetch_model_image(options)));
}

Status ModelCache::finish(const Draft& draft, const std::string& source,
                          const transfer::FetchedModel& model) const {
  const std::string now = rfc3339(clock_.now_ms());
  Json files = Json::array();
  for (const transfer::ModelFile& file : model.files) {
    files.push_back({{"name", file.name}, {"bytes", file.bytes}});
    if (!file.sha256.empty()) files.back()["sha256"] = file.sha256;
  }
  std::error_code error;
  for (const auto& file : fs::directory_iterator(draft.folder, error))
    if (file.path().filename().string().starts_with('.') && file.path().filename() != draft_note)
      fs::remove_all(file, error);
  TRY(write_json(draft.folder + "/" + source_file, {{"source", source},
                                                    {"revision", model.revision},
                                                    {"fetchedAt", now},
                                                    {"lastUsed", now},
                                                    {"files", files}}));
  const std::string to = path_of(fs::path(draft.folder).filename().string());
  fs::rename(draft.folder, to, error);
  if (error) return in_the_way("rename " + fs::path(to).filename().string(), error);
  fs::remove(to + "/" + draft_note, error);
  return ok();
}

Status ModelCache::fill(const FetchAsk& ask, const Draft& draft,
                        std::int64_t& retry_after_s) const {
  if (!ask.image.empty()) return from_image(ask, draft, ask.image);
  const bool has_hub = !settings_.hub.empty() && !ask.preset.hf_id.empty();
  if (!settings_.registry.empty() && !ask.preset.image.empty()) {
    Status done = from_image(ask, draft, settings_.registry + "/" + ask.preset.image);
    // One that does not answer may have most of it already: the hub only where there is no image.
    if (done.ok() || !has_hub || done.error().code != Code::invalid) return done;
    log::warn("the preset's image is of no use; the hub is asked",
              {{"preset", ask.preset.name}, {"why", done.error().what}});
  }
  if (has_hub) return from_hub(ask, draft, retry_after_s);
  return Error{Code::not_found, "there is no source for the weights of " + ask.preset.name +
                                    ": set hub or preset-registry, or put config.json, "
                                    "tokenizer.json and *.safetensors into the models folder"};
}

Status ModelCache::fetch(const FetchAsk& ask, std::int64_t& retry_after_s) const {
  retry_after_s = 0;
  const std::string& name = ask.entry.empty() ? ask.preset.name : ask.entry;
  Draft draft(settings_.folder, name);
  TRY(draft.open());
  if (has(name)) return ok();
  std::error_code error;
  if (fs::exists(path_of(name), error) && !fs::is_empty(path_of(name), error))
    return Error{Code::unavailable, "the models folder has a " + name +
                                        " without config.json or tokenizer.json: complete it, or "
                                        "remove it"};
  Status done = fill(ask, draft, retry_after_s);
  if (!done.ok() && has(name)) return ok();  // somebody put it there meanwhile
  return done;
}
}  // namespace kairo::node
