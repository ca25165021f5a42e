// agents/local/node/pod_plan.cpp - environment, substitution, rewriting.
#include "agents/local/node/pod_plan.h"

#include <algorithm>
#include <cmath>

namespace kairo::cluster {
namespace {
bool is_path_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || c == '.';
}
Result<std::string> referred(const Json& from, bool is_secret, const PodContext& context) {
  const std::string name = text(from, {"name"}), key = text(from, {"key"});
  const auto found = context.value(is_secret, name, key);
  if (found) return *found;
  if (flag(from, {"optional"})) return std::string();
  const std::string kind = is_secret ? "secret" : "configmap";
  return Error{Code::not_found, kind + " \"" + name + "\" not found, or it has no key \"" + key +
                                    "\"; create it, the pod goes on then"};
}
Result<std::string> field_of(const Json& pod, const std::string& path) {
  if (path == "metadata.name") return text(pod, {"metadata", "name"});
  if (path == "metadata.namespace") return text(pod, {"metadata", "namespace"});
  if (path == "metadata.uid") return text(pod, {"metadata", "uid"});
  if (path == "spec.nodeName") return text(pod, {"spec", "nodeName"});
  if (path == "status.podIP" || path == "status.hostIP") return std::string("127.0.0.1");
  for (const char* map : {"labels", "annotations"}) {
    const std::string head = std::string("metadata.") + map + "['";
    if (path.starts_with(head) && path.ends_with("']"))
      return text(
          pod, {"metadata", map, path.substr(head.size(), path.size() - head.size() - 2).c_str()});
  }
  return Error{Code::invalid, "fieldRef " + path + " is not known in local mode"};
}
// Kubernetes' $(NAME): an unknown name stays, $$ is a dollar.
std::string expanded(const std::string& text, const std::map<std::string, std::string>& env) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char next = i + 1 < text.size() ? text[i + 1] : '\0';
    const auto end = next == '(' ? text.find(')', i) : std::string::npos;
    if (text[i] == '$' && next == '$') {
      out += '$';
      ++i;
    } else if (text[i] == '$' && end != std::string::npos) {
      const auto found = env.find(text.substr(i + 2, end - i - 2));
      out += found == env.end() ? text.substr(i, end - i + 1) : found->second;
      i = end;
    } else {
      out += text[i];
    }
  }
  return out;
}
Paths paths_of(const Json& container, const PodContext& context,
               const std::string& termination_log) {
  Paths out;
  for (const Json& mount : at(container, {"volumeMounts"})) {
    const auto volume = context.volumes.find(text(mount, {"name"}));
    std::string path = text(mount, {"mountPath"});
    while (path.size() > 1 && path.ends_with("/")) path.pop_back();
    if (volume == context.volumes.end() || path.empty()) continue;
    const std::string sub = text(mount, {"subPath"});
    const bool is_safe = sub.find("..") == std::string::npos;
    out.emplace_back(path, volume->second + (sub.empty() || !is_safe ? "" : "/" + sub));
  }
  const std::string message = text(container, {"terminationMessagePath"});
  out.emplace_back(message.empty() ? "/dev/termination-log" : message, termination_log);
  std::stable_sort(out.begin(), out.end(),
                   [](const auto& a, const auto& b) { return a.first.size() > b.first.size(); });
  return out;
}
Result<std::map<std::string, std::string>> env_of(const Json& pod, const Json& container,
                                                  const PodContext& context, const Paths& paths) {
  std::map<std::string, std::string> out;
  for (const Json& entry : at(container, {"env"})) {
    const Json& from = at(entry, {"valueFrom"});
    std::string value = expanded(text(entry, {"value"}), out);
    if (from.contains("secretKeyRef")) {
      value = TRY(referred(from["secretKeyRef"], true, context));
    } else if (from.contains("configMapKeyRef")) {
      value = TRY(referred(from["configMapKeyRef"], false, context));
    } else if (from.contains("fieldRef")) {
      value = TRY(field_of(pod, text(from, {"fieldRef", "fieldPath"})));
    } else if (from.is_object()) {
      return Error{Code::invalid,
                   "env " + text(entry, {"name"}) + ": this valueFrom is not known in local mode"};
    } else {
      value = rewritten(value, paths);
    }
    out[text(entry, {"name"})] = value;
  }
  return out;
}
Result<std::string> program_of(const std::string& command, const PodContext& context) {
  for (const std::string& allowed : context.programs)
    if (allowed == command)
      return command.starts_with("/") ? command : context.program_dir + "/" + command;
  return Error{Code::invalid,
               "local mode runs kairo's own programs only; \"" + command + "\" needs Kubernetes"};
}
std::int64_t limit_of(const Json& container, const char* resource, std::int64_t scale) {
  return std::max<std::int64_t>(quantity(at(container, {"resources", "limits", resource}), scale),
                                0);
}
}  // namespace

std::string rewritten(const std::string& text, const Paths& paths) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const bool is_start =
        text[i] == '/' && (i == 0 || (!is_path_char(text[i - 1]) && text[i - 1] != '/'));
    const auto found = std::find_if(paths.begin(), paths.end(), [&](const auto& path) {
      const std::size_t end = i + path.first.size();
      return is_start && text.compare(i, path.first.size(), path.first) == 0 &&
             (end == text.size() || !is_path_char(text[end]));
    });
    if (found == paths.end()) {
      out += text[i++];
      continue;
    }
    out += found->second;
    i += found->first.size();
  }
  return out;
}

Result<ContainerPlan> plan_container(const Json& pod, const Json& container,
                                     const PodContext& context,
                                     const std::string& termination_log) {
  ContainerPlan out;
  out.name = text(container, {"name"});
  const Paths paths = paths_of(container, context, termination_log);
  const auto env = TRY(env_of(pod, container, context, paths));
  for (const char* list : {"command", "args"})
    for (const Json& word : at(container, {list}))
      if (word.is_string()) out.argv.push_back(expanded(word.get<std::string>(), env));
  const bool has_command = at(container, {"command"}).is_array() && !out.argv.empty();
  out.program = TRY(program_of(has_command ? out.argv[0] : text(container, {"image"}), context));
  for (std::string& word : out.argv) word = rewritten(word, paths);
  out.env = context.base_env;
  out.env.push_back("HOSTNAME=" + text(pod, {"metadata", "name"}));
  std::string map;
  for (const auto& [port, ours] : context.ports) {
    out.env.push_back("KAIRO_PORT_" + std::to_string(port) + "=" + std::to_string(ours));
    map += (map.empty() ? "" : ",") + std::to_string(port) + ":" + std::to_string(ours);
  }
  if (!map.empty()) out.env.push_back("PORT_MAP=" + map);
  out.env.push_back("CUDA_VISIBLE_DEVICES=" + context.gpus);  // as a device plug-in: only its own
  for (const auto& [name, value] : env) out.env.push_back(name + "=" + value);
  out.limits = {limit_of(container, "memory", 1), limit_of(container, "cpu", 1000)};
  return out;
}

std::int64_t quantity(const Json& value, std::int64_t scale) {
  if (value.is_number()) return static_cast<std::int64_t>(value.get<double>() * double(scale));
  if (!value.is_string()) return -1;
  const std::string text = value.get<std::string>();
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  if (end == text.c_str() || number < 0 || !std::isfinite(number)) return -1;
  struct Suffix {
    const char* text;
    double factor;
  };
  static constexpr Suffix suffixes[] = {{"", 1},
                                        {"m", 1e-3},
                                        {"k", 1e3},
                                        {"M", 1e6},
                                        {"G", 1e9},
                                        {"T", 1e12},
                                        {"Ki", 1024.0},
                                        {"Mi", 1048576.0},
                                        {"Gi", 1073741824.0},
                                        {"Ti", 1099511627776.0}};
  for (const Suffix& suffix : suffixes)
    if (std::string(end) == suffix.text) {
      const double out = std::ceil(number * suffix.factor * static_cast<double>(scale) - 1e-6);
      return out < 9e18 ? static_cast<std::int64_t>(out) : -1;
    }
  return -1;
}
}  // namespace kairo::cluster
