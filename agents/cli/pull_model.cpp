// agents/cli/pull_model.cpp - `kairo pull-model`: fills the models folder by hand, as the node
// agent does it.
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <utility>

#include "agents/cli/cli.h"
#include "schemas/base/bytes.h"

namespace kairo::cli {
namespace {
class Bar {  // one line that changes on a terminal; a line each ten seconds elsewhere
 public:
  explicit Bar(std::string name) : name_(std::move(name)) {}
  void show(const node::FetchTold& told) {
    const std::int64_t now = clock_.monotonic_ms();
    if (now - shown_ms_ < (terminal_ ? 200 : 10'000) && told.done != told.total) return;
    if (shown_ms_ == 0) from_ = {now, told.done};
    shown_ms_ = now;
    const std::int64_t ms = std::max<std::int64_t>(now - from_.first, 1);
    const std::uint64_t rate =
        (told.done - std::min(told.done, from_.second)) * 1000 / static_cast<std::uint64_t>(ms);
    std::string line = name_ + "  ";
    constexpr std::size_t cells = 24;
    const std::size_t full = told.total == 0 ? 0 : told.done * cells / told.total;
    if (terminal_) line += "[" + std::string(full, '#') + std::string(cells - full, '.') + "]  ";
    line += bytes_of_bytes(told.done, told.total) + "  " + bytes_in_words(rate) + "/s";
    std::cerr << (terminal_ ? "\r\033[K" : "") << line << (terminal_ ? "" : "\n") << std::flush;
  }
  ~Bar() {
    if (terminal_ && shown_ms_ != 0) std::cerr << "\n";
  }

 private:
  const bool terminal_ = isatty(2) == 1;
  const SystemClock clock_{};
  const std::string name_;
  std::int64_t shown_ms_ = 0;
  std::pair<std::int64_t, std::uint64_t> from_;
};
}  // namespace

Status pull_model(Context& context, const PullModelOptions& options) {
  const catalogue::Preset* preset = catalogue::find_preset(options.name);
  if (preset == nullptr)
    return Error{Code::not_found, "no preset is called \"" + options.name +
                                      "\"; docs/models.md names those that the engine runs"};
  const SystemClock clock;
  std::error_code error;
  std::filesystem::create_directories(options.cache.folder, error);
  const node::ModelCache cache(options.cache, clock);
  node::FetchAsk ask{*preset};
  ask.image = options.image;
  ask.stop = &context.stop;
  for (const std::string& token : {options.token, options.file_token})
    if (!token.empty()) ask.tokens.push_back(token);
  if (cache.has(preset->name)) {
    std::cout << preset->name << " is here: " << for_people(cache.path_of(preset->name)) << "\n";
    return ok();
  }
  Bar bar(preset->name);
  ask.told = [&](const node::FetchTold& told) { bar.show(told); };
  std::int64_t asked_s = 0;
  TRY(cache.fetch(ask, asked_s));
  std::cout << preset->name << " is in " << for_people(cache.path_of(preset->name)) << "\n";
  return ok();
}
}  // namespace kairo::cli
