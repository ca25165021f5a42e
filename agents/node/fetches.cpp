// agents/node/fetches.cpp - wishes -> one fetch at a time per model -> words.
#include "agents/node/fetches.h"

#include <algorithm>
#include <fstream>

#include "schemas/base/bytes.h"
#include "schemas/base/log.h"

namespace kairo::node {
namespace {
constexpr std::int64_t word_every_ms = 1'000, long_silence_ms = 10'000;

std::string entry_for(const Wish& wish) {
  return entry_of(wish.preset, wish.image);
}
std::vector<std::string> secrets_of(const Wish& wish) {  // "namespace/name"
  std::vector<std::string> out;
  if (wish.image.empty() && !wish.secret.empty()) out.push_back(wish.ns + "/" + wish.secret);
  if (!wish.image.empty())
    for (const std::string& name : wish.pull_secrets) out.push_back(wish.ns + "/" + name);
  return out;
}
}  // namespace

std::int64_t pause_after(int failures, bool refused, std::int64_t retry_after_s) {
  std::int64_t pause = refused ? fetch_refused_again_ms : fetch_again_ms;
  for (int i = 1; i < failures && pause < fetch_again_max_ms; ++i) pause *= 2;
  pause = std::min(pause, fetch_again_max_ms);
  return std::max(pause, std::min(retry_after_s, fetch_asked_max_ms / 1000) * 1000);
}

void Fetches::tell(const Fetch& fetch, const Wish& wish) const {
  wire::RunDirT dir;
  dir.revision = wish.revision;
  dir.node = deps_.self;
  dir.place = wish.place;
  if (fetch.error.empty()) {
    dir.state = wire::RunDirState::Fetching;
    dir.reason = "WeightsDownloading";
    dir.source = fetch.told.source;
    dir.done = fetch.told.done;
    dir.total = fetch.told.total;
    if (deps_.volume) dir.volume = deps_.volume(wish.ns);
    dir.message = fetch.told.total == 0
                      ? "weights: asking for them"
                      : "weights: " + bytes_of_bytes(dir.done, dir.total) + " from " + dir.source;
  } else {
    dir.state = wire::RunDirState::Failed;
    dir.reason = fetch.is_refused ? "WeightsRefused" : "WeightsNotFetched";
    dir.message = "weights: " + fetch.error;
  }
  deps_.observe(runtime::fact_about(wish, std::move(dir)));
}
void Fetches::tell_all(const Fetch& fetch) const {
  for (const auto& [uid, wish] : fetch.wishes) tell(fetch, wish);
}

Status Fetches::want(const Wish& wish) {
  const catalogue::Preset* preset = catalogue::find_preset(wish.preset);
  const std::string entry = entry_for(wish);
  const std::lock_guard lock(mutex_);
  const bool is_here = deps_.cache.has(entry);
  if (is_here) deps_.cache.note_use(entry);
  const bool can_fetch =
      preset != nullptr && (!wish.image.empty() || deps_.cache.can_fetch(*preset));
  if (is_here || !can_fetch) {
    if (const auto found = fetches_.find(entry); found != fetches_.end()) {
      found->second->wishes.erase(wish.uid);
      if (found->second->wishes.empty() && !found->second->is_running) fetches_.erase(found);
    }
    return ok();
  }
  for (auto& [name, other] : fetches_) {  // a new revision may want another preset
    if (name == entry || other->wishes.erase(wish.uid) == 0) continue;
    if (other->wishes.empty()) other->stop = true;
  }
  std::shared_ptr<Fetch>& fetch = fetches_[entry];
  if (!fetch) fetch = std::make_shared<Fetch>();
  const auto known = fetch->wishes.find(wish.uid);
  const bool is_news = known == fetch->wishes.end() || known->second.revision != wish.revision ||
                       known->second.place != wish.place;
  fetch->wishes[wish.uid] = wish;
  // A Secret that was not shown yet is worth a new try; another Workspace alone is not.
  for (const std::string& secret : secrets_of(wish))
    if (fetch->is_refused && !fetch->shown.contains(secret)) fetch->not_before_ms = 0;
  if (is_news) tell(*fetch, wish);
  return Error{Code::pending, "the weights of " + wish.preset + " are on their way"};
}

void Fetches::forget(const std::string& uid) {
  const std::lock_guard lock(mutex_);
  for (auto at = fetches_.begin(); at != fetches_.end();) {
    Fetch& fetch = *at->second;
    fetch.wishes.erase(uid);
    if (fetch.wishes.empty()) fetch.stop = true;
    at = fetch.wishes.empty() && !fetch.is_running ? fetches_.erase(at) : std::next(at);
  }
}

void Fetches::stop() {
  const std::lock_guard lock(mutex_);
  is_stopped_ = true;
  for (auto& [preset, fetch] : fetches_) fetch->stop = true;
}

Fetches::Tokens Fetches::tokens_of(const std::map<std::string, Wish>& wishes) const {
  Tokens out;
  std::set<std::string> seen;
  const bool is_image = !wishes.begin()->second.image.empty();  // all are of one entry
  const auto& read = is_image ? deps_.pull_config : deps_.token;
  for (const auto& [uid, wish] : wishes)
    for (const std::string& secret : secrets_of(wish)) {
      if (!seen.insert(secret).second) continue;
      auto text = read(wish.ns, secret.substr(wish.ns.size() + 1));
      if (text.ok())
        (is_image ? out.configs : out.texts).push_back(std::move(text).value());
      else
        out.trouble = text.error().what;
    }
  if (is_image || deps_.token_file.empty()) return out;
  std::ifstream in(deps_.token_file);
  std::string line;
  if (std::getline(in, line) && !line.empty()) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    out.texts.push_back(line);
  } else if (out.trouble.empty()) {
    out.trouble = "hub-token-file cannot be read, or is empty";
  }
  return out;
}

void Fetches::on_progress(Fetch& fetch, const FetchTold& told) {
  const std::lock_guard lock(mutex_);
  const std::int64_t now = deps_.clock.monotonic_ms();
  const bool is_first = fetch.told.total == 0 && told.total > 0;
  fetch.told = told;
  const std::uint64_t step = std::max<std::uint64_t>(told.total / 200, 1);
  const bool is_more = told.done >= fetch.told_bytes + step || told.done < fetch.told_bytes ||
                       now - fetch.told_ms >= long_silence_ms;
  if (!is_first && (now - fetch.told_ms < word_every_ms || !is_more)) return;
  fetch.told_ms = now;
  fetch.told_bytes = told.done;
  fetch.error.clear();
  fetch.failures = 0;  // it answers
  tell_all(fetch);
}

void Fetches::on_end(const std::string& entry, Fetch& fetch, const Status& done,
                     std::int64_t asked_s) {
  const std::lock_guard lock(mutex_);
  fetch.is_running = false;
  if (done.ok() || fetch.wishes.empty() || is_stopped_) {
    if (done.ok()) log::info("the weights are here", {{"model", entry}});
    fetches_.erase(entry);  // whoever wanted it asks again, and finds it
    return;
  }
  if (done.error().code == Code::conflict) {  // stopped, and wanted again since
    fetch.stop = false;
    fetch.not_before_ms = 0;
    return;
  }
  fetch.is_refused = done.error().code == Code::invalid;
  const std::int64_t pause = pause_after(++fetch.failures, fetch.is_refused, asked_s);
  fetch.not_before_ms = deps_.clock.monotonic_ms() + pause;
  if (asked_s > 0) hub_not_before_ms_ = std::max(hub_not_before_ms_, fetch.not_before_ms);
  fetch.error =
      done.error().what + " (tried again in " + std::to_string((pause + 999) / 1000) + " s)";
  fetch.told_ms = 0;
  log::warn("the weights could not be fetched", {{"model", entry}, {"error", fetch.error}});
  tell_all(fetch);
}

std::shared_ptr<Fetches::Fetch> Fetches::next_due() {
  const std::int64_t now = deps_.clock.monotonic_ms();
  if (is_stopped_ || now < hub_not_before_ms_) return nullptr;
  for (auto& [preset, fetch] : fetches_)
    if (!fetch->is_running && !fetch->wishes.empty() && fetch->not_before_ms <= now) return fetch;
  return nullptr;
}

bool Fetches::step() {
  std::shared_ptr<Fetch> fetch;
  std::map<std::string, Wish> wishes;
  {
    const std::lock_guard lock(mutex_);
    fetch = next_due();
    if (fetch == nullptr) return false;
    fetch->is_running = true;
    fetch->stop = false;
    wishes = fetch->wishes;
    for (const auto& [uid, wish] : wishes)
      for (const std::string& secret : secrets_of(wish)) fetch->shown.insert(secret);
  }
  const Wish& wish = wishes.begin()->second;
  const Tokens tokens = tokens_of(wishes);
  FetchAsk ask{*catalogue::find_preset(wish.preset)};
  ask.tokens = tokens.texts;
  ask.image = wish.image;
  ask.configs = tokens.configs;
  ask.entry = entry_for(wish);
  ask.pins = deps_.in_use ? deps_.in_use() : std::set<std::string>{};
  ask.stop = &fetch->stop;
  ask.told = [&](const FetchTold& told) { on_progress(*fetch, told); };
  std::int64_t asked_s = 0;
  Status done = deps_.cache.fetch(ask, asked_s);
  if (!done.ok() && done.error().code == Code::invalid && !tokens.trouble.empty())
    done = Error{Code::invalid, done.error().what + "; " + tokens.trouble};
  on_end(ask.entry, *fetch, done, asked_s);
  return true;
}
}  // namespace kairo::node
