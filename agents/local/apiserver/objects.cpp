// agents/local/apiserver/objects.cpp - the life of a write: intake, merge, check, stage, persist,
// show.
#include "agents/local/apiserver/objects.h"

#include <algorithm>

#include "agents/cluster/kinds.h"
#include "agents/local/apiserver/core_schema.h"
#include "agents/local/apiserver/workspace_schema.h"
#include "schemas/base/base64.h"
#include "schemas/base/clock.h"
#include "schemas/base/digest.h"

namespace kairo::cluster {
namespace {
bool is_workspace(const Kind& kind) {
  return kind.group == workspaces.group && kind.plural == workspaces.plural;
}
fields::Schema schema_of(const Kind& kind) {
  const bool is_opaque = kind.plural == controller_revisions.plural;  // `data`: anybody's object
  return is_opaque || kind.group == workspaces.group || kind.group == node_claims.group
             ? fields::Schema::custom
             : fields::Schema::built_in;
}
bool has_status(const Kind& kind) {
  for (const Kind* plain : {&config_maps, &secrets, &events, &controller_revisions})
    if (kind.group == plain->group && kind.plural == plain->plural) return false;
  return kind.group != "coordination.k8s.io";
}
Kind stored_kind(Kind kind) {
  if (is_workspace(kind)) kind.version = workspaces.version;
  return kind;
}
std::string uid_of(const std::string& text) {
  const std::string h = sha256_hex(text);
  return h.substr(0, 8) + "-" + h.substr(8, 4) + "-4" + h.substr(13, 3) + "-a" + h.substr(17, 3) +
         "-" + h.substr(20, 12);
}
bool is_name(const std::string& name) {
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !name.empty() && name.size() <= 253 && plain(name.front()) && plain(name.back()) &&
         std::all_of(name.begin(), name.end(),
                     [&](char c) { return plain(c) || c == '-' || c == '.'; });
}
void drop_nulls(Json& value) {
  if (value.is_object()) {
    for (auto it = value.begin(); it != value.end();) it = it->is_null() ? value.erase(it) : ++it;
    for (auto& [key, sub] : value.items()) drop_nulls(sub);
  } else if (value.is_array()) {
    for (Json& element : value) drop_nulls(element);
  }
}
// The part of an object that managers own: without what the server sets itself.
Json opinion(Json object) {
  for (const char* key : {"apiVersion", "kind"}) object.erase(key);
  if (!object.contains("metadata")) return object;
  for (const char* key : {"name", "namespace", "uid", "resourceVersion", "generation",
                          "creationTimestamp", "deletionTimestamp", "managedFields",
                          "deletionGracePeriodSeconds", "generateName", "selfLink"})
    object["metadata"].erase(key);
  if (object["metadata"].empty()) object.erase("metadata");
  return object;
}
Json body_without(const Json& object) {  // all but metadata and status: what `generation` counts
  Json out = object;
  out.erase("metadata");
  out.erase("status");
  return out;
}
// A Secret's stringData is a way of writing data, as in Kubernetes: it is never stored.
void fold_string_data(Json& secret) {
  for (const auto& [key, value] : at(secret, {"stringData"}).items())
    secret["data"][key] = base64_encode(value.get<std::string>());
  secret.erase("stringData");
}
Error refused(const Ref& ref, const std::string& why) {
  return {Code::invalid, kind_name(ref.kind) + " \"" + ref.name + "\" is invalid: " + why};
}
Json& entry_of(Json& managed, const WriteOptions& options, const char* operation) {
  for (Json& entry : managed)
    if (entry["manager"] == options.manager && entry["subresource"] == options.subresource &&
        entry["operation"] == operation)
      return entry;
  managed.push_back({{"manager", options.manager},
                     {"subresource", options.subresource},
                     {"operation", operation},
                     {"fields", Json::object()}});
  return managed.back();
}
void drop_empty_entries(Json& managed) {
  Json kept = Json::array();
  for (Json& entry : managed)
    if (!entry["fields"].empty()) kept.push_back(std::move(entry));
  managed = std::move(kept);
}
}  // namespace

Objects::Objects(std::string seed, Admit admit)
    : seed_(std::move(seed)), admit_(std::move(admit)) {}

Objects::Key Objects::key_of(const Ref& ref) {
  return {ref.kind.group, ref.kind.plural, ref.kind.namespaced ? ref.ns : "", ref.name};
}
Ref Objects::ref_of(const Stored& stored) {
  return {stored.kind, text(stored.object, {"metadata", "namespace"}),
          text(stored.object, {"metadata", "name"})};
}
const Objects::Stored* Objects::find(const Key& key) const {
  const auto staged = staged_.find(key);
  if (staged != staged_.end()) return staged->second ? &*staged->second : nullptr;
  const auto found = objects_.find(key);
  return found == objects_.end() ? nullptr : &found->second;
}

Status Objects::check_intake(const Ref& ref, Json& body, const std::string& subresource) const {
  const Json version = body.value("apiVersion", Json());
  if (version != api_version(ref.kind) || body.value("kind", Json()) != ref.kind.kind)
    return Error{Code::invalid, "the API version in the data (" + version.dump() +
                                    ") does not match the expected API version (" +
                                    api_version(ref.kind) + ", kind " + ref.kind.kind + ")"};
  if (!body.contains("metadata")) body["metadata"] = Json::object();
  if (!body["metadata"].is_object()) return refused(ref, "metadata: Invalid value: not an object");
  drop_nulls(body);
  const std::string name = text(body, {"metadata", "name"}),
                    ns = text(body, {"metadata", "namespace"});
  if (!name.empty() && name != ref.name)
    return Error{Code::invalid, "the name of the object (" + name +
                                    ") does not match the name on the URL (" + ref.name + ")"};
  if (!ns.empty() && ns != ref.ns)
    return Error{Code::invalid,
                 "the namespace of the provided object does not match the "
                 "namespace sent on the request: " +
                     ns + ", not " + ref.ns};
  const Status types = check_core_types(ref.kind, body);
  if (!types.ok()) return refused(ref, types.error().what);
  if (ref.kind.group.empty() && ref.kind.plural == secrets.plural) fold_string_data(body);
  if (subresource.empty() && is_workspace(ref.kind))
    TRY(check_known_fields(body, ref.kind.version));
  if (is_workspace(ref.kind)) body["apiVersion"] = api_version(workspaces);
  const Status keys = fields::check_keys(body, schema_of(ref.kind));
  if (!keys.ok()) return refused(ref, keys.error().what.substr(1));
  return ok();
}

Status Objects::check_version(const Ref& ref, const Json& body, const Stored* live) const {
  const std::string version = text(body, {"metadata", "resourceVersion"});
  if (version.empty() || (live && version == text(live->object, {"metadata", "resourceVersion"})))
    return ok();
  return Error{Code::conflict, "Operation cannot be fulfilled on " + resource_name(ref.kind) +
                                   " \"" + ref.name +
                                   "\": the object has been modified; please apply your changes "
                                   "to the latest version and try again"};
}
// Of an object that is there it is an immutable field; of one that is not, an update of something
// that has gone. (On /status the API server does not look at it.)
Status Objects::check_uid(const Ref& ref, const Json& body, const Stored* live) const {
  const std::string uid = text(body, {"metadata", "uid"});
  if (uid.empty() || (live && uid == text(live->object, {"metadata", "uid"}))) return ok();
  if (live) return refused(ref, "metadata.uid: Invalid value: \"" + uid + "\": field is immutable");
  return Error{Code::conflict, "Operation cannot be fulfilled on " + resource_name(ref.kind) +
                                   " \"" + ref.name +
                                   "\": uid mismatch: the provided object "
                                   "specified uid " +
                                   uid + ", and no existing object was found"};
}

Result<std::string> Objects::apply(const Ref& ref, const std::string& json,
                                   const WriteOptions& options, std::int64_t now_ms) {
  if (options.manager.empty() || options.manager.size() > 128)
    return Error{Code::invalid,
                 "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required "
                 "value: is required for apply patch"};
  Json body = TRY(parse_object(json, kind_name(ref.kind)));
  if (!at(body, {"metadata", "managedFields"}).is_null())
    return Error{Code::invalid, "metadata.managedFields must be nil"};
  TRY(check_intake(ref, body, options.subresource));
  const Stored* live = find(key_of(ref));
  const bool is_status = options.subresource == "status";
  if (!live && is_status)
    return Error{Code::not_found, resource_name(ref.kind) + " \"" + ref.name + "\" not found"};
  TRY(check_version(ref, body, live));
  if (!is_status) TRY(check_uid(ref, body, live));
  const std::string written_in = ref.kind.version;
  Json config = opinion(body);
  if (is_status)
    config = config.contains("status") ? Json{{"status", config["status"]}} : Json::object();
  else if (has_status(ref.kind))
    config.erase("status");
  const fields::Schema schema = schema_of(ref.kind);
  Stored next = live ? *live
                     : Stored{stored_kind(ref.kind),
                              {{"apiVersion", body["apiVersion"]}, {"kind", ref.kind.kind}},
                              Json::array()};
  const Json ours = fields::of(config, schema);
  std::vector<const Json*> others;
  Json& entry = entry_of(next.managed, options, "Apply");
  std::string conflicts;
  for (Json& other : next.managed) {
    if (&other == &entry) continue;
    Json theirs = other["fields"];
    for (const std::string& path :
         fields::take_conflicts(theirs, ours, next.object, config, schema))
      conflicts += "\n- conflict with \"" + other["manager"].get<std::string>() + "\": " + path;
    if (options.force) other["fields"] = std::move(theirs);
  }
  if (!options.force && !conflicts.empty())
    return Error{Code::conflict, "Apply failed with conflicts:" + conflicts};
  for (Json& other : next.managed)
    if (&other != &entry) others.push_back(&other["fields"]);
  fields::merge(next.object, config, schema);
  fields::remove_dropped(next.object, entry["fields"], ours, others, schema);
  entry["fields"] = ours;
  drop_empty_entries(next.managed);
  if (!is_status && is_workspace(ref.kind)) add_defaults(next.object, written_in);
  return write(ref, live, std::move(next), options.subresource, now_ms);
}

Result<std::string> Objects::update(const Ref& ref, const Stored* live, Json body,
                                    const WriteOptions& options, std::int64_t now_ms) {
  const fields::Schema schema = schema_of(ref.kind);
  Stored next{stored_kind(ref.kind), opinion(body), live ? live->managed : Json::array()};
  const bool is_status = options.subresource == "status";
  const Json status = is_status ? next.object.value("status", Json()) : Json();
  if (is_status || has_status(ref.kind)) {  // the other half stays as it is
    if (is_status) next.object = live->object;
    next.object.erase("status");
    const Json kept = is_status ? status : live ? at(live->object, {"status"}) : Json();
    if (!kept.is_null()) next.object["status"] = kept;
  }
  next.object["apiVersion"] = body["apiVersion"];
  next.object["kind"] = ref.kind.kind;
  if (!is_status && is_workspace(ref.kind)) add_defaults(next.object, ref.kind.version);
  const Json after = opinion(next.object);
  const Json mine = fields::changed(live ? opinion(live->object) : Json::object(), after, schema);
  for (Json& entry : next.managed) {
    if (!mine.is_null()) fields::subtract(entry["fields"], mine);
    fields::prune(entry["fields"], after, schema);
  }
  if (!mine.is_null()) fields::add(entry_of(next.managed, options, "Update")["fields"], mine);
  drop_empty_entries(next.managed);
  return write(ref, live, std::move(next), options.subresource, now_ms);
}

Result<std::string> Objects::create(const Kind& kind, const std::string& ns,
                                    const std::string& json, const WriteOptions& options,
                                    std::int64_t now_ms) {
  Json body = TRY(parse_object(json, kind_name(kind)));
  std::string name = text(body, {"metadata", "name"});
  const std::string stem = text(body, {"metadata", "generateName"});
  if (name.empty() && !stem.empty()) {
    name = stem + sha256_hex(seed_ + "/" + std::to_string(version_ + 1)).substr(0, 5);
    body["metadata"]["name"] = name;
  }
  const Status types = check_core_types(kind, body);
  if (!types.ok()) return refused({kind, ns, name}, types.error().what);
  if (name.empty())
    return refused({kind, ns, ""},
                   "metadata.name: Required value: name or generateName is "
                   "required");
  const Ref ref{kind, ns, name};
  TRY(check_intake(ref, body, ""));
  if (find(key_of(ref)))
    return Error{Code::conflict, resource_name(kind) + " \"" + name + "\" already exists"};
  return update(ref, nullptr, std::move(body), options, now_ms);
}

Result<std::string> Objects::replace(const Ref& ref, const std::string& json,
                                     const WriteOptions& options, std::int64_t now_ms) {
  Json body = TRY(parse_object(json, kind_name(ref.kind)));
  TRY(check_intake(ref, body, options.subresource));
  const Stored* live = find(key_of(ref));
  if (!live)
    return Error{Code::not_found, resource_name(ref.kind) + " \"" + ref.name + "\" not found"};
  TRY(check_version(ref, body, live));
  if (options.subresource.empty()) TRY(check_uid(ref, body, live));
  return update(ref, live, std::move(body), options, now_ms);
}

Result<std::string> Objects::patch(const Ref& ref, const std::string& json,
                                   const WriteOptions& options, std::int64_t now_ms) {
  const Json change = TRY(parse_object(json, kind_name(ref.kind)));
  const Stored* live = find(key_of(ref));
  if (!live)
    return Error{Code::not_found, resource_name(ref.kind) + " \"" + ref.name + "\" not found"};
  TRY(check_version(ref, change, live));
  if (options.subresource.empty()) TRY(check_uid(ref, change, live));
  Json body = live->object;
  body.merge_patch(change);
  body["apiVersion"] = api_version(ref.kind);
  TRY(check_intake(ref, body, options.subresource));
  return update(ref, live, std::move(body), options, now_ms);
}

Status Objects::check_object(const Ref& ref, const Stored* live, const Stored& next) const {
  if (!live && !is_name(ref.name))
    return refused(ref, "metadata.name: Invalid value: \"" + ref.name +
                            "\": a lowercase RFC 1123 subdomain must consist of lower case "
                            "alphanumeric characters, '-' or '.', and must start and end with an "
                            "alphanumeric character");
  if (live && ref.kind.plural == jobs.plural && ref.kind.group == jobs.group &&
      at(live->object, {"spec", "template"}) != at(next.object, {"spec", "template"}))
    return refused(ref, "spec.template: Invalid value: field is immutable");
  if (!is_workspace(ref.kind)) return ok();
  const Status schema = check_schema(next.object);
  if (!schema.ok()) return refused(ref, schema.error().what);
  if (!admit_ || !text(next.object, {"metadata", "deletionTimestamp"}).empty()) return ok();
  Json written = next.object;  // rules differ by the version that somebody writes
  written["apiVersion"] = api_version(ref.kind);
  const Status admitted = admit_(live ? live->object.dump() : "", written.dump());
  if (!admitted.ok() && admitted.error().code == Code::invalid)
    return refused(ref, admitted.error().what);
  return admitted;
}

Result<std::string> Objects::write(const Ref& ref, const Stored* live, Stored next,
                                   const std::string& subresource, std::int64_t now_ms) {
  Json& meta = next.object["metadata"];
  if (!meta.is_object()) meta = Json::object();
  for (const char* key : {"finalizers", "labels", "annotations", "ownerReferences"})
    if (meta.contains(key) && meta[key].empty()) meta.erase(key);
  meta["name"] = ref.name;
  if (ref.kind.namespaced) meta["namespace"] = ref.ns;
  if (ref.kind.namespaced && ref.ns.empty())
    return refused(ref, "metadata.namespace: Required value");
  for (const char* key : {"uid", "creationTimestamp", "generation", "resourceVersion",
                          "deletionTimestamp", "deletionGracePeriodSeconds"}) {
    meta.erase(key);
    if (live && live->object["metadata"].contains(key)) meta[key] = live->object["metadata"][key];
  }
  if (!live) {
    meta["uid"] =
        uid_of(seed_ + "/" + std::to_string(staged_version_ + 1) + "/" + row_of(key_of(ref)));
    meta["creationTimestamp"] = rfc3339(now_ms);
    meta["generation"] = 1;
  } else if (body_without(live->object) != body_without(next.object)) {
    meta["generation"] = integer(live->object, {"metadata", "generation"}) + 1;
  }
  if (subresource.empty()) TRY(check_object(ref, live, next));
  const Key key = key_of(ref);
  stage(key, live, std::move(next));
  const Stored* there = find(key);
  std::string answer = shown(*there->text, there->kind, ref.kind);
  if (live && !at(there->object, {"metadata", "deletionTimestamp"}).is_null() &&
      at(there->object, {"metadata", "finalizers"}).empty() && ref.kind.plural != pods.plural)
    end(key, Propagation::background, now_ms);
  finish();
  return answer;
}
}  // namespace kairo::cluster
