// agents/local/apiserver/memory_cluster.cpp - Objects behind a mutex, the clock, and who waits for
// the disk.
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
      persist_(std::move(persist)),
      objects_(std::make_unique<Objects>(std::move(seed), std::move(admit))),
      next_(std::make_shared<Save>()) {}
MemoryCluster::~MemoryCluster() = default;

// Whoever comes first saves for all that have come so far; those that come meanwhile are next.
Status MemoryCluster::settle(std::unique_lock<std::mutex>& lock) {
  const std::shared_ptr<Save> mine = objects_->has_unsaved() ? next_ : saving_;
  if (!mine) return ok();
  while (!mine->is_done) {
    if (saving_)
      saved_.wait(lock);
    else
      save(lock);
  }
  return mine->status;
}
void MemoryCluster::save(std::unique_lock<std::mutex>& lock) {
  const auto end = [](Save& save, const Status& status) {
    save.status = status;
    save.is_done = true;
  };
  const Changes rows = objects_->take_unsaved();
  saving_ = std::exchange(next_, std::make_shared<Save>());
  Status kept = ok();
  if (persist_) {
    lock.unlock();
    kept = persist_(rows);
    lock.lock();
  }
  end(*std::exchange(saving_, nullptr), kept);
  if (kept.ok()) {
    objects_->saved();
  } else {
    objects_->roll_back();
    end(*std::exchange(next_, std::make_shared<Save>()), kept);  // it was built on what is gone
  }
  saved_.notify_all();
  changed_.notify_all();
}
template <class Call>
auto MemoryCluster::durably(const Call& call) -> decltype(call()) {
  std::unique_lock lock(mutex_);
  auto done = guarded(*objects_, call);
  TRY(settle(lock));
  return done;
}

Status MemoryCluster::load(const Rows& rows) {
  const std::lock_guard lock(mutex_);
  return objects_->load(rows);
}
Status MemoryCluster::put_back(const Rows& rows, std::string seed) {
  std::unique_lock lock(mutex_);
  TRY(settle(lock));
  auto before = std::make_unique<Objects>(std::move(seed), objects_->admit());
  TRY(before->load(rows));
  objects_ = std::move(before);
  ++wakes_;
  changed_.notify_all();
  return ok();
}

Result<std::string> MemoryCluster::apply(const Apply& a) {
  return apply(a.ref, a.json, {a.manager, a.subresource, true});
}
Result<std::string> MemoryCluster::create(const Apply& a) {
  return create(a.ref.kind, a.ref.ns, a.json, {a.manager, "", true});
}
Result<std::string> MemoryCluster::patch(const Patch& p) {
  return patch(p.ref, p.json, {"kairo", p.subresource, true});
}
Result<std::string> MemoryCluster::get(const Ref& ref) {
  return durably([&] { return objects_->get(ref); });
}
Result<Listing> MemoryCluster::list(const Selection& selection) {
  return durably([&] { return Result<Listing>(objects_->list(selection)); });
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
  return durably([&] { return objects_->apply(ref, json, options, clock_.now_ms()); });
}
Result<std::string> MemoryCluster::create(const Kind& kind, const std::string& ns,
                                          const std::string& json, const WriteOptions& options) {
  return durably([&] { return objects_->create(kind, ns, json, options, clock_.now_ms()); });
}
Result<std::string> MemoryCluster::replace(const Ref& ref, const std::string& json,
                                           const WriteOptions& options) {
  return durably([&] { return objects_->replace(ref, json, options, clock_.now_ms()); });
}
Result<std::string> MemoryCluster::patch(const Ref& ref, const std::string& json,
                                         const WriteOptions& options) {
  return durably([&] { return objects_->patch(ref, json, options, clock_.now_ms()); });
}
Status MemoryCluster::remove(const Ref& ref, const RemoveOptions& options) {
  return durably([&] { return objects_->remove(ref, options, clock_.now_ms()); });
}
Status MemoryCluster::collect_garbage() {
  return durably([&]() -> Status {
    objects_->collect_garbage(clock_.now_ms());
    return ok();
  });
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
