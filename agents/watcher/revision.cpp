// agents/watcher/revision.cpp - Go's struct order, written down.
#include "agents/watcher/revision.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

#include "schemas/base/digest.h"

namespace kairo::watcher {
namespace {
using Json = nlohmann::json;             // sorted keys: Go's maps
using Ordered = nlohmann::ordered_json;  // Go's structs
constexpr std::size_t revisions_max = 10;
constexpr const char* hash_note = "workspace.kaito.io/hash";
constexpr const char* number_note = "workspace.kaito.io/revision";

bool is_empty(const Json& value) {  // what `omitempty` leaves out
  if (value.is_null()) return true;
  if (value.is_string()) return value.get<std::string>().empty();
  return (value.is_array() || value.is_object()) && value.empty();
}
class Struct {
 public:
  explicit Struct(const Json& from) : from_(from) {}
  const Json& operator[](const char* key) const {
    static const Json none;
    const auto found = from_.is_object() ? from_.find(key) : from_.end();
    return from_.is_object() && found != from_.end() ? *found : none;
  }
  // Copies the field as it is (strings, numbers, maps), unless it is empty.
  Struct& optional(const char* key) {
    if (!is_empty((*this)[key])) out_[key] = (*this)[key];
    return *this;
  }
  Struct& put(const char* key, Ordered value) {
    if (!value.is_null()) out_[key] = std::move(value);
    return *this;
  }
  Ordered done() const { return out_; }

 private:
  const Json& from_;
  Ordered out_ = Ordered::object();
};

Ordered selector(const Json& json) {
  if (!json.is_object()) return nullptr;
  Ordered expressions = Ordered::array();
  for (const Json& e : Struct(json)["matchExpressions"])
    expressions.push_back(Struct(e).optional("key").optional("operator").optional("values").done());
  return Struct(json)
      .optional("matchLabels")
      .put("matchExpressions", expressions.empty() ? Ordered() : expressions)
      .done();
}
Ordered resource(const Json& json) {
  if (!json.is_object()) return nullptr;
  const Struct in(json);
  const Ordered labels = selector(in["labelSelector"]);
  Ordered partition;
  if (in["partition"].is_object())
    partition =
        Struct(in["partition"]).optional("mode").optional("profile").optional("count").done();
  Struct out(json);
  out.optional("count").optional("instanceType");
  Ordered object = out.done();
  object["labelSelector"] = labels;  // no omitempty: null when it is absent
  if (!is_empty(in["preferredNodes"])) object["preferredNodes"] = in["preferredNodes"];
  if (!partition.is_null()) object["partition"] = partition;
  return object;
}
Ordered preset(const Json& json) {
  if (!json.is_object()) return nullptr;
  const Json& options = Struct(json)["presetOptions"];
  Ordered object = Ordered::object();
  object["name"] = Struct(json)["name"].is_string() ? Ordered(Struct(json)["name"]) : Ordered("");
  if (!is_empty(Struct(json)["accessMode"])) object["accessMode"] = Struct(json)["accessMode"];
  object["presetOptions"] = Struct(options)
                                .optional("image")
                                .optional("imagePullSecrets")
                                .optional("modelAccessSecret")
                                .done();
  return object;
}
Ordered source(const Json& json) {
  if (!json.is_object()) return nullptr;
  return Struct(json)
      .optional("name")
      .optional("urls")
      .optional("volumeSource")
      .optional("image")
      .optional("imagePullSecrets")
      .done();
}
Ordered tuning(const Json& json) {
  if (!json.is_object()) return nullptr;
  const Struct in(json);
  const Ordered to = !in["output"].is_object() ? Ordered()
                                               : Struct(in["output"])
                                                     .optional("volumeSource")
                                                     .optional("image")
                                                     .optional("imagePushSecret")
                                                     .done();
  return Struct(json)
      .put("preset", preset(in["preset"]))
      .optional("method")
      .optional("config")
      .put("input", source(in["input"]))
      .put("output", to)
      .done();
}
Ordered inference(const Json& json) {
  if (!json.is_object()) return nullptr;
  const Struct in(json);
  Ordered adapters = Ordered::array();
  for (const Json& a : in["adapters"])
    adapters.push_back(
        Struct(a).put("source", source(Struct(a)["source"])).optional("strength").done());
  return Struct(json)
      .put("preset", preset(in["preset"]))
      .optional("template")
      .optional("config")
      .put("adapters", adapters.empty() ? Ordered() : adapters)
      .done();
}

std::string go(const Ordered& value) {
  std::string out;
  for (const char c : value.dump()) {
    if (c == '<')
      out += "\\u003c";
    else if (c == '>')
      out += "\\u003e";
    else if (c == '&')
      out += "\\u0026";
    else
      out.push_back(c);
  }
  return out + "\n";
}
std::string annotation(const Json& object, const char* key) {
  const Json& notes = Struct(Struct(object)["metadata"])["annotations"];
  const Json& value = Struct(notes)[key];
  return value.is_string() ? value.get<std::string>() : "";
}
std::string name_of(const Json& object) {
  return object["metadata"].value("name", "");
}

std::string controller_of(const Json& object) {  // its uid; "" = none
  for (const Json& owner : Struct(Struct(object)["metadata"])["ownerReferences"])
    if (Struct(owner)["controller"] == true) return owner.value("uid", "");
  return {};
}

Ordered revision_object(const Json& w, const std::string& name, const std::string& hash,
                        std::int64_t number) {
  const Json& meta = w["metadata"];
  const Struct in(w);
  return {{"apiVersion", "apps/v1"},
          {"kind", "ControllerRevision"},
          {"metadata",
           {{"name", name},
            {"namespace", meta.value("namespace", "")},
            {"labels", {{"workspace.kaito.io/name", meta.value("name", "")}}},
            {"annotations", {{hash_note, hash}}},
            {"ownerReferences", Ordered::array({{{"apiVersion", "kaito.sh/v1beta1"},
                                                 {"kind", "Workspace"},
                                                 {"name", meta.value("name", "")},
                                                 {"uid", meta.value("uid", "")},
                                                 {"controller", true},
                                                 {"blockOwnerDeletion", true}}})}}},
          {"revision", number},
          {"data",
           {{"resource", resource(in["resource"])},
            {"inference", inference(in["inference"])},
            {"tuning", tuning(in["tuning"])}}}};
}
}  // namespace

Result<std::string> revision_of(const std::string& workspace_json) {
  const Json w = Json::parse(workspace_json, nullptr, false);
  if (!w.is_object()) return Error{Code::invalid, "Workspace: not a JSON object"};
  return revision_of_object(w);
}
std::string revision_of_object(const Json& w) {
  const Struct in(w);
  return sha256_hex(go(resource(in["resource"])) + go(inference(in["inference"])) +
                    go(tuning(in["tuning"])));
}

Noted noted_on(const Json& w) {
  Noted out{annotation(w, hash_note), 0};
  const std::string number = annotation(w, number_note);
  std::from_chars(number.data(), number.data() + number.size(), out.number);
  return out;
}
bool has_first_revision(const Json& w) {
  const Struct in(w), meta(in["metadata"]);
  return noted_on(w) == Noted{} && meta["generation"] == 1 && meta["deletionTimestamp"].is_null();
}

Result<RevisionPlan> plan_revision(const Json& w, const std::vector<std::string>& existing) {
  if (!w.is_object() || !w.contains("metadata"))
    return Error{Code::invalid, "Workspace: not a JSON object with metadata"};
  const std::string hash = revision_of_object(w), uid = w["metadata"].value("uid", "");
  RevisionPlan plan;
  plan.name = name_of(w) + "-" + hash.substr(0, 5);
  const Noted noted = noted_on(w);
  std::int64_t latest = noted.number, oldest = INT64_MAX;
  std::optional<std::int64_t> known;
  std::string oldest_name;
  std::size_t ours = 0;
  for (const std::string& text : existing) {
    const Json revision = Json::parse(text, nullptr, false);
    if (!revision.is_object() || !revision.contains("metadata")) continue;
    const bool has_its_name = name_of(revision) == plan.name;
    if (const std::string owner = controller_of(revision); !owner.empty() && owner != uid) {
      if (has_its_name) plan.leftover = revision["metadata"].value("uid", "");
      continue;
    }
    ++ours;
    const Json& written = Struct(revision)["revision"];
    const std::int64_t number = written.is_number_integer() ? written.get<std::int64_t>() : 0;
    latest = std::max(latest, number);
    if (number < oldest) {
      oldest = number;
      oldest_name = name_of(revision);
    }
    if (!has_its_name) continue;
    if (annotation(revision, hash_note) != hash)
      return Error{Code::conflict, "revision name conflicts, the hash values are different"};
    known = number;
  }
  const bool is_noted = noted.hash == hash && noted.number != 0;
  plan.note = {hash, known ? *known : is_noted ? noted.number : latest + 1};
  if (known) return plan;
  plan.object = revision_object(w, plan.name, hash, plan.note.number).dump();
  if (ours > revisions_max) plan.expired = oldest_name;
  return plan;
}
}  // namespace kairo::watcher
