// agents/cli/apply.cpp - apply and delete: one object that fails does not stop the others.
#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>

#include "agents/cli/cli.h"
#include "agents/cli/files.h"
#include "agents/cli/resource_words.h"

namespace kairo::cli {
namespace {
using Ordered = nlohmann::ordered_json;
constexpr const char* manager = "kairo-cli";

class Failures {  // said as they come; the last one is the command's own
 public:
  void add(Error error) {
    if (last_) std::cerr << "error: " << last_->what << std::endl;
    last_ = std::move(error);
  }
  Status result() const { return last_ ? Status(*last_) : ok(); }

 private:
  std::optional<Error> last_;
};
std::string meta(const std::string& object, const char* key) {
  return Ordered::parse(object)["metadata"].value(key, "");
}
struct Going {  // an object that was asked to go
  cluster::Ref ref;
  std::string uid;
};
// Another object of the same name, which a controller has made meanwhile, is not waited for.
Status wait_until_gone(Context& context, cluster::Cluster& cluster, const Going& going) {
  while (!context.stop) {
    const auto still = cluster.get(going.ref);
    if (still.ok() && meta(still.value(), "uid") != going.uid) return ok();
    if (!still.ok() && still.error().code == Code::not_found) return ok();
    if (!still.ok()) TRY(must_run(context));
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return ok();
}
}  // namespace

Status apply(Context& context, const std::vector<std::string>& files) {
  const auto objects = TRY(objects_in(files, context.ns));
  const auto cluster = TRY(context.connect());
  Failures failures;
  for (const Parsed& object : objects) {
    const auto before = cluster->get(object.ref);
    const auto after = cluster->apply({object.ref, object.json, manager, ""});
    if (!after.ok()) {
      failures.add({after.error().code, printed_name(object.ref) + ": " + after.error().what});
      continue;
    }
    const bool is_same = before.ok() && meta(before.value(), "resourceVersion") ==
                                            meta(after.value(), "resourceVersion");
    const char* verb = !before.ok() ? "created" : is_same ? "unchanged" : "configured";
    std::cout << printed_name(object.ref) << " " << verb << std::endl;
  }
  return failures.result();
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
  for (const Parsed& object : TRY(objects_in(files, context.ns))) refs.push_back(object.ref);
  const auto cluster = TRY(context.connect());
  Failures failures;
  std::vector<Going> going;
  for (const cluster::Ref& ref : refs) {
    const auto object = cluster->get(ref);  // kubectl's "not found"
    Status removed = object.ok() ? ok() : Status(object.error());
    const std::string uid = object.ok() ? meta(object.value(), "uid") : "";
    if (removed.ok()) removed = cluster->remove(ref, uid);
    if (!removed.ok()) {
      failures.add(removed.error());
      continue;
    }
    going.push_back({ref, uid});
    std::cout << printed_name(ref) << " deleted" << std::endl;
  }
  for (const Going& one : going)
    if (wait) TRY(wait_until_gone(context, *cluster, one));
  return failures.result();
}
}  // namespace kairo::cli
