// agents/local/apiserver/memory_cluster.cpp - Objects behind a mutex, and the clock.
#include "agents/local/apiserver/memory_cluster.h"

#include <charconv>

#include "agents/cluster/kinds.h"
#include "agents/local/apiserver/objects.h"

namespace kairo::cluster {
namespace {
constexpr std::uint64_t bookmark_distance = events_max / 4;

Result<std::uint64_t> version_of(const std::string& text) {
  std::uint64_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size())
    return Error{Code::invalid, "resourceVersion: Invalid value: \"" + text + "\""};
  return out;
}
// The JSON library throws where a field has another type than its place asks for.
template <class Write>
auto guarded(Objects& objects, const Write& write) -> decltype(write()) {
  try {
    return write();
  } catch (const Json::exception& e) {
    objects.abandon();
    return Error{Code::invalid, std::string("a field has the wrong type: ") + e.what()};
  }
}
Event bookmark(const Kind& kind, std::uint64_t version) {
  const Json object = {{"apiVersion", api_version(kind)},
                       {"kind", kind.kind},
                       {"metadata", {{"resourceVersion", std::to_string(version)}}}};
  return {Event::Type::bookmark, object.dump()};
}
}  // namespace

MemoryCluster::MemoryCluster(const Clock& clock, std::string seed, Persist persist, Admit admit,
                             LogSource log_source)
    : clock_(clock),
      log_source_(std::move(log_source)),
      objects_(std::make_unique<Objects>(std::move(seed), std::move(persist), std::move(admit))) {}
MemoryCluster::~MemoryCluster() = default;

Status MemoryCluster::load(const std::vector<std::pair<std::string, std::string>>& rows) {
  const std::lock_guard lock(mutex_);
  return objects_->load(rows);
}

Result<std::string> MemoryCluster::apply(const Apply& a) {
  return apply(a.ref, a.json, {a.manager, a.subresource, true});
}
Result<std::string> MemoryCluster::patch(const Patch& p) {
  return patch(p.ref, p.json, {"kairo", p.subresource, true});
}
Result<std::string> MemoryCluster::get(const Ref& ref) {
  const std::lock_guard lock(mutex_);
  return objects_->get(ref);
}
Result<Listing> MemoryCluster::list(const Selection& selection) {
  const std::lock_guard lock(mutex_);
  return objects_->list(selection);
}

Result<std::vector<Event>> MemoryCluster::watch(const Selection& selection,
                                                const std::string& resource_version,
                                                std::int64_t wait_ms) {
  const std::uint64_t from = TRY(version_of(resource_version));
  const std::int64_t deadline = clock_.monotonic_ms() + wait_ms;
  std::unique_lock lock(mutex_);
  const std::uint64_t wakes = wakes_;
  std::uint64_t seen = from;
  for (;;) {
    auto found = TRY(objects_->events(selection, seen));
    if (!found.empty()) return found;
    seen = objects_->version();  // nothing for this selection up to here
    const std::int64_t left = deadline - clock_.monotonic_ms();
    if (left > 0 && wakes == wakes_) {
      const auto waited = changed_.wait_for(lock, std::chrono::milliseconds(left));
      if (waited == std::cv_status::no_timeout) continue;
    }
    if (objects_->version() != seen) continue;
    if (seen - from >= bookmark_distance) found.push_back(bookmark(selection.kind, seen));
    return found;
  }
}

Status MemoryCluster::remove(const Ref& ref, const std::string& uid) {
  RemoveOptions options;
  options.uid = uid;
  // A workload is gone when its pods are: who waits for it may free what they used.
  if (ref.kind.plural == jobs.plural || ref.kind.plural == stateful_sets.plural)
    options.propagation = Propagation::foreground;
  const Status removed = remove(ref, options);
  if (!removed.ok() && removed.error().code == Code::not_found) return ok();
  return removed;
}

Result<std::string> MemoryCluster::log(const Ref& pod, const std::string& container,
                                       std::uint64_t offset) {
  const std::string object = TRY(get(pod));
  if (!log_source_) return std::string();
  return log_source_(object, container, offset);
}

Result<std::string> MemoryCluster::apply(const Ref& ref, const std::string& json,
                                         const WriteOptions& options) {
  const std::lock_guard lock(mutex_);
  auto done =
      guarded(*objects_, [&] { return objects_->apply(ref, json, options, clock_.now_ms()); });
  if (done.ok()) changed_.notify_all();
  return done;
}
Result<std::string> MemoryCluster::create(const Kind& kind, const std::string& ns,
                                          const std::string& json, const WriteOptions& options) {
  const std::lock_guard lock(mutex_);
  auto done = guarded(*objects_,
                      [&] { return objects_->create(kind, ns, json, options, clock_.now_ms()); });
  if (done.ok()) changed_.notify_all();
  return done;
}
Result<std::string> MemoryCluster::replace(const Ref& ref, const std::string& json,
                                           const WriteOptions& options) {
  const std::lock_guard lock(mutex_);
  auto done =
      guarded(*objects_, [&] { return objects_->replace(ref, json, options, clock_.now_ms()); });
  if (done.ok()) changed_.notify_all();
  return done;
}
Result<std::string> MemoryCluster::patch(const Ref& ref, const std::string& json,
                                         const WriteOptions& options) {
  const std::lock_guard lock(mutex_);
  auto done =
      guarded(*objects_, [&] { return objects_->patch(ref, json, options, clock_.now_ms()); });
  if (done.ok()) changed_.notify_all();
  return done;
}
Status MemoryCluster::remove(const Ref& ref, const RemoveOptions& options) {
  const std::lock_guard lock(mutex_);
  const Status done =
      guarded(*objects_, [&] { return objects_->remove(ref, options, clock_.now_ms()); });
  if (done.ok()) changed_.notify_all();
  return done;
}
Status MemoryCluster::collect_garbage() {
  const std::lock_guard lock(mutex_);
  const std::uint64_t before = objects_->version();
  const Status done =
      guarded(*objects_, [&] { return objects_->collect_garbage(clock_.now_ms()); });
  if (objects_->version() != before) changed_.notify_all();
  return done;
}
std::uint64_t MemoryCluster::version() const {
  const std::lock_guard lock(mutex_);
  return objects_->version();
}
void MemoryCluster::wait_past(std::uint64_t version, std::int64_t wait_ms) {
  std::unique_lock lock(mutex_);
  const std::uint64_t wakes = wakes_;
  changed_.wait_for(lock, std::chrono::milliseconds(wait_ms),
                    [&] { return objects_->version() > version || wakes != wakes_; });
}
void MemoryCluster::wake() {
  const std::lock_guard lock(mutex_);
  ++wakes_;
  changed_.notify_all();
}
}  // namespace kairo::cluster
