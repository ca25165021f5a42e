// agents/bus/names.cpp - a cluster's name in subjects, streams and inboxes.
#include "agents/bus/names.h"

#include <algorithm>

namespace kairo::bus {
namespace {
constexpr std::size_t label_max = 63;
constexpr std::size_t root_size = 5;  // of "kairo"
}  // namespace

Result<Names> Names::of(const std::string& cluster) {
  const bool is_label = cluster.size() <= label_max && !cluster.starts_with('-') &&
                        !cluster.ends_with('-') &&
                        std::all_of(cluster.begin(), cluster.end(), [](char c) {
                          return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
                        });
  if (!is_label)
    return Error{Code::invalid, "the cluster's name on the bus is \"" + cluster +
                                    "\"; use at most 63 of a-z, 0-9 and -, and no - at its ends"};
  Names out;
  out.cluster_ = cluster;
  return out;
}
std::string Names::subject(const std::string& ours) const {
  return root() + ours.substr(root_size);
}
std::string Names::ours(const std::string& subject) const {
  return "kairo" + subject.substr(root().size());
}
std::string Names::inbox(const std::string& user) const {
  return "_INBOX_" + (cluster_.empty() ? "" : cluster_ + "-") + user;
}
}  // namespace kairo::bus
