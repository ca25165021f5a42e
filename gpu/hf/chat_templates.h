// gpu/hf/chat_templates.h - the compiled chat templates of a model by their names; private to
// gpu/hf.
#pragma once
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "gpu/hf/kairo_hf.h"
#include "schemas/base/result.h"

namespace kairo::gpu {
// Immutable; any thread may use it.
class ChatTemplates {
 public:
  ChatTemplates() = default;
  // As transformers: chat_template.jinja is "default" and additional_chat_templates/<name>.jinja
  // the others; without any such file what tokenizer_config.json holds, text or named ones.
  // invalid: a file that cannot be read.
  static Result<ChatTemplates> of_model(const std::string& folder,
                                        const nlohmann::ordered_json& config);
  // One template for all chats.
  static Result<ChatTemplates> of_text(const std::string& text);
  bool empty() const { return by_name_.empty(); }
  // tool_use for a chat with tools where there is one, else default. invalid: neither; the error
  // names those that are there.
  Result<const kh_chat*> choose(bool has_tools) const;

 private:
  struct Free {
    void operator()(kh_chat* chat) const { kh_chat_free(chat); }
  };
  Status add(const std::string& name, const std::string& text);
  std::map<std::string, std::unique_ptr<kh_chat, Free>> by_name_;
};
// Reads a template's file. not_found; invalid: larger than 1 MiB.
Result<std::string> read_template(const std::string& path);
}  // namespace kairo::gpu
