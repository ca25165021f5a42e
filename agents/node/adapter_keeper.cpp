// agents/node/adapter_keeper.cpp - pull, rename, POST.
#include "agents/node/adapter_keeper.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "agents/transfer/http.h"
#include "agents/transfer/pull.h"
#include "schemas/base/codec.h"
#include "schemas/base/digest.h"
#include "schemas/base/log.h"

namespace kairo::node {
namespace {
namespace fs = std::filesystem;
constexpr std::int64_t look_every_ms = 1'000, soon_ms = 100, again_max_ms = 60'000;
constexpr std::uint64_t adapter_bytes_max = 16ULL << 30;
constexpr std::uintmax_t file_bytes_max = 1 << 20;  // of wanted, told
constexpr const char *wanted_file = "wanted", *told_file = "told", *draft = ".coming";

fs::path adapters_of(const std::string& dir) {
  return fs::path(dir) / "adapters";
}
std::string text_in(const fs::path& file) {
  std::error_code error;
  if (fs::file_size(file, error) > file_bytes_max || error) return {};
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
Status write_whole(const fs::path& file, const std::string& text) {
  const fs::path fresh = file.string() + ".new";
  std::ofstream out(fresh, std::ios::binary);
  out << text;
  out.close();
  std::error_code error;
  if (out) fs::rename(fresh, file, error);
  if (out && !error) return ok();
  return Error{Code::unavailable, "adapters: " + file.filename().string() + " cannot be written" +
                                      (error ? ": " + error.message() : "")};
}

struct Said {
  int status = 0;
  std::string body;
};
Result<Said> ask(const std::string& address, const std::string& path, const std::string& body,
                 const std::atomic<bool>* stop) {
  transfer::Http http("", stop);
  transfer::HttpCall call;
  call.url = TRY(transfer::parse_url("http://" + address + path));
  call.method = body.empty() ? "GET" : "POST";
  call.body = body;
  if (!body.empty()) call.headers = {"Content-Type: application/json"};
  transfer::HttpAnswer answer = TRY(http.perform(call));
  return Said{answer.status, std::move(answer.body)};
}
Result<std::vector<ServedName>> ask_what_is_served(const std::string& address,
                                                   const std::atomic<bool>* stop) {
  const Said said = TRY(ask(address, "/v1/models", "", stop));
  if (said.status != 200) return Error{Code::unavailable, trouble_in(said.status, said.body)};
  auto served = served_in(said.body);
  if (!served) return Error{Code::unavailable, "the server's list of models cannot be read"};
  return *std::move(served);
}
Status post(const std::string& address, const char* path, const nlohmann::json& body,
            const std::atomic<bool>* stop) {
  const Said said = TRY(ask(address, path, body.dump(), stop));
  if (said.status == 200) return ok();
  return Error{Code::unavailable, trouble_in(said.status, said.body)};
}

std::string digest_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  Sha256 hash;
  std::string block(1 << 16, '\0');
  while (in.read(block.data(), static_cast<std::streamsize>(block.size())) || in.gcount() > 0)
    hash.update({block.data(), static_cast<std::size_t>(in.gcount())});
  return "sha256:" + hash.hex();
}
// A run's results, which another training of the same Workspace may write anew.
Status copy_results(const fs::path& from, const fs::path& to, const std::string& digest) {
  std::error_code error;
  for (const auto& file : fs::directory_iterator(from, error))
    if (file.is_regular_file(error)) fs::copy_file(file.path(), to / file.path().filename(), error);
  if (error)
    return Error{Code::unavailable,
                 "the adapter cannot be copied from its run: " + error.message()};
  if (digest_of(to / "adapter_model.safetensors") == digest) return ok();
  return Error{Code::unavailable, "the adapter in its run is another one by now"};
}
}  // namespace

Status AdapterKeeper::want(const wire::CommandT& command, const wire::ServeAdaptersT& wish) {
  std::error_code error;
  fs::create_directories(adapters_of(wish.run_dir), error);
  if (error)
    return Error{Code::unavailable, "adapters: their folder cannot be made: " + error.message()};
  TRY(write_whole(adapters_of(wish.run_dir) / wanted_file,
                  encode(command, wire::CommandIdentifier())));
  const std::scoped_lock lock(mutex_);
  Run& run = runs_[wish.run_dir];
  run.due_ms = 0;
  run.is_new = true;
  return ok();
}

// Runs that an earlier version made have no folder for adapters; a server that is made again is
// given one.
void AdapterKeeper::look() {
  const auto runs = deps_.dirs.list();
  if (!runs.ok()) return;
  std::set<std::string> there;
  for (const RunKey& run : runs.value()) {
    const std::string dir =
        fs::path(deps_.dirs.progress_file(run)).parent_path().parent_path().string();
    std::error_code error;
    fs::create_directory(adapters_of(dir), error);
    if (fs::exists(adapters_of(dir) / wanted_file, error)) there.insert(dir);
  }
  const std::scoped_lock lock(mutex_);
  for (const std::string& dir : there) runs_.try_emplace(dir);
  std::erase_if(runs_, [&](const auto& entry) {
    return !entry.second.is_running && !there.contains(entry.first);
  });
}

bool AdapterKeeper::step() {
  std::string dir;
  Run* run = nullptr;  // of a map: it stays where it is while it is running
  {
    const std::scoped_lock lock(mutex_);
    const std::int64_t now = deps_.clock.monotonic_ms();
    const auto due = std::ranges::find_if(runs_, [&](const auto& entry) {
      return !entry.second.is_running && entry.second.due_ms <= now;
    });
    if (due == runs_.end() || stop_) return false;
    dir = due->first;
    run = &due->second;
    run->is_running = true;
    if (std::exchange(run->is_new, false)) run->tries.clear();
    run->due_ms = now + look_every_ms;
  }
  const bool is_settled = tend(dir, *run);
  const std::scoped_lock lock(mutex_);
  run->is_running = false;
  if (!is_settled) run->due_ms = std::min(run->due_ms, deps_.clock.monotonic_ms() + soon_ms);
  return true;
}

Status AdapterKeeper::bring(const wire::CommandT& command, const wire::WantedAdapterT& wanted,
                            const std::string& dir) {
  const std::string name = folder_of(wanted.name, wanted.digest);
  if (name.empty())
    return Error{Code::invalid, "its digest is none that is known: " + wanted.digest};
  const fs::path to = adapters_of(dir) / name, fresh = adapters_of(dir) / (draft + name);
  std::error_code error;
  if (fs::is_directory(to, error)) return ok();
  fs::remove_all(fresh, error);
  fs::create_directories(fresh, error);
  if (error) return Error{Code::unavailable, "adapters: " + error.message()};
  Status done = ok();
  if (wanted.image.empty()) {
    done = copy_results(wanted.folder, fresh, wanted.digest);
  } else {
    transfer::PullOptions pull;
    pull.image = wanted.image;
    pull.to = fresh.string();
    pull.bytes_max = adapter_bytes_max;
    pull.registry.stop = &stop_;
    if (!wanted.secret.empty())
      pull.docker_configs.push_back(TRY(deps_.pull_config(command.ns, wanted.secret)));
    done = transfer::pull(pull);
  }
  if (done.ok()) fs::rename(fresh, to, error);
  if (done.ok() && !error) return ok();
  const std::string why = done.ok() ? error.message() : done.error().what;
  fs::remove_all(fresh, error);
  return Error{Code::unavailable, why};
}

// "": it is there. Tried again, later and later.
std::string AdapterKeeper::try_to_load(const wire::CommandT& command,
                                       const wire::WantedAdapterT& wanted, Run& run,
                                       std::vector<ServedName>* served) {
  const wire::ServeAdaptersT& wish = *command.body.AsServeAdapters();
  const std::string folder = folder_of(wanted.name, wanted.digest);
  Try& tried = run.tries[folder];
  if (deps_.clock.monotonic_ms() < tried.not_before_ms) return tried.trouble;
  Status done = bring(command, wanted, wish.run_dir);
  if (done.ok() && served == nullptr) return "the server does not answer: " + run.silence;
  if (done.ok()) {
    const bool is_there = find(*served, wanted.name) != nullptr;
    done = post(wish.address, "/v1/load_lora_adapter",
                {{"lora_name", wanted.name}, {"lora_path", folder}, {"load_inplace", is_there}},
                &stop_);
  }
  if (done.ok()) {
    log::info("an adapter is served", {{"workspace", command.ns + "/" + command.name},
                                       {"adapter", wanted.name},
                                       {"digest", wanted.digest}});
    run.tries.erase(folder);
    std::erase_if(*served, [&](const ServedName& model) { return model.name == wanted.name; });
    served->push_back({wanted.name, wanted.digest});
    return {};
  }
  const std::int64_t pause_ms =
      std::min(std::int64_t{1'000} << std::min(tried.failures++, 6), again_max_ms);
  tried.not_before_ms = deps_.clock.monotonic_ms() + pause_ms;
  return tried.trouble =
             done.error().what + " (tried again in " + std::to_string(pause_ms / 1000) + " s)";
}

// What is neither wanted nor served goes: who asked it has it mapped.
void AdapterKeeper::clean(const std::string& dir, const wire::ServeAdaptersT& wish,
                          const std::vector<ServedName>& served) {
  std::set<std::string> kept;
  for (const auto& wanted : wish.adapters) kept.insert(folder_of(wanted->name, wanted->digest));
  for (const ServedName& model : served) kept.insert(folder_of(model.name, model.digest));
  std::error_code error;
  std::vector<fs::path> old;
  for (const auto& entry : fs::directory_iterator(adapters_of(dir), error))
    if (entry.is_directory(error) && !kept.contains(entry.path().filename().string()))
      old.push_back(entry.path());
  for (const fs::path& folder : old) fs::remove_all(folder, error);
}

bool AdapterKeeper::tend(const std::string& dir, Run& run) {
  const auto command =
      decode<wire::CommandT>(text_in(adapters_of(dir) / wanted_file), wire::CommandIdentifier());
  if (!command.ok() || command.value().body.type != wire::CommandBody::ServeAdapters) return true;
  const wire::ServeAdaptersT& wish = *command.value().body.AsServeAdapters();
  const auto told =
      decode<wire::FactT>(text_in(adapters_of(dir) / told_file), wire::FactIdentifier());
  const wire::ServingT* before = told.ok() ? told.value().body.AsServing() : nullptr;
  auto asked = ask_what_is_served(wish.address, &stop_);
  run.silence = asked.ok() ? "" : asked.error().what;
  std::vector<ServedName> served =
      asked.ok() ? std::move(asked).value() : std::vector<ServedName>();
  for (const std::string& name : to_unload(served, wish))
    if (post(wish.address, "/v1/unload_lora_adapter", {{"lora_name", name}}, &stop_).ok())
      std::erase_if(served, [&](const ServedName& model) { return model.name == name; });
  wire::ServingT now;
  now.revision = command.value().revision;
  now.node = deps_.self;
  std::vector<ServedName>* const seen = run.silence.empty() ? &served : nullptr;
  bool is_settled = seen != nullptr;
  for (const auto& wanted : wish.adapters) {
    const ServedName* model = seen == nullptr ? nullptr : find(*seen, wanted->name);
    const bool is_there = model != nullptr && model->digest == wanted->digest;
    const std::string trouble = is_there ? "" : try_to_load(command.value(), *wanted, run, seen);
    is_settled = is_settled && trouble.empty();
    const wire::ServedAdapterT* last = nullptr;
    if (before != nullptr)
      for (const auto& one : before->adapters)
        if (one->name == wanted->name) last = one.get();
    now.adapters.push_back(std::make_unique<wire::ServedAdapterT>(
        told_of(*wanted, seen, last, trouble, deps_.clock.now_ms())));
  }
  const bool is_news = before == nullptr || *before != now;
  if (is_settled && (is_news || !run.is_told)) clean(dir, wish, served);
  if (is_news || !run.is_told) tell(command.value(), dir, now);
  run.is_told = true;
  return is_settled;
}

void AdapterKeeper::tell(const wire::CommandT& command, const std::string& dir,
                         const wire::ServingT& now) {
  const wire::FactT fact = runtime::fact_about(command, wire::ServingT(now));
  const Status kept =
      write_whole(adapters_of(dir) / told_file, encode(fact, wire::FactIdentifier()));
  if (!kept.ok()) log::warn("what is served cannot be noted", {{"error", kept.error().what}});
  deps_.observe(fact);
}
}  // namespace kairo::node
