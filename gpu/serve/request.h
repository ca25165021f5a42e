// gpu/serve/request.h - what a client asks for, out of the JSON of three APIs.
//
// Sources: OpenAI's API reference (chat completions, completions); KAITO v0.8.1's POST /chat.
// Every error names the field, the value and the remedy; a field that would change the answer and
// that is not supported is refused, others are ignored.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gpu/serve/defaults.h"
#include "gpu/serve/sampler.h"
#include "gpu/serve/tool_calls.h"
#include "schemas/base/result.h"

namespace kairo::gpu {
struct Request {
  std::string model;     // base model or adapter; "" = base model
  std::string messages;  // a JSON array for the chat template; "" where there is a prompt
  std::string prompt;    // text that is continued as it is
  std::vector<std::int32_t> prompt_tokens;  // the prompt as tokens (completions only)
  int max_tokens = 0;  // of the answer; 0 = as many as the context has room for
  int max_length = 0;  // of prompt and answer; 0 = no such limit (/chat only)
  std::vector<std::string> stop;
  std::vector<std::int32_t> stop_tokens;  // besides the model's
  std::optional<std::uint64_t> seed;      // absent: another answer each time
  int choices = 1;                        // answers to the same prompt
  int likely = -1;     // tokens are shown with their probability and so many best; -1: they are not
  std::string schema;  // that the answer validates against, a JSON text; "": it is free
  Tools tools;         // that the answer may call
  std::string template_variables;  // a JSON object for the chat template, or ""
  Sampling sampling;               // but for the seed
  bool stream = false, include_usage = false;
  bool return_full_text = false;  // prompt and answer (/chat only)
};
// All: invalid. defaults: of the model, where a request says nothing.
Result<Request> parse_chat_completion(std::string_view body, const Defaults& defaults = {});
Result<Request> parse_completion(std::string_view body, const Defaults& defaults = {});
// POST /chat: KAITO gives every setting a value of its own, so the model's defaults never count.
Result<Request> parse_kaito_chat(std::string_view body, const Defaults& defaults = {});
}  // namespace kairo::gpu
