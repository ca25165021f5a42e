// gpu/serve/reply.cpp
#include "gpu/serve/reply.h"

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
const char* reason_of(Finish finish) {
  return finish == Finish::length ? "length" : "stop";
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
Ordered choice(Form form, const char* where, const Ordered& text, const Ordered& reason) {
  Ordered out = {{"index", 0}};
  out[form == Form::chat ? where : "text"] = text;
  out["logprobs"] = nullptr;
  out["finish_reason"] = reason;
  return out;
}
Ordered model_of(std::span<const std::string> models, const BaseModel& base, std::size_t index,
                 std::int64_t created_s) {
  Ordered out = {
      {"id", models[index]},    {"object", "model"},
      {"created", created_s},   {"owned_by", "kairo"},
      {"root", models.front()}, {"parent", index == 0 ? Ordered() : Ordered(models.front())}};
  if (index == 0 && !base.weights.empty()) out["weights"] = base.weights;
  if (index == 0 && !base.device.empty()) out["device"] = base.device;
  return out;
}
const char* stream_object(Form form) {
  return form == Form::chat ? "chat.completion.chunk" : "text_completion";
}
}  // namespace

std::string Reply::whole(const std::string& text, Finish finish, const Usage& usage) const {
  const bool chat = form_ == Form::chat;
  Ordered out = head(id_, chat ? "chat.completion" : "text_completion", created_s_, model_);
  const Ordered message = {{"role", "assistant"}, {"content", text}};
  out["choices"] =
      Ordered::array({choice(form_, "message", chat ? message : Ordered(text), reason_of(finish))});
  out["usage"] = usage_of(usage);
  return text_of(out);
}
std::string Reply::first_event() const {
  if (form_ != Form::chat) return {};
  Ordered out = head(id_, stream_object(form_), created_s_, model_);
  const Ordered delta = {{"role", "assistant"}, {"content", ""}};
  out["choices"] = Ordered::array({choice(form_, "delta", delta, nullptr)});
  return event_of(out);
}
std::string Reply::event(const std::string& text) const {
  Ordered out = head(id_, stream_object(form_), created_s_, model_);
  const Ordered delta = form_ == Form::chat ? Ordered{{"content", text}} : Ordered(text);
  out["choices"] = Ordered::array({choice(form_, "delta", delta, nullptr)});
  return event_of(out);
}
std::string Reply::last_event(Finish finish) const {
  Ordered out = head(id_, stream_object(form_), created_s_, model_);
  const Ordered delta = form_ == Form::chat ? Ordered::object() : Ordered("");
  out["choices"] = Ordered::array({choice(form_, "delta", delta, reason_of(finish))});
  return event_of(out);
}
std::string Reply::usage_event(const Usage& usage) const {
  Ordered out = head(id_, stream_object(form_), created_s_, model_);
  out["choices"] = Ordered::array();
  out["usage"] = usage_of(usage);
  return event_of(out);
}

std::string kaito_reply(const std::string& text) {
  return text_of({{"Result", text}});
}

std::string models_reply(std::span<const std::string> models, const BaseModel& base,
                         std::int64_t created_s) {
  Ordered list = Ordered::array();
  for (std::size_t i = 0; i < models.size(); ++i)
    list.push_back(model_of(models, base, i, created_s));
  return text_of({{"object", "list"}, {"data", list}});
}
std::string model_reply(std::span<const std::string> models, const BaseModel& base,
                        std::size_t index, std::int64_t created_s) {
  return text_of(model_of(models, base, index, created_s));
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

std::string error_reply(const Error& error) {
  const int status = http_status(error.code);
  const char* type = status < 500 ? "invalid_request_error" : "server_error";
  Ordered code;
  if (error.code == Code::not_found) code = "model_not_found";
  return text_of(
      {{"error", {{"message", error.what}, {"type", type}, {"param", nullptr}, {"code", code}}}});
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
