// gpu/serve/tool_calls.h - functions that an answer may call: how a model writes a call, which its
// chat template says, and calls out of the text of an answer.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gpu/hf/tokenizer.h"
#include "schemas/base/result.h"

namespace kairo::gpu {
struct ToolCall {
  std::string name, arguments;  // arguments: a JSON text
  bool operator==(const ToolCall&) const = default;
};
enum class ToolUse : std::uint8_t { none, free, required };
// What a request says of them.
struct Tools {
  ToolUse use = ToolUse::none;
  std::string definitions;         // a JSON array, OpenAI's form
  std::vector<std::string> names;  // of its functions
  std::string only;                // the one that must be called, or ""
  bool several = true;             // calls in one answer
};
// Out of "tools", "tool_choice", "parallel_tool_calls" of a body that is a JSON object. invalid:
// the field, the value, the remedy.
Result<Tools> read_tools(std::string_view body);

// How a call lies in the text of an answer.
struct CallForm {
  std::string opening;    // what comes before the call's JSON object; may be ""
  std::string arguments;  // the object's key for them: "arguments", or Llama's "parameters"
  // Where the text shows a call's bounds: <tool_call> ... </tool_call>. Else a call is a whole
  // answer that is JSON.
  bool is_tagged = false;
  // Mistral's newer way: the name stands outside of the JSON, which is the arguments alone; this
  // stands between both ("[ARGS]"). Empty: the name is in the object.
  std::string after_name = {};
};
// As the template renders a call. invalid: it renders none, or shows the model no functions.
Result<CallForm> form_of_calls(const Tokenizer& tokenizer);
// How an answer that must call begins, and the schema of the JSON that follows: of any of the
// functions or of the one that must be called. invalid: the name comes first and could be several.
struct ForcedCall {
  std::string opening, schema;
};
Result<ForcedCall> forced_call(const Tools& tools, const CallForm& form);

// The text of one answer, as it comes.
class CallReader {
 public:
  // is_forced: all of the text is the JSON of a forced_call.
  CallReader(CallForm form, const Tools& tools, bool is_forced)
      : form_(std::move(form)),
        names_(tools.only.empty() ? tools.names : std::vector{tools.only}),
        several_(tools.several),
        forced_(is_forced) {}
  std::string push(const std::string& text);  // what is no call's; perhaps held back for a while
  std::string finish();                       // what was held back and is no call
  std::vector<ToolCall> take();               // the calls that have been read since

 private:
  bool read(const std::string& json);  // one object or several; false: it is no call
  bool read_one(const std::string& json);
  bool read_named(std::string_view text);          // calls whose names stand outside of their JSON
  bool may_be_named(std::string_view text) const;  // or become one
  void keep(ToolCall call);
  std::string push_tagged();
  CallForm form_;
  std::vector<std::string> names_;
  bool several_, forced_;
  std::string held_;       // not yet known to be text or a call
  bool in_call_ = false;   // tagged: held_ is a call's inside
  bool is_text_ = false;   // not tagged: the answer is no call
  bool has_call_ = false;  // one at least was read
  std::vector<ToolCall> calls_;
};
}  // namespace kairo::gpu
