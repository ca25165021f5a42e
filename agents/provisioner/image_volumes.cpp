// agents/provisioner/image_volumes.cpp - versions as nodes say them: "v1.35.0+k3s1",
// "containerd://2.1.5-k3s1".
#include "agents/provisioner/image_volumes.h"

#include <charconv>
#include <string_view>
#include <utility>

namespace kairo::provisioner {
namespace {
using Version = std::pair<int, int>;  // major, minor; 0.0 = it is none

Version version_of(std::string_view text) {
  Version out;
  const char* end = text.data() + text.size();
  const auto [dot, error] = std::from_chars(text.data(), end, out.first);
  if (error != std::errc() || dot == end || *dot != '.') return {};
  if (std::from_chars(dot + 1, end, out.second).ec != std::errc()) return {};
  return out;
}
bool is_at_least(std::string_view text, std::string_view prefix, Version least) {
  if (!text.starts_with(prefix)) return false;
  return version_of(text.substr(prefix.size())) >= least;
}
}  // namespace

bool has_image_volumes(const wire::NodeT& node) {
  const std::string_view runtime = node.container_runtime;
  return is_at_least(node.kubelet, "v", {1, 35}) &&
         (is_at_least(runtime, "containerd://", {2, 1}) ||
          is_at_least(runtime, "cri-o://", {1, 33}));
}
}  // namespace kairo::provisioner
