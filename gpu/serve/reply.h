// gpu/serve/reply.h - the JSON of answers, of their events in a stream, of errors and metrics.
// Source: OpenAI's API reference; KAITO v0.8.1 for /chat. Text that is not UTF-8 gets U+FFFD.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "gpu/serve/completion.h"
#include "gpu/serve/models.h"
#include "schemas/base/result.h"

namespace kairo::gpu {
enum class Form : std::uint8_t { chat, completion };  // the two OpenAI answers
struct Usage {
  int prompt_tokens = 0, answer_tokens = 0;
  int cached_tokens = 0;  // of the prompt: computed before, for another request
};
// What a client asked to see beside the text.
struct Wishes {
  int likely = -1;          // Request's
  bool usage = false;       // at a stream's end
  bool names_call = false;  // the function to be called: then an answer that calls has just stopped
};
struct Choice {
  std::string text;
  Finish finish = Finish::stop;
  std::vector<ShownToken> shown;
  std::vector<ToolCall> calls = {};
};
class Reply {  // of one request; what all its parts have in common
 public:
  Reply(Form form, std::string id, std::string model, std::int64_t created_s, Wishes wishes)
      : form_(form),
        id_(std::move(id)),
        model_(std::move(model)),
        created_s_(created_s),
        wishes_(wishes) {}
  std::string whole(std::span<const Choice> choices, const Usage& usage) const;
  // Server-sent events of one of the choices: "data: {...}\n\n".
  std::string first_event(int index) const;  // chat: the role; completion: nothing
  // text_at: characters of the choice's text before this (completion).
  std::string event(int index, const std::string& text, std::span<const ShownToken> shown,
                    std::size_t text_at) const;
  // first: how many calls the choice has had before these.
  std::string call_events(int index, std::size_t first, std::span<const ToolCall> calls) const;
  std::string last_event(int index, Finish finish, bool has_calls = false) const;
  std::string usage_event(const Usage& usage) const;  // of all choices; "" where it is not wished

 private:
  const char* reason_of(Finish finish, bool has_calls) const;
  std::string call_id(int index, std::size_t call) const;
  Form form_;
  std::string id_, model_;
  std::int64_t created_s_;
  Wishes wishes_;
};
std::size_t characters_of(const std::string& utf8);
constexpr const char* stream_end = "data: [DONE]\n\n";
constexpr const char* stream_comment = ": the answer is being computed\n\n";
std::string kaito_reply(const std::string& text);  // {"Result": ...}
// What is said of the base model beside its name; what is empty is not said.
struct BaseModel {
  std::string weights, device;  // how its matrices are stored; what computes, if not the CPU
};
// models: the first is the base model.
std::string models_reply(std::span<const ServedModel> models, const BaseModel& base,
                         std::int64_t created_s);
// One of them. parent: the base model's name.
std::string model_reply(const ServedModel& model, const std::string& parent, const BaseModel& base,
                        std::int64_t created_s);
int http_status(Code code);                   // of an error
std::string error_reply(const Error& error);  // {"error": {...}}
std::string key_reply();                      // of who has not shown the right key (401)
std::string error_event(const Error& error);  // the same in a stream
// Why an answer that was accepted is not complete; absent for one that is.
std::optional<Error> failure_of(Finish finish);
}  // namespace kairo::gpu
