// agents/cli/printers.cpp - columns per kind.
#include "agents/cli/printers.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "agents/cluster/kinds.h"
#include "schemas/base/clock.h"

namespace kairo::cli {
namespace {
using Json = nlohmann::json;

std::string text(const Json& object, const std::string& pointer) {
  const Json::json_pointer at(pointer);
  if (!object.contains(at)) return {};
  const Json& value = object[at];
  if (value.is_string()) return value.get<std::string>();
  return value.is_null() ? "" : value.dump();
}
std::string condition(const Json& object, const std::string& type) {
  const Json::json_pointer at("/status/conditions");
  if (object.contains(at))
    for (const Json& c : object[at])
      if (c.value("type", "") == type) return c.value("status", "");
  return {};
}
std::string or_none(const std::string& value) {
  return value.empty() ? "<none>" : value;
}

Row workspace_row(const Json& o, bool wide) {
  Row row{text(o, "/resource/instanceType"),
          condition(o, "ResourceReady"),
          condition(o, "InferenceReady"),
          condition(o, "JobStarted"),
          condition(o, "WorkspaceSucceeded"),
          text(o, "/status/targetNodeCount"),
          text(o, "/status/state")};
  if (!wide) return row;
  const std::string steps = text(o, "/status/tuning/step");
  row.push_back(text(o, "/status/tuning/phase"));
  const bool has_begun = o.value(Json::json_pointer("/status/tuning/totalSteps"), 0) > 0;
  row.push_back(has_begun ? steps + "/" + text(o, "/status/tuning/totalSteps") : "");
  row.push_back(has_begun ? text(o, "/status/tuning/loss") : "");
  row.push_back(text(o, "/status/artifact/digest").substr(0, 19));
  return row;
}
// kubectl's words while init containers have not all succeeded: Init:1/2, Init:Error, ...
std::string init_state(const Json& o) {
  const Json::json_pointer at("/status/initContainerStatuses");
  if (!o.contains(at) || text(o, "/status/phase") == "Running") return {};
  std::size_t done = 0;
  for (const Json& c : o[at]) {
    const Json state = c.value("state", Json::object());
    if (state.contains("terminated")) {
      if (state["terminated"].value("exitCode", 0) != 0)
        return "Init:" + state["terminated"].value("reason", "Error");
      ++done;
    } else if (state.contains("waiting") &&
               state["waiting"].value("reason", "") != "PodInitializing") {
      return "Init:" + state["waiting"].value("reason", "");
    }
  }
  const std::size_t all = o[at].size();
  return done == all ? "" : "Init:" + std::to_string(done) + "/" + std::to_string(all);
}
Row pod_row(const Json& o) {
  int ready = 0, restarts = 0;
  const Json::json_pointer spec("/spec/containers");
  const std::size_t all = o.contains(spec) ? o[spec].size() : 0;
  std::string status = text(o, "/status/reason");
  if (o.contains(Json::json_pointer("/status/containerStatuses")))
    for (const Json& c : o["status"]["containerStatuses"]) {
      ready += c.value("ready", false);
      restarts += c.value("restartCount", 0);
      for (const char* state : {"waiting", "terminated"})
        if (c.contains("state") && c["state"].contains(state))
          status = c["state"][state].value("reason", status);
    }
  if (const std::string init = init_state(o); !init.empty()) status = init;
  if (status.empty()) status = text(o, "/status/phase");
  return {std::to_string(ready) + "/" + std::to_string(all), status, std::to_string(restarts)};
}
std::string ports_of(const Json& o) {
  std::string out;
  const Json::json_pointer at("/spec/ports");
  if (o.contains(at))
    for (const Json& p : o[at])
      out += (out.empty() ? "" : ",") + std::to_string(p.value("port", 0)) + "/" +
             p.value("protocol", "TCP");
  return or_none(out);
}
Row cells(const cluster::Kind& kind, const Json& o, bool wide) {
  if (kind.kind == "Workspace") return workspace_row(o, wide);
  if (kind.kind == "Pod") return pod_row(o);
  if (kind.kind == "Job")
    return {std::to_string(o.value(Json::json_pointer("/status/succeeded"), 0)) + "/1"};
  if (kind.kind == "StatefulSet")
    return {std::to_string(o.value(Json::json_pointer("/status/readyReplicas"), 0)) + "/" +
            std::to_string(o.value(Json::json_pointer("/spec/replicas"), 1))};
  if (kind.kind == "Service") {
    const std::string local = text(o, "/metadata/annotations/kairo.dev~1local-address");
    return {text(o, "/spec/type"), or_none(local.empty() ? text(o, "/spec/clusterIP") : local),
            ports_of(o)};
  }
  if (kind.kind == "Node")
    return {condition(o, "Ready") == "True" ? "Ready" : "NotReady",
            text(o, "/status/allocatable/cpu"), text(o, "/status/allocatable/memory")};
  if (kind.kind == "Secret") return {text(o, "/type")};
  if (kind.kind == "Event")
    return {text(o, "/type"), text(o, "/reason"),
            text(o, "/involvedObject/kind") + "/" + text(o, "/involvedObject/name"),
            text(o, "/message")};
  return {};
}
Row columns(const cluster::Kind& kind, bool wide) {
  if (kind.kind == "Workspace") {
    Row row{"INSTANCE",           "RESOURCEREADY",   "INFERENCEREADY", "JOBSTARTED",
            "WORKSPACESUCCEEDED", "TARGETNODECOUNT", "STATE"};
    if (wide) row.insert(row.end(), {"PHASE", "STEP", "LOSS", "DIGEST"});
    return row;
  }
  if (kind.kind == "Pod") return {"READY", "STATUS", "RESTARTS"};
  if (kind.kind == "Job") return {"COMPLETIONS"};
  if (kind.kind == "StatefulSet") return {"READY"};
  if (kind.kind == "Service") return {"TYPE", "ADDRESS", "PORT(S)"};
  if (kind.kind == "Node") return {"STATUS", "CPU", "MEMORY"};
  if (kind.kind == "Secret") return {"TYPE"};
  if (kind.kind == "Event") return {"TYPE", "REASON", "OBJECT", "MESSAGE"};
  return {};
}
}  // namespace

std::optional<cluster::Kind> kind_named(const std::string& word) {
  std::string name = word.substr(0, word.find('.'));
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  for (const auto& [short_name, plural] : cluster::short_names)
    if (name == short_name) {
      name = plural;
      break;
    }
  for (const cluster::Kind& kind : cluster::all_kinds) {
    std::string singular = kind.kind;
    for (char& c : singular) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (name == kind.plural || name == singular) return kind;
  }
  return std::nullopt;
}
std::string kind_words() {
  std::string out;
  for (const cluster::Kind& kind : cluster::all_kinds)
    out += (out.empty() ? "" : ", ") + kind.plural;
  return out;
}

std::string last_seen(const std::string& event) {
  const Json e = Json::parse(event, nullptr, false);
  if (!e.is_object()) return {};
  for (const char* at : {"/series/lastObservedTime", "/lastTimestamp", "/eventTime",
                         "/firstTimestamp", "/metadata/creationTimestamp"})
    if (std::string found = text(e, at); !found.empty()) return found;
  return {};
}
int times_seen(const std::string& event) {
  const Json e = Json::parse(event, nullptr, false);
  if (!e.is_object()) return 1;
  for (const char* at : {"/series/count", "/count"})
    if (const Json::json_pointer to(at); e.contains(to) && e[to].is_number_integer())
      return std::max(1, e[to].get<int>());
  return 1;
}

Row header_of(const cluster::Kind& kind, bool wide, bool all_namespaces) {
  Row row;
  if (all_namespaces && kind.namespaced) row.push_back("NAMESPACE");
  const bool is_event = kind.kind == "Event";
  row.push_back(is_event ? "LAST SEEN" : "NAME");
  for (std::string& name : columns(kind, wide)) row.push_back(std::move(name));
  if (!is_event) row.push_back("AGE");
  return row;
}
Row row_of(const cluster::Kind& kind, const std::string& object, bool wide, bool all_namespaces,
           std::int64_t now_ms) {
  Json o = Json::parse(object, nullptr, false);
  if (!o.is_object()) o = Json::object();
  Row row;
  if (all_namespaces && kind.namespaced) row.push_back(text(o, "/metadata/namespace"));
  const bool is_event = kind.kind == "Event";
  const std::string born = is_event ? last_seen(object) : text(o, "/metadata/creationTimestamp");
  const std::string years = born.empty() ? "" : age(now_ms - parse_rfc3339(born));
  row.push_back(is_event ? years : text(o, "/metadata/name"));
  Row own;
  try {
    own = cells(kind, o, wide);
  } catch (const Json::exception&) {  // not of its kind's form: its name has to do
    own.resize(columns(kind, wide).size());
  }
  row.insert(row.end(), own.begin(), own.end());
  if (!is_event) row.push_back(years);
  return row;
}

std::string table(const std::vector<Row>& rows) {
  std::vector<std::size_t> widths;
  for (const Row& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (widths.size() <= i) widths.push_back(0);
      widths[i] = std::max(widths[i], row[i].size());
    }
  std::string out;
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line += std::string(widths[i] - row[i].size() + 3, ' ');
    }
    out += line + "\n";
  }
  return out;
}

// As k8s.io/apimachinery's HumanDuration: two units while the larger one is small.
std::string age(std::int64_t ms) {
  const auto two = [](std::int64_t large, const char* unit, std::int64_t small, const char* part) {
    return std::to_string(large) + unit + (small == 0 ? "" : std::to_string(small) + part);
  };
  const std::int64_t s = std::max<std::int64_t>(ms, 0) / 1000, m = s / 60, h = m / 60, d = h / 24;
  if (s < 120) return std::to_string(s) + "s";
  if (m < 10) return two(m, "m", s % 60, "s");
  if (m < 180) return std::to_string(m) + "m";
  if (h < 8) return two(h, "h", m % 60, "m");
  if (h < 48) return std::to_string(h) + "h";
  if (d < 8) return two(d, "d", h % 24, "h");
  if (d < 730) return std::to_string(d) + "d";
  return two(d / 365, "y", d < 8 * 365 ? d % 365 : 0, "d");
}

std::string progress_line(const std::string& workspace, int width) {
  const Json o = Json::parse(workspace, nullptr, false);
  const std::string phase = text(o, "/status/tuning/phase");
  const int step = o.value(Json::json_pointer("/status/tuning/step"), 0);
  const int total = o.value(Json::json_pointer("/status/tuning/totalSteps"), 0);
  std::ostringstream out;
  out << (phase.empty() ? text(o, "/status/state") : phase);
  if (total > 0 && width > 0) {
    const int full = width * step / total;
    out << " [";
    for (int i = 0; i < width; ++i) out << (i < full ? '#' : '.');
    out << "]";
  }
  if (total > 0) {
    out << " " << step << "/" << total;
    if (step > 0)
      out << "  loss " << text(o, "/status/tuning/loss") << "  "
          << text(o, "/status/tuning/tokensPerSecond") << " tok/s";
    const std::string eval_loss = text(o, "/status/tuning/evalLoss");
    const std::string best = text(o, "/status/tuning/bestEvalLoss");
    if (!eval_loss.empty()) out << "  eval loss " << eval_loss;
    if (!best.empty())
      out << " (best " << best << " at step " << text(o, "/status/tuning/bestStep") << ")";
    const std::string eta = text(o, "/status/tuning/etaSeconds");
    if (!eta.empty() && eta != "0") out << "  ETA " << age(std::stoll(eta) * 1000);
  }
  return out.str();
}
}  // namespace kairo::cli
