// agents/web/sight.cpp - a thread for each way: list and watch, the list of nodes, the bus, the
// time.
#include "agents/web/sight.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agents/cluster/kinds.h"
#include "agents/runtime/complaint.h"
#include "schemas/base/codec.h"
#include "schemas/base/log.h"
#include "schemas/fact_generated.h"

namespace kairo::web {
namespace {
using Json = nlohmann::json;
constexpr std::int64_t wait_ms = 1'000, nodes_every_ms = 5'000, tick_every_ms = 5'000;

std::string uid_of(const Json& object) {
  const Json::json_pointer at("/metadata/uid");
  return object.contains(at) && object[at].is_string() ? object[at].get<std::string>() : "";
}
std::string text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}
}  // namespace

Sight::~Sight() {
  deps_.trainings.wake();
  deps_.curves.wake();
  for (std::thread& thread : threads_) thread.join();
}
void Sight::start() {
  threads_.emplace_back([this] { follow_workspaces(); });
  threads_.emplace_back([this] { follow_nodes(); });
  threads_.emplace_back([this] {
    hear(deps_.trainings, steps_, [this](const bus::Message& m) { take_training(m); });
  });
  threads_.emplace_back([this] {
    hear(deps_.curves, curves_hop_, [this](const bus::Message& m) { take_curve(m); });
  });
  threads_.emplace_back([this] { tell_time(); });
}
void Sight::rest(std::int64_t ms) const {
  for (; ms > 0 && !stop_; ms -= 20) std::this_thread::sleep_for(std::chrono::milliseconds(20));
}
void Sight::note(Hop& hop, const std::string& error) {
  const std::lock_guard lock(mutex_);
  hop.ok = error.empty();
  hop.error = error;
  if (hop.ok) hop.heard_ms = deps_.clock.monotonic_ms();
}

void Sight::follow_workspaces() {
  const cluster::Selection all{cluster::workspaces, "", ""};
  runtime::Complaint complaint;
  std::string version;
  const auto failed = [&](const Error& error) {
    note(api_, error.what);
    if (complaint.is_due(true, deps_.clock.monotonic_ms()))
      log::warn("cannot watch Workspaces", {{"error", error.what}});
    rest(error.code == Code::expired ? 20 : 500);
  };
  while (!stop_) {
    if (version.empty()) {
      const auto listing = deps_.cluster.list(all);
      if (!listing.ok()) {
        failed(listing.error());
        continue;
      }
      std::map<std::string, std::string> found;
      for (const std::string& item : listing.value().items) {
        const Json object = Json::parse(item, nullptr, false);
        if (const std::string uid = uid_of(object); !uid.empty())
          found[uid] = text(shown_workspace(object));
      }
      deps_.feed.set_workspaces(std::move(found));
      version = listing.value().resource_version;
    }
    const auto events = deps_.cluster.watch(all, version, wait_ms);
    if (!events.ok()) {
      if (events.error().code == Code::expired) version.clear();
      failed(events.error());
      continue;
    }
    complaint.is_due(false, deps_.clock.monotonic_ms());
    note(api_, "");
    for (const cluster::Event& event : events.value()) {
      const Json object = Json::parse(event.object, nullptr, false);
      if (!object.is_object()) continue;
      version = object.value(Json::json_pointer("/metadata/resourceVersion"), version);
      const std::string uid = uid_of(object);
      if (event.type == cluster::Event::Type::bookmark || uid.empty()) continue;
      if (event.type != cluster::Event::Type::deleted) {
        deps_.feed.set_workspace(uid, text(shown_workspace(object)));
        continue;
      }
      deps_.feed.remove_workspace(uid);
      const std::lock_guard lock(mutex_);
      curves_.erase(uid);
      newest_.erase(uid);
    }
  }
}

void Sight::follow_nodes() {
  for (; !stop_; rest(nodes_every_ms)) {
    const auto listing = deps_.cluster.list({cluster::nodes, "", ""});
    if (!listing.ok()) continue;  // the watch says that the API server is silent
    Json nodes = Json::array();
    for (const std::string& item : listing.value().items)
      nodes.push_back(shown_node(Json::parse(item, nullptr, false), deps_.clock.now_ms()));
    const std::lock_guard lock(mutex_);
    nodes_ = text(nodes);
  }
}

void Sight::hear(bus::Bus& bus, Hop& hop, const std::function<void(const bus::Message&)>& take) {
  constexpr std::size_t at_once = 256;
  bus.read_from({});
  while (!stop_) {
    const auto batch = bus.next(at_once, std::chrono::milliseconds(wait_ms));
    note(hop, batch.ok() ? "" : batch.error().what);
    if (!batch.ok()) {
      rest(200);
      continue;
    }
    for (const bus::Message& message : batch.value().messages) take(message);
  }
}
// Each node has its own word of a Workspace: the newest counts.
void Sight::take_training(const bus::Message& message) {
  const auto fact = decode<wire::FactT>(message.bytes, wire::FactIdentifier());
  if (!fact.ok()) return;
  const wire::TrainingT* training = fact.value().body.AsTraining();
  if (training == nullptr) return;
  {
    const std::lock_guard lock(mutex_);
    std::int64_t& newest = newest_[fact.value().uid];
    if (training->progress->at_ms < newest) return;
    newest = training->progress->at_ms;
  }
  deps_.feed.train(fact.value().uid, progress_json(*training->progress));
}
void Sight::take_curve(const bus::Message& message) {
  const auto curve = decode<wire::CurveT>(message.bytes, wire::CurveIdentifier());
  if (!curve.ok() || curve.value().last.empty() || !is_even(curve.value())) return;
  {
    const std::lock_guard lock(mutex_);
    curves_[curve.value().uid] = message.bytes;
  }
  deps_.feed.curve(curve.value().uid, curve.value().last.back(), spark_json(curve.value()));
}

void Sight::tell_time() {
  for (; !stop_; rest(tick_every_ms)) {
    const std::int64_t at_ms = deps_.clock.now_ms();
    const std::lock_guard lock(mutex_);
    const Hop& bus = steps_.ok ? curves_hop_ : steps_;
    deps_.feed.tick(tick_json(at_ms, deps_.clock.monotonic_ms(), api_, bus, Json::parse(nodes_)));
  }
}

std::string Sight::curve_bytes(const std::string& uid) const {
  const std::lock_guard lock(mutex_);
  const auto found = curves_.find(uid);
  return found == curves_.end() ? "" : found->second;
}
std::string Sight::curve(const std::string& uid) const {
  const std::string bytes = curve_bytes(uid);
  if (bytes.empty()) return {};
  const auto curve = decode<wire::CurveT>(bytes, wire::CurveIdentifier());
  return curve.ok() ? curve_json(curve.value()) : "";
}
std::string Sight::trouble() const {
  const std::lock_guard lock(mutex_);
  if (!api_.ok) return "the API server: " + (api_.error.empty() ? "not heard yet" : api_.error);
  if (!steps_.ok) return "the bus: " + (steps_.error.empty() ? "not heard yet" : steps_.error);
  if (!curves_hop_.ok)
    return "the bus: " + (curves_hop_.error.empty() ? "not heard yet" : curves_hop_.error);
  return "";
}
}  // namespace kairo::web
