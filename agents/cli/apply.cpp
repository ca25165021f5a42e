// agents/cli/apply.cpp - apply and delete: one object that fails does not stop the others.
#include <algorithm>
#include <condition_variable>
#include <iostream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
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
// Names that are there already, of a group that is long enough for a list to pay. nullopt: unknown.
using Present = std::optional<std::set<std::pair<std::string, std::string>>>;  // namespace, name
Present present_in(cluster::Cluster& cluster, std::span<const Parsed> group) {
  constexpr std::size_t worth_a_list = 20;
  if (group.size() < worth_a_list) return std::nullopt;
  Present out(std::in_place);
  std::set<std::string> namespaces;
  for (const Parsed& object : group) namespaces.insert(object.ref.ns);
  for (const std::string& ns : namespaces) {
    const auto listing = cluster.list({group.front().ref.kind, ns, ""});
    if (!listing.ok()) return std::nullopt;
    for (const std::string& item : listing.value().items) out->emplace(ns, meta(item, "name"));
  }
  return out;
}
// An answer of a form that nobody foresaw is an error of this object, not the end of the others.
Result<std::string> guarded(const std::string& name, const auto& call) {
  try {
    return call();
  } catch (const std::exception& e) {
    return Error{Code::corrupt, name + ": unexpected: " + e.what()};
  }
}
// "created", "configured" or "unchanged".
Result<std::string> apply_one(cluster::Cluster& cluster, const Parsed& object,
                              const Present& present) {
  std::optional<std::string> before;  // its version
  if (!present || present->contains({object.ref.ns, object.ref.name}))
    if (const auto there = cluster.get(object.ref); there.ok())
      before = meta(there.value(), "resourceVersion");
  const auto after = cluster.apply({object.ref, object.json, manager, ""});
  if (!after.ok())
    return Error{after.error().code, printed_name(object.ref) + ": " + after.error().what};
  if (!before) return std::string("created");
  return std::string(*before == meta(after.value(), "resourceVersion") ? "unchanged"
                                                                       : "configured");
}
// Objects of one kind do not need each other: several are on their way at a time. What became of
// them is said in the file's order, as soon as it is known.
void apply_group(cluster::Cluster& cluster, std::span<const Parsed> group, Failures& failures) {
  constexpr std::size_t at_a_time = 8;
  const Present present = present_in(cluster, group);
  std::mutex mutex;
  std::condition_variable news;
  std::size_t next = 0;                                                // guarded by mutex
  std::vector<std::optional<Result<std::string>>> done(group.size());  // guarded by mutex
  const auto work = [&] {
    for (std::unique_lock lock(mutex); next < group.size();) {
      const std::size_t mine = next++;
      lock.unlock();
      auto verb = guarded(printed_name(group[mine].ref),
                          [&] { return apply_one(cluster, group[mine], present); });
      lock.lock();
      done[mine] = std::move(verb);
      news.notify_one();
    }
  };
  std::vector<std::jthread> workers;
  for (std::size_t i = 0; i < std::min(at_a_time, group.size()); ++i) workers.emplace_back(work);
  for (std::size_t i = 0; i < group.size(); ++i) {
    std::unique_lock lock(mutex);
    news.wait(lock, [&] { return done[i].has_value(); });
    const Result<std::string> verb = std::move(*done[i]);
    lock.unlock();
    if (verb.ok())
      std::cout << printed_name(group[i].ref) << " " << verb.value() << std::endl;
    else
      failures.add(verb.error());
  }
}
}  // namespace

Status apply(Context& context, const std::vector<std::string>& files) {
  const auto objects = TRY(objects_in(files, context.ns));
  const auto cluster = TRY(context.connect());
  Failures failures;
  for (auto begin = objects.begin(); begin != objects.end();) {
    const auto end = std::find_if(
        begin, objects.end(), [&](const Parsed& o) { return !(o.ref.kind == begin->ref.kind); });
    apply_group(*cluster, {begin, end}, failures);
    begin = end;
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
