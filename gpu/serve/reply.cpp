// gpu/serve/reply.cpp
#include "gpu/serve/reply.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace kairo::gpu {
namespace {
using Ordered = nlohmann::ordered_json;

std::string text_of(const Ordered& json) {
  return json.dump(-1, ' ', false, Ordered::error_handler_t::replace);
}
std::string event_of(const Ordered& json) {
  return "data: " + text_of(json) + "\n\n";
}
Ordered usage_of(const Usage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.answer_tokens},
          {"total_tokens", usage.prompt_tokens + usage.answer_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}}};
}
Ordered head(const std::string& id, const char* object, std::int64_t created_s,
             const std::string& model) {
  return {{"id", id}, {"object", object}, {"created", created_s}, {"model", model}};
}
Ordered choice(Form form, int index, const char* where, const Ordered& text,
               const Ordered& logprobs, const Ordered& reason) {
  Ordered out = {{"index", index}};
  out[form == Form::chat ? where : "text"] = text;
  out["logprobs"] = logprobs;
  out["finish_reason"] = reason;
  return out;
}
float shown_logprob(float value) {
  return std::max(value, -9999.0f);  // JSON has no infinity
}
Ordered token_of(const std::string& bytes, float logprob) {
  return {{"token", bytes},
          {"logprob", shown_logprob(logprob)},
          {"bytes", std::vector<std::uint8_t>(bytes.begin(), bytes.end())}};
}
Ordered chat_logprobs(std::span<const ShownToken> shown) {
  Ordered list = Ordered::array();
  for (const ShownToken& token : shown) {
    Ordered one = token_of(token.bytes, token.logprob), best = Ordered::array();
    for (const auto& [bytes, logprob] : token.best) best.push_back(token_of(bytes, logprob));
    one["top_logprobs"] = best;
    list.push_back(one);
  }
  return {{"content", list}, {"refusal", nullptr}};
}
// Four lists, of which the offsets are the characters of the text before a token.
Ordered completion_logprobs(std::span<const ShownToken> shown, std::size_t at) {
  Ordered tokens = Ordered::array(), logprobs = tokens, best = tokens, offsets = tokens;
  for (const ShownToken& token : shown) {
    tokens.push_back(token.bytes);
    logprobs.push_back(shown_logprob(token.logprob));
    Ordered likely = Ordered::object();
    for (const auto& [bytes, logprob] : token.best) likely[bytes] = shown_logprob(logprob);
    likely[token.bytes] = shown_logprob(token.logprob);
    best.push_back(likely);
    offsets.push_back(at);
    at += characters_of(token.bytes);
  }
  return {{"tokens", tokens},
          {"token_logprobs", logprobs},
          {"top_logprobs", best},
          {"text_offset", offsets}};
}
Ordered logprobs_of(Form form, const Wishes& wishes, std::span<const ShownToken> shown,
                    std::size_t text_at) {
  if (wishes.likely < 0) return nullptr;
  return form == Form::chat ? chat_logprobs(shown) : completion_logprobs(shown, text_at);
}
// An event with one choice, out of what all have in common.
std::string chunk_of(Ordered out, const Wishes& wishes, const Ordered& choice) {
  out["choices"] = Ordered::array({choice});
  if (wishes.usage) out["usage"] = nullptr;
  return event_of(out);
}
Ordered model_of(const ServedModel& model, const std::string& parent, const BaseModel& base,
                 std::int64_t created_s) {
  const bool is_base = model.adapter < 0;
  Ordered out = {{"id", model.name},     {"object", "model"},
                 {"created", created_s}, {"owned_by", "kairo"},
                 {"root", model.root},   {"parent", is_base ? Ordered() : Ordered(parent)}};
  if (is_base && !base.weights.empty()) out["weights"] = base.weights;
  if (is_base && !base.device.empty()) out["device"] = base.device;
  return out;
}
const char* stream_object(Form form) {
  return form == Form::chat ? "chat.completion.chunk" : "text_completion";
}
}  // namespace

std::size_t characters_of(const std::string& utf8) {
  return static_cast<std::size_t>(std::count_if(utf8.begin(), utf8.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

const char* Reply::reason_of(Finish finish, bool has_calls) const {
  if (finish == Finish::length) return "length";
  return has_calls && !wishes_.names_call ? "tool_calls" : "stop";
}
std::string Reply::call_id(int index, std::size_t call) const {
  return "call_" + id_.substr(id_.find('-') + 1) + "-" + std::to_string(index) + "-" +
         std::to_string(call);
}

std::string Reply::whole(std::span<const Choice> choices, const Usage& usage) const {
  const bool chat = form_ == Form::chat;
  Ordered out = head(id_, chat ? "chat.completion" : "text_completion", created_s_, model_);
  out["choices"] = Ordered::array();
  for (std::size_t i = 0; i < choices.size(); ++i) {
    const Choice& c = choices[i];
    Ordered message = {{"role", "assistant"}, {"content", c.text}, {"refusal", nullptr}};
    if (!c.calls.empty() && c.text.empty()) message["content"] = nullptr;
    for (std::size_t k = 0; k < c.calls.size(); ++k)
      message["tool_calls"].push_back(
          {{"id", call_id(static_cast<int>(i), k)},
           {"type", "function"},
           {"function", {{"name", c.calls[k].name}, {"arguments", c.calls[k].arguments}}}});
    out["choices"].push_back(
        choice(form_, static_cast<int>(i), "message", chat ? message : Ordered(c.text),
               logprobs_of(form_, wishes_, c.shown, 0), reason_of(c.finish, !c.calls.empty())));
  }
  out["usage"] = usage_of(usage);
  return text_of(out);
}
std::string Reply::first_event(int index) const {
  if (form_ != Form::chat) return {};
  const Ordered delta = {{"role", "assistant"}, {"content", ""}, {"refusal", nullptr}};
  return chunk_of(head(id_, stream_object(form_), created_s_, model_), wishes_,
                  choice(form_, index, "delta", delta, nullptr, nullptr));
}
std::string Reply::event(int index, const std::string& text, std::span<const ShownToken> shown,
                         std::size_t text_at) const {
  const Ordered delta = form_ == Form::chat ? Ordered{{"content", text}} : Ordered(text);
  return chunk_of(
      head(id_, stream_object(form_), created_s_, model_), wishes_,
      choice(form_, index, "delta", delta, logprobs_of(form_, wishes_, shown, text_at), nullptr));
}
// Name and id once, then the arguments: clients add the parts of each string up.
std::string Reply::call_events(int index, std::size_t first,
                               std::span<const ToolCall> calls) const {
  std::string out;
  const auto event = [&](const Ordered& call) {
    const Ordered delta = {{"tool_calls", Ordered::array({call})}};
    out += chunk_of(head(id_, stream_object(form_), created_s_, model_), wishes_,
                    choice(form_, index, "delta", delta, nullptr, nullptr));
  };
  for (std::size_t i = 0; i < calls.size(); ++i) {
    event({{"index", first + i},
           {"id", call_id(index, first + i)},
           {"type", "function"},
           {"function", {{"name", calls[i].name}, {"arguments", ""}}}});
    event({{"index", first + i}, {"function", {{"arguments", calls[i].arguments}}}});
  }
  return out;
}
std::string Reply::last_event(int index, Finish finish, bool has_calls) const {
  const Ordered delta = form_ == Form::chat ? Ordered::object() : Ordered("");
  return chunk_of(head(id_, stream_object(form_), created_s_, model_), wishes_,
                  choice(form_, index, "delta", delta, nullptr, reason_of(finish, has_calls)));
}
std::string Reply::usage_event(const Usage& usage) const {
  if (!wishes_.usage) return {};
  Ordered out = head(id_, stream_object(form_), created_s_, model_);
  out["choices"] = Ordered::array();
  out["usage"] = usage_of(usage);
  return event_of(out);
}

std::string kaito_reply(const std::string& text) {
  return text_of({{"Result", text}});
}

std::string models_reply(std::span<const ServedModel> models, const BaseModel& base,
                         std::int64_t created_s) {
  Ordered list = Ordered::array();
  for (const ServedModel& model : models)
    list.push_back(model_of(model, models.front().name, base, created_s));
  return text_of({{"object", "list"}, {"data", list}});
}
std::string model_reply(const ServedModel& model, const std::string& parent, const BaseModel& base,
                        std::int64_t created_s) {
  return text_of(model_of(model, parent, base, created_s));
}

int http_status(Code code) {
  switch (code) {
    case Code::invalid:
      return 400;
    case Code::not_found:
      return 404;
    case Code::conflict:
      return 409;
    case Code::unavailable:
      return 503;
    case Code::corrupt:
    case Code::expired:
    case Code::pending:
      return 500;
  }
  return 500;
}

namespace {
std::string problem(const std::string& what, const char* type, const Ordered& param,
                    const Ordered& code) {
  return text_of(
      {{"error", {{"message", what}, {"type", type}, {"param", param}, {"code", code}}}});
}
// The field that an error of a request begins with: "messages[0].role must be ...".
Ordered field_of(const std::string& what) {
  const std::size_t end = what.find_first_of(" :");
  if (end == std::string::npos || what.starts_with("the ")) return nullptr;
  const std::string word = what.substr(0, end);
  const bool is_field = std::all_of(word.begin(), word.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '[' ||
           c == ']';
  });
  return is_field ? Ordered(word) : Ordered();
}
}  // namespace

std::string error_reply(const Error& error) {
  const int status = http_status(error.code);
  if (error.code == Code::not_found)
    return problem(error.what, "invalid_request_error", nullptr, "model_not_found");
  if (is_too_long(error))
    return problem(error.what, "invalid_request_error", "messages", "context_length_exceeded");
  if (status >= 500) return problem(error.what, "server_error", nullptr, nullptr);
  return problem(error.what, "invalid_request_error", field_of(error.what), nullptr);
}
std::string key_reply() {
  return problem("send the server's key: Authorization: Bearer KEY", "invalid_request_error",
                 nullptr, "invalid_api_key");
}
std::string error_event(const Error& error) {
  return "data: " + error_reply(error) + "\n\n";
}

std::optional<Error> failure_of(Finish finish) {
  switch (finish) {
    case Finish::stop:
    case Finish::length:
      return std::nullopt;
    case Finish::cancelled:
      return Error{Code::unavailable, "the server is stopping; ask again in a moment"};
    case Finish::failed:
      return Error{Code::corrupt, "the model could not compute the answer; see the server's log"};
  }
  return std::nullopt;
}
}  // namespace kairo::gpu
