// agents/node/gpu/xids.h - what the driver's error numbers mean and what helps, as a table that an
// administrator can amend. Classes by NVIDIA's catalogue (docs.nvidia.com/deploy/xid-errors). Pure.
#pragma once
#include <map>
#include <string>
#include <string_view>

#include "schemas/base/result.h"

namespace kairo::node {
enum class XidClass : std::uint8_t {
  program,   // of the program that ran: the GPU is all right
  news,      // nothing to do
  echo,      // follows from another one
  reset,     // the GPU must be reset
  reboot,    // the node must be restarted, or its hardware looked at
};
struct XidEntry {
  XidClass kind = XidClass::news;
  std::string meaning;
};
using Xids = std::map<unsigned, XidEntry>;
// Lines "NUMBER[-NUMBER] CLASS MEANING"; # begins a comment. They amend `out`. invalid: names the
// line.
Status amend(Xids& out, std::string_view text);
const Xids& known_xids();
bool is_fatal(const Xids& xids, unsigned number);  // reset or reboot; what is not known is not
std::string remedy_of(XidClass kind);
// "Xid 79 (the GPU has fallen off the bus): restart the node; ..."
std::string words_of(const Xids& xids, unsigned number);
}  // namespace kairo::node
