// agents/cli/describe.cpp - one object for a person: status first, then the wish, then events.
#include <nlohmann/json.hpp>
#include <sstream>

#include "agents/cli/printers.h"
#include "agents/cli/yaml.h"
#include "schemas/base/clock.h"

namespace kairo::cli {
namespace {
using Ordered = nlohmann::ordered_json;

// "" for what is not there, and for null: the API server writes it for times that are not set.
std::string word(const Ordered& object, const char* key) {
  if (!object.is_object() || !object.contains(key) || !object[key].is_string()) return {};
  return object[key].get<std::string>();
}
void indented(std::ostringstream& out, const std::string& text) {
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) out << "  " << line << "\n";
}
void section(std::ostringstream& out, const Ordered& object, const char* key, const char* title) {
  if (!object.contains(key) || object[key].is_null()) return;
  out << title << ":\n";
  indented(out, json_to_yaml(object[key].dump()));
}
std::string since(const Ordered& object, const char* key, std::int64_t now_ms) {
  const std::string at = word(object, key);
  return at.empty() ? "" : age(now_ms - parse_rfc3339(at));
}
void conditions(std::ostringstream& out, const Ordered& status, std::int64_t now_ms) {
  if (!status.contains("conditions")) return;
  std::vector<Row> rows{{"  TYPE", "STATUS", "SINCE", "REASON"}};
  for (const Ordered& c : status["conditions"])
    rows.push_back({"  " + word(c, "type"), word(c, "status"),
                    since(c, "lastTransitionTime", now_ms), word(c, "reason")});
  out << "Conditions:\n" << table(rows);
  // What is not so yet, or not over, or says more than its reason: how weights are quantised.
  for (const Ordered& c : status["conditions"])
    if (word(c, "status") != "True" || word(c, "type") == "WorkspaceDeleting" ||
        word(c, "message").find("; weights in ") != std::string::npos)
      out << "  " << word(c, "type") << ": " << word(c, "message") << "\n";
}
}  // namespace

std::string describe(const std::string& object, const std::vector<std::string>& events,
                     std::int64_t now_ms) {
  const Ordered o = Ordered::parse(object, nullptr, false);
  std::ostringstream out;
  if (!o.is_object()) return {};
  const Ordered& meta = o["metadata"];
  out << "Name:         " << word(meta, "name") << "\n";
  if (meta.contains("namespace")) out << "Namespace:    " << word(meta, "namespace") << "\n";
  out << "Kind:         " << word(o, "kind") << " (" << word(o, "apiVersion") << ")\n"
      << "Created:      " << word(meta, "creationTimestamp") << " ("
      << since(meta, "creationTimestamp", now_ms) << " ago)\n";
  if (meta.contains("deletionTimestamp"))
    out << "Deleting:     since " << word(meta, "deletionTimestamp") << "\n";
  Ordered status = o.contains("status") ? o["status"] : Ordered::object();
  if (status.contains("state")) out << "State:        " << word(status, "state") << "\n";
  if (status.contains("tuning")) out << "Progress:     " << progress_line(object, 20) << "\n";
  conditions(out, status, now_ms);
  status.erase("conditions");
  status.erase("state");
  for (const char* key : {"resource", "tuning", "inference", "spec", "data"}) {
    if (word(o, "kind") == "Secret" && std::string(key) == "data") continue;
    std::string title = key;
    title[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(title[0])));
    section(out, o, key, title.c_str());
  }
  if (!status.empty()) section(out, Ordered{{"status", status}}, "status", "Status");
  if (events.empty()) {
    out << "Events:       <none>\n";
    return out.str();
  }
  std::vector<Row> rows{{"  TYPE", "REASON", "AGE", "FROM", "MESSAGE"}};
  for (const std::string& text : events) {
    const Ordered e = Ordered::parse(text, nullptr, false);
    if (!e.is_object()) continue;
    const int count = times_seen(text);
    const std::string at = last_seen(text);
    rows.push_back({"  " + word(e, "type"), word(e, "reason"),
                    (at.empty() ? "" : age(now_ms - parse_rfc3339(at))) +
                        (count > 1 ? " (x" + std::to_string(count) + ")" : ""),
                    e.contains("involvedObject") ? word(e["involvedObject"], "kind") : "",
                    word(e, "message")});
  }
  out << "Events:\n" << table(rows);
  return out.str();
}
}  // namespace kairo::cli
