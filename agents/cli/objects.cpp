// agents/cli/objects.cpp - get, describe, events.
#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "agents/cli/cli.h"
#include "agents/cli/family.h"
#include "agents/cli/printers.h"
#include "agents/cli/resource_words.h"
#include "agents/cli/yaml.h"
#include "agents/cluster/kinds.h"
#include "schemas/base/clock.h"

namespace kairo::cli {
namespace {
using Ordered = nlohmann::ordered_json;

std::string without_bookkeeping(const std::string& object) {
  Ordered json = Ordered::parse(object, nullptr, false);
  if (json.is_object() && json.contains("metadata")) json["metadata"].erase("managedFields");
  return json.dump();
}
void print_documents(const std::vector<std::string>& items, const GetOptions& options) {
  Ordered all = Ordered::array();
  for (const std::string& item : items) all.push_back(Ordered::parse(without_bookkeeping(item)));
  const bool one = !options.name.empty() && all.size() == 1;
  const Ordered out =
      one ? all[0] : Ordered{{"apiVersion", "v1"}, {"items", all}, {"kind", "List"}};
  std::cout << (options.output == "json" ? out.dump(2) + "\n" : json_to_yaml(out.dump()));
}
void print(const cluster::Kind& kind, std::vector<std::string> items, const GetOptions& options,
           bool header) {
  if (kind.kind == "Event") {  // the newest last
    std::stable_sort(items.begin(), items.end(), [](const std::string& a, const std::string& b) {
      return parse_rfc3339(last_seen(a)) < parse_rfc3339(last_seen(b));  // some have microseconds
    });
  }
  if (options.output == "json" || options.output == "yaml") return print_documents(items, options);
  if (options.output == "name") {
    for (const std::string& item : items)
      std::cout << kind.plural << "/" << Ordered::parse(item)["metadata"].value("name", "") << "\n";
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
using Filter = std::function<bool(const Ordered& object)>;
// Prints what changes after `first` until Ctrl-C. When the cluster does not know that version any
// more everything is listed again, and what has changed since is printed.
Status follow(Context& context, cluster::Cluster& cluster, const cluster::Kind& kind,
              const GetOptions& options, const cluster::Listing& first, const Filter& is_wanted) {
  const cluster::Selection selection{kind, options.all_namespaces ? "" : context.ns, ""};
  std::string version = first.resource_version;
  std::map<std::string, std::string> printed;  // uid -> resourceVersion
  for (const std::string& item : first.items) {
    const Ordered meta = Ordered::parse(item)["metadata"];
    printed[meta.value("uid", "")] = meta.value("resourceVersion", "");
  }
  const auto show = [&](const std::string& text) {
    const Ordered object = Ordered::parse(text, nullptr, false);
    const std::string now = object["metadata"].value("resourceVersion", "");
    std::string& before = printed[object["metadata"].value("uid", "")];
    if (before != now && is_wanted(object)) print(kind, {text}, options, false);
    before = now;
    return now;
  };
  while (!context.stop && std::cout) {
    const auto events = cluster.watch(selection, version, 1000);
    if (events.ok()) {
      for (const cluster::Event& event : events.value()) {
        const bool is_mark = event.type == cluster::Event::Type::bookmark;
        version = is_mark
                      ? Ordered::parse(event.object)["metadata"].value("resourceVersion", version)
                      : show(event.object);
      }
      continue;
    }
    if (events.error().code == Code::expired) {
      const auto listing = TRY(cluster.list(selection));
      for (const std::string& item : listing.items) show(item);
      version = listing.resource_version;
      continue;
    }
    if (events.error().code != Code::unavailable) return events.error();
    TRY(must_run(context));
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
  }
  return ok();
}
}  // namespace

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
  cluster::Listing listing;
  bool printed = false;
  for (const Named& named : wanted) {
    const cluster::Kind& kind = named.kind;
    listing = TRY(cluster->list({kind, options.all_namespaces ? "" : context.ns, ""}));
    std::vector<std::string> items;
    for (const std::string& item : listing.items)
      if (named.name.empty() || Ordered::parse(item)["metadata"].value("name", "") == named.name)
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
  return follow(
      context, *cluster, wanted.front().kind, options, listing, [&](const Ordered& object) {
        return options.name.empty() || object["metadata"].value("name", "") == options.name;
      });
}

Status describe(Context& context, const std::string& word, const std::string& given) {
  const auto wanted = TRY(resources_named(
      word, given.empty() ? std::vector<std::string>{} : std::vector<std::string>{given}));
  const auto cluster = TRY(context.connect());
  std::vector<std::string> objects;
  for (const Named& named : wanted) {
    const std::string ns = named.kind.namespaced ? context.ns : "";
    if (!named.name.empty()) {
      objects.push_back(TRY(cluster->get({named.kind, ns, named.name})));
      continue;
    }
    for (std::string& item : TRY(cluster->list({named.kind, ns, ""})).items)
      objects.push_back(std::move(item));
  }
  if (objects.empty()) std::cout << "No resources found in " << context.ns << " namespace.\n";
  const auto listing = TRY(cluster->list({cluster::events, context.ns, ""}));
  const SystemClock clock;
  for (const std::string& object : objects) {
    Family family(*cluster, context.ns, Ordered::parse(object)["metadata"].value("uid", ""));
    std::vector<std::string> about;
    for (const std::string& event : listing.items)
      if (family.is_about(event)) about.push_back(event);
    std::cout << (&object == objects.data() ? "" : "\n")
              << describe(without_bookkeeping(object), about, clock.now_ms());
  }
  return ok();
}

Status events(Context& context, const std::string& workspace, bool watch) {
  GetOptions options;
  options.kind = "events";
  options.watch = watch;
  if (workspace.empty()) return get(context, options);
  const auto cluster = TRY(context.connect());
  const std::string object = TRY(cluster->get({cluster::workspaces, context.ns, workspace}));
  Family family(*cluster, context.ns, Ordered::parse(object)["metadata"].value("uid", ""));
  const auto listing = TRY(cluster->list({cluster::events, context.ns, ""}));
  std::vector<std::string> about;
  for (const std::string& event : listing.items)
    if (family.is_about(event)) about.push_back(event);
  print(cluster::events, about, options, true);
  if (!watch) return ok();
  return follow(context, *cluster, cluster::events, options, listing,
                [&](const Ordered& event) { return family.is_about(event.dump()); });
}
}  // namespace kairo::cli
