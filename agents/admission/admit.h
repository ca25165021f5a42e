// agents/admission/admit.h - may this Workspace be written? KAITO's admission rules, its texts.
// Pure.
//
// Checked here: what the object alone tells. What needs other objects (ConfigMap contents) is
// admit_config.h, and becomes a condition instead of a refusal.
#pragma once
#include <string>
#include <vector>

namespace kairo::admission {
enum class NodeMode {
  auto_provisioning,  // nodes are bought: instanceType is required
  byo,                // the user's own nodes: instanceType must be empty
  local               // one machine: instanceType may stand there and means nothing, so that a
                      // Workspace written for a cloud applies unchanged
};
struct AdmitContext {
  NodeMode mode = NodeMode::local;
  bool allow_loopback_urls = false;  // relaxes rules T17 and T18 for loopback, and nothing else
  std::vector<std::string> node_classes;  // allowed in kaito.sh/node-class-name; empty = any
};
struct Violation {
  std::string text;  // as KAITO's webhook words it: "missing field(s): tuning.Preset"
};
// old_json: "" on create. Both are Workspaces of v1beta1 or v1alpha1 as JSON, defaults filled in.
std::vector<Violation> admit(const std::string& old_json, const std::string& new_json,
                             const AdmitContext& context);
// What a user reads; "" when there is no violation.
std::string refusal(const std::vector<Violation>& violations);
}  // namespace kairo::admission
