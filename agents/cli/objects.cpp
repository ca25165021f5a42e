// agents/cli/objects.cpp - apply, get, describe, delete, events.
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "agents/cli/cli.h"
#include "agents/cli/printers.h"
#include "agents/cli/resource_words.h"
#include "agents/cli/yaml.h"
#include "agents/cluster/kinds.h"
#include "schemas/base/clock.h"

namespace kairo::cli {
namespace {
using Json = nlohmann::ordered_json;
constexpr const char* manager = "kairo-cli";

Result<std::string> read_file(const std::string& file) {
  if (file == "-") {
    std::ostringstream all;
    all << std::cin.rdbuf();
    return all.str();
  }
  std::ifstream in(file, std::ios::binary);
  std::ostringstream all;
  all << in.rdbuf();
  if (!in)
    return Error{Code::not_found, "cannot read \"" + file + "\": no such file or no permission"};
  return all.str();
}

Result<cluster::Kind> kind_of(const Json& object, const std::string& file) {
  if (!object.is_object()) return Error{Code::invalid, file + ": an item of the List is no object"};
  const std::string kind = object.value("kind", ""), version = object.value("apiVersion", "");
  if (kind.empty() || version.empty())
    return Error{Code::invalid, file + ": apiVersion and kind must be set"};
  for (cluster::Kind known : cluster::all_kinds) {
    if (known.kind != kind) continue;
    const std::string group = known.group.empty() ? "" : known.group + "/";
    if (version == group + known.version) return known;
    if (kind == "Workspace" && version == "kaito.sh/v1alpha1") {
      known.version = "v1alpha1";
      return known;
    }
  }
  return Error{Code::invalid, file + ": no matches for kind \"" + kind + "\" in version \"" +
                                  version + "\"; kairo knows: " + kind_words()};
}

std::string printed_name(const cluster::Ref& ref) {
  std::string kind = ref.kind.kind;
  for (char& c : kind) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return kind + (ref.kind.group.empty() ? "" : "." + ref.kind.group) + "/" + ref.name;
}

struct Parsed {
  cluster::Ref ref;
  std::string json;
};
Result<Parsed> parse_object(const Context& context, Json object, const std::string& file) {
  const cluster::Kind kind = TRY(kind_of(object, file));
  if (!object.contains("metadata") || !object["metadata"].is_object() ||
      !object["metadata"].contains("name") || !object["metadata"]["name"].is_string() ||
      object["metadata"]["name"] == "")
    return Error{Code::invalid, file + ": " + kind.kind + ": metadata.name must be set"};
  Json& meta = object["metadata"];
  // What the cluster keeps is not a wish: who applies a finalizer owns it, and it never goes.
  object.erase("status");
  for (const char* kept : {"uid", "resourceVersion", "generation", "creationTimestamp",
                           "deletionTimestamp", "managedFields", "finalizers"})
    meta.erase(kept);
  if (kind.namespaced && !meta.contains("namespace")) meta["namespace"] = context.ns;
  const cluster::Ref ref{kind, kind.namespaced ? meta.value("namespace", "") : "",
                         meta.value("name", "")};
  return Parsed{ref, object.dump()};
}
// The objects of all files in their order; a List, as `get -o yaml` prints it, is its items.
Result<std::vector<Parsed>> parse(const Context& context, const std::vector<std::string>& files) {
  std::vector<Parsed> out;
  for (const std::string& file : files) {
    const std::string text = TRY(read_file(file));
    std::vector<Json> objects;
    for (const std::string& document : TRY(yaml_to_json(text, file))) {
      Json object = Json::parse(document);
      if (object.value("kind", Json()) != "List")
        objects.push_back(std::move(object));
      else
        for (Json& item : object["items"]) objects.push_back(std::move(item));
    }
    if (objects.empty()) return Error{Code::invalid, file + ": no objects in it"};
    for (Json& object : objects) {
      Parsed parsed = TRY(parse_object(context, std::move(object), file));
      for (const Parsed& other : out)
        if (other.ref.kind.kind == parsed.ref.kind.kind && other.ref.ns == parsed.ref.ns &&
            other.ref.name == parsed.ref.name)
          return Error{Code::invalid, file + ": " + printed_name(parsed.ref) + " in namespace " +
                                          parsed.ref.ns +
                                          " stands twice; give one of them another name"};
      out.push_back(std::move(parsed));
    }
  }
  return out;
}

std::string without_bookkeeping(const std::string& object) {
  Json json = Json::parse(object, nullptr, false);
  if (json.is_object() && json.contains("metadata")) json["metadata"].erase("managedFields");
  return json.dump();
}
void print_documents(const std::vector<std::string>& items, const GetOptions& options) {
  Json all = Json::array();
  for (const std::string& item : items) all.push_back(Json::parse(without_bookkeeping(item)));
  const bool one = !options.name.empty() && all.size() == 1;
  const Json out = one ? all[0] : Json{{"apiVersion", "v1"}, {"items", all}, {"kind", "List"}};
  std::cout << (options.output == "json" ? out.dump(2) + "\n" : json_to_yaml(out.dump()));
}
void print(const cluster::Kind& kind, std::vector<std::string> items, const GetOptions& options,
           bool header) {
  if (kind.kind == "Event") {  // the newest last
    const auto seen = [](const std::string& item) {
      return Json::parse(item).value("lastTimestamp", "");
    };
    std::stable_sort(items.begin(), items.end(),
                     [&](const std::string& a, const std::string& b) { return seen(a) < seen(b); });
  }
  if (options.output == "json" || options.output == "yaml") return print_documents(items, options);
  if (options.output == "name") {
    for (const std::string& item : items)
      std::cout << kind.plural << "/" << Json::parse(item)["metadata"].value("name", "") << "\n";
    return;
  }
  const SystemClock clock;
  std::vector<Row> rows;
  const bool wide = options.output == "wide";
  if (header) rows.push_back(header_of(kind, wide, options.all_namespaces));
  for (const std::string& item : items)
    rows.push_back(row_of(kind, item, wide, options.all_namespaces, clock.now_ms()));
  std::cout << table(rows) << std::flush;
}
Status follow(Context& context, cluster::Cluster& cluster, const cluster::Kind& kind,
              const GetOptions& options, std::string version) {
  while (!context.stop) {
    const auto events =
        cluster.watch({kind, options.all_namespaces ? "" : context.ns, ""}, version, 1000);
    if (!events.ok()) {
      if (events.error().code != Code::unavailable) return events.error();
      std::this_thread::sleep_for(std::chrono::milliseconds(300));
      continue;
    }
    for (const cluster::Event& event : events.value()) {
      const Json object = Json::parse(event.object, nullptr, false);
      version = object["metadata"].value("resourceVersion", version);
      if (event.type == cluster::Event::Type::bookmark) continue;
      if (!options.name.empty() && object["metadata"].value("name", "") != options.name) continue;
      print(kind, {event.object}, options, false);
    }
  }
  return ok();
}
}  // namespace

Status apply(Context& context, const std::vector<std::string>& files) {
  const auto objects = TRY(parse(context, files));
  const auto cluster = TRY(context.connect());
  for (const Parsed& object : objects) {
    const auto before = cluster->get(object.ref);
    const auto after = cluster->apply({object.ref, object.json, manager, ""});
    if (!after.ok())
      return Error{after.error().code, printed_name(object.ref) + ": " + after.error().what};
    const auto version = [](const std::string& text) {
      return Json::parse(text)["metadata"].value("resourceVersion", "");
    };
    const char* verb = !before.ok()                                        ? "created"
                       : version(before.value()) == version(after.value()) ? "unchanged"
                                                                           : "configured";
    std::cout << printed_name(object.ref) << " " << verb << std::endl;
  }
  return ok();
}

Status get(Context& context, const GetOptions& given) {
  GetOptions options = given;
  const auto wanted = TRY(
      resources_named(options.kind, options.name.empty() ? std::vector<std::string>{}
                                                         : std::vector<std::string>{options.name}));
  options.name = wanted.front().name;
  if (options.watch && wanted.size() > 1)
    return Error{Code::invalid, "-w follows one kind; \"" + options.kind + "\" names " +
                                    std::to_string(wanted.size())};
  const auto cluster = TRY(context.connect());
  const bool documents = options.output == "json" || options.output == "yaml";
  std::vector<std::string> all;
  std::string version;
  bool printed = false;
  for (const Named& named : wanted) {
    const cluster::Kind& kind = named.kind;
    const auto listing = TRY(cluster->list({kind, options.all_namespaces ? "" : context.ns, ""}));
    version = listing.resource_version;
    std::vector<std::string> items;
    for (const std::string& item : listing.items)
      if (named.name.empty() || Json::parse(item)["metadata"].value("name", "") == named.name)
        items.push_back(item);
    all.insert(all.end(), items.begin(), items.end());
    if (items.empty() && !named.name.empty() && wanted.size() == 1)
      return Error{Code::not_found,
                   kind.plural + " \"" + named.name + "\" not found in namespace " + context.ns};
    if (documents || (items.empty() && !options.watch)) continue;
    if (printed && options.output != "name") std::cout << "\n";
    printed = true;
    if (wanted.size() > 1 && options.output != "name") std::cout << kind.plural << "\n";
    print(kind, items, options, true);
  }
  if (documents) print_documents(all, options);
  if (!documents && all.empty() && !options.watch && options.output != "name")
    std::cout << "No resources found in " << context.ns << " namespace.\n";
  if (!options.watch) return ok();
  return follow(context, *cluster, wanted.front().kind, options, version);
}

Status describe(Context& context, const std::string& word, const std::string& given) {
  const auto named = TRY(resources_named(
      word, given.empty() ? std::vector<std::string>{} : std::vector<std::string>{given}));
  const cluster::Kind kind = named.front().kind;
  const std::string name = named.front().name;
  if (name.empty()) return Error{Code::invalid, "describe " + word + ": name one of them"};
  const auto cluster = TRY(context.connect());
  const std::string object = TRY(cluster->get({kind, kind.namespaced ? context.ns : "", name}));
  const auto listing = TRY(cluster->list({cluster::events, context.ns, ""}));
  std::vector<std::string> about;
  for (const std::string& event : listing.items) {
    const Json json = Json::parse(event);
    if (!json.contains("involvedObject")) continue;
    const std::string involved = json["involvedObject"].value("name", "");
    if (involved == name || involved.starts_with(name + "-")) about.push_back(event);
  }
  const SystemClock clock;
  std::cout << describe(without_bookkeeping(object), about, clock.now_ms());
  return ok();
}

Status remove(Context& context, const std::vector<std::string>& files, const std::string& word,
              const std::vector<std::string>& names, bool wait) {
  std::vector<cluster::Ref> refs;
  if (files.empty()) {
    for (const Named& named : TRY(resources_named(word, names))) {
      if (named.name.empty())
        return Error{Code::invalid, "delete " + word + ": name what is to be deleted"};
      refs.push_back({named.kind, named.kind.namespaced ? context.ns : "", named.name});
    }
  }
  for (const Parsed& object : TRY(parse(context, files))) refs.push_back(object.ref);
  const auto cluster = TRY(context.connect());
  for (const cluster::Ref& ref : refs) {
    TRY(cluster->get(ref));  // kubectl's "not found"
    TRY(cluster->remove(ref, ""));
    std::cout << printed_name(ref) << " deleted" << std::endl;
  }
  for (const cluster::Ref& ref : refs) {
    while (wait && !context.stop) {
      const auto still = cluster->get(ref);
      if (!still.ok() && still.error().code == Code::not_found) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  }
  return ok();
}

Status events(Context& context, const std::string& workspace, bool watch) {
  GetOptions options;
  options.kind = "events";
  options.watch = watch;
  if (workspace.empty()) return get(context, options);
  const auto cluster = TRY(context.connect());
  const auto listing = TRY(cluster->list({cluster::events, context.ns, ""}));
  std::vector<std::string> about;
  for (const std::string& event : listing.items) {
    const Json json = Json::parse(event);
    if (json.contains("involvedObject") &&
        json["involvedObject"].value("name", "").starts_with(workspace))
      about.push_back(event);
  }
  print(cluster::events, about, options, true);
  return watch ? follow(context, *cluster, cluster::events, options, listing.resource_version)
               : ok();
}
}  // namespace kairo::cli
