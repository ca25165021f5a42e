// gpu/data/messages.h - the messages and tools of a chat row, brought into the one form that chat
// templates read. Private to gpu/data.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "gpu/data/row_json.h"
#include "schemas/base/result.h"

namespace kairo::gpu {
struct Messages {
  RowJson list = RowJson::array();     // [{"role", "content", ...}]
  std::vector<std::size_t> untrained;  // places in the list whose "weight" is 0, ascending
};
// list: messages as {role, content}, or ShareGPT's {from, value}; or JSON text of them.
// Members that are null are as absent (transformers 5.24). Content may be absent where tool_calls
// are, and a list of text parts, which are joined. "weight" (0 or 1) and "train" (a boolean) say
// whether an assistant's message is trained; they do not reach the template.
// invalid: names the place and what is accepted.
Result<Messages> read_messages(const RowJson& list, const std::string& column);
// The list of tools, empty for none. invalid: neither a list of objects nor JSON text of one.
Result<RowJson> read_tools(const RowJson& value);
}  // namespace kairo::gpu
