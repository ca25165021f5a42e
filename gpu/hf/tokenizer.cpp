// gpu/hf/tokenizer.cpp - Tokenizer over the Rust crate, and what tokenizer_config.json says.
#include "gpu/hf/tokenizer.h"

#include <sys/stat.h>

#include <limits>

#include "gpu/formats/files.h"
#include "gpu/formats/json.h"
#include "gpu/hf/chat_templates.h"
#include "gpu/hf/owned.h"

namespace kairo::gpu {
namespace {
using Json = nlohmann::ordered_json;
constexpr std::int64_t tokenizer_bytes_max = 256 << 20, config_bytes_max = 16 << 20;
// What transformers' special_tokens_map can hold: the template sees those that the model names.
constexpr const char* special_tokens[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                          "pad_token", "cls_token", "mask_token"};
constexpr std::size_t text_bytes_max = std::size_t{64} << 20;

bool file_there(const std::string& path) {
  struct stat s;
  return ::stat(path.c_str(), &s) == 0;
}
// A special token is a string or {"content": string}; absent and null give "".
std::string token_text(const Json& config, const char* key) {
  const auto at = config.find(key);
  if (at == config.end()) return "";
  if (at->is_string()) return at->get<std::string>();
  if (at->is_object() && at->contains("content") && (*at)["content"].is_string())
    return (*at)["content"].get<std::string>();
  return "";
}
kh_text text_of(std::string_view text) {
  return {text.data(), text.size()};
}
Status check_size(std::string_view text) {
  if (text.size() <= text_bytes_max) return ok();
  return Error{Code::invalid, "tokenizer: the text has " + std::to_string(text.size()) +
                                  " bytes; at most " + std::to_string(text_bytes_max) +
                                  ": split it"};
}
std::vector<std::int32_t> signed_ids(std::span<const std::uint32_t> ids) {
  std::vector<std::int32_t> out;
  out.reserve(ids.size());
  for (const auto id : ids) out.push_back(static_cast<std::int32_t>(id));
  return out;
}
std::vector<std::pair<std::size_t, std::size_t>> pairs(std::span<const kh_range> ranges) {
  std::vector<std::pair<std::size_t, std::size_t>> out;
  out.reserve(ranges.size());
  for (const auto& r : ranges) out.emplace_back(r.begin, r.end);
  return out;
}
}  // namespace

bool is_template_text(std::string_view text_or_path) {
  return text_or_path.find_first_of("{}\n") != std::string_view::npos;
}

struct Tokenizer::Handle {
  kh_tokenizer* raw = nullptr;
  ChatTemplates chats;
  std::string special;  // a JSON object: the special tokens' texts by their names
  Handle() = default;
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { kh_tokenizer_free(raw); }
};
Tokenizer::Tokenizer(std::unique_ptr<Handle> handle) : handle_(std::move(handle)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Result<Tokenizer> Tokenizer::load(const std::string& folder) {
  const std::string path = folder + "/tokenizer.json";
  if (!file_there(path))
    return Error{Code::not_found, "load tokenizer " + path +
                                      ": no such file; the model folder must hold the tokenizer "
                                      "of the tokenizers library"};
  struct stat s;
  if (::stat(path.c_str(), &s) == 0 && s.st_size > tokenizer_bytes_max)
    return Error{Code::invalid, "load tokenizer " + path + ": " + std::to_string(s.st_size) +
                                    " bytes; at most " + std::to_string(tokenizer_bytes_max)};
  auto handle = std::make_unique<Handle>();
  OwnedBytes error;
  if (kh_tokenizer_load(path.data(), path.size(), &handle->raw, &error.raw) != 0)
    return Error{Code::invalid, "load tokenizer " + path + ": " + error.text()};
  Tokenizer out(std::move(handle));
  TRY(out.read_config(folder));
  return out;
}

Status Tokenizer::read_config(const std::string& folder) {
  const std::string path = folder + "/tokenizer_config.json";
  Json config = Json::object();
  if (file_there(path)) {
    const std::string text = TRY(read_file(path, config_bytes_max));
    auto parsed = parse_json_object<Json>(text);
    if (!parsed.ok()) return Error{Code::invalid, path + ": " + parsed.error().what};
    config = std::move(parsed).value();
  }
  Json special = Json::object();
  for (const auto* name : special_tokens) {
    const std::string token = token_text(config, name);
    if (!token.empty()) special[name] = token;
  }
  handle_->special = special.dump(-1, ' ', false, Json::error_handler_t::replace);
  handle_->chats = TRY(ChatTemplates::of_model(folder, config));
  const std::string bos = token_text(config, "bos_token");
  if (!bos.empty()) bos_ = id_of(bos);
  eos_text_ = token_text(config, "eos_token");
  if (!eos_text_.empty()) eos_ = id_of(eos_text_);
  return ok();
}

Result<std::vector<std::int32_t>> Tokenizer::encode(std::string_view text, bool add_special) const {
  TRY(check_size(text));
  OwnedIds ids;
  OwnedBytes error;
  if (kh_tokenizer_encode(handle_->raw, text.data(), text.size(), add_special, &ids.raw, nullptr,
                          &error.raw) != 0)
    return Error{Code::invalid, "encode text: " + error.text()};
  return signed_ids(ids.values());
}

Result<Encoding> Tokenizer::encode_with_ranges(std::string_view text, bool add_special) const {
  TRY(check_size(text));
  OwnedIds ids;
  OwnedRanges ranges;
  OwnedBytes error;
  if (kh_tokenizer_encode(handle_->raw, text.data(), text.size(), add_special, &ids.raw,
                          &ranges.raw, &error.raw) != 0)
    return Error{Code::invalid, "encode text: " + error.text()};
  return Encoding{signed_ids(ids.values()), pairs(ranges.values())};
}

Result<std::string> Tokenizer::decode(std::span<const std::int32_t> tokens,
                                      bool skip_special) const {
  std::vector<std::uint32_t> ids;
  ids.reserve(tokens.size());
  for (const auto token : tokens) {
    if (token < 0)
      return Error{Code::invalid, "decode: token " + std::to_string(token) + " is negative"};
    ids.push_back(static_cast<std::uint32_t>(token));
  }
  OwnedBytes text, error;
  if (kh_tokenizer_decode(handle_->raw, ids.data(), ids.size(), skip_special, &text.raw,
                          &error.raw) != 0)
    return Error{Code::invalid, "decode tokens: " + error.text()};
  return text.text();
}

void Chat::Free::operator()(kh_turns* turns) const {
  kh_turns_free(turns);
}

Result<Chat> Tokenizer::read_chat(std::string_view messages_json, std::string_view tools_json,
                                  std::string_view variables_json) const {
  Chat out;
  out.chat_ = TRY(handle_->chats.choose(!tools_json.empty()));
  out.time_s_ = chat_time_s_;
  TRY(check_size(messages_json));
  kh_turns* turns = nullptr;
  OwnedBytes error;
  if (kh_turns_read(text_of(messages_json), text_of(tools_json), text_of(handle_->special),
                    text_of(variables_json), &turns, &error.raw) != 0)
    return Error{Code::invalid, "apply chat template: " + error.text()};
  out.turns_.reset(turns);
  return out;
}

Result<RenderedChat> Chat::render(std::size_t messages, bool add_generation_prompt) const {
  OwnedBytes rendered, error;
  OwnedRanges ranges;
  int marked = 0;
  if (kh_chat_render(chat_, turns_.get(), messages, add_generation_prompt, time_s_, &rendered.raw,
                     &ranges.raw, &marked, &error.raw) != 0)
    return Error{Code::invalid, "apply chat template: " + error.text()};
  return RenderedChat{rendered.text(), marked != 0, pairs(ranges.values())};
}

Result<RenderedChat> Tokenizer::apply_chat(std::string_view messages_json,
                                           bool add_generation_prompt, std::string_view tools_json,
                                           std::string_view variables_json) const {
  const Chat chat = TRY(read_chat(messages_json, tools_json, variables_json));
  return chat.render(std::numeric_limits<std::size_t>::max(), add_generation_prompt);
}

Status Tokenizer::set_chat_template(const std::string& text_or_path) {
  const bool is_text = is_template_text(text_or_path);
  const std::string text = is_text ? text_or_path : TRY(read_template(text_or_path));
  handle_->chats = TRY(ChatTemplates::of_text(text));
  return ok();
}

bool Tokenizer::has_chat_template() const {
  return !handle_->chats.empty();
}

std::optional<std::int32_t> Tokenizer::id_of(const std::string& token) const {
  const std::int64_t id = kh_tokenizer_id(handle_->raw, token.data(), token.size());
  if (id < 0 || id > std::numeric_limits<std::int32_t>::max()) return std::nullopt;
  return static_cast<std::int32_t>(id);
}
}  // namespace kairo::gpu
