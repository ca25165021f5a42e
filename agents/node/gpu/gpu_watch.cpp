// agents/node/gpu/gpu_watch.cpp - one thread opens the driver, one for each GPU reads it, one waits
// for its errors, one reads the kernel's log. They share a board and are detached: of those that
// hang in the driver none can be ended.
#include "agents/node/gpu/gpu_watch.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "agents/node/gpu/kernel_log.h"

namespace kairo::node {
namespace {
constexpr std::int64_t same_error_ms = 2'000;  // the kernel's log and the driver tell of one error
constexpr int events_wait_ms = 500;
}  // namespace

struct GpuWatch::Shared {
  explicit Shared(GpuWatchSettings s) : settings(std::move(s)) {}
  std::int64_t now() const { return settings.clock->monotonic_ms(); }
  // Until the watch ends, or the driver that `of` is has been given up; false then.
  bool pause(std::int64_t ms, std::uint64_t of = 0) {
    std::unique_lock lock(mutex);
    changed.wait_for(lock, std::chrono::milliseconds(ms), [&] { return is_over(of); });
    return !is_over(of);
  }
  bool is_over(std::uint64_t of) const { return ends || (of != 0 && of != session); }
  void note(const Xid& xid);
  void drop(std::uint64_t of) {  // the driver is to be opened anew
    const std::lock_guard lock(mutex);
    if (of == session) ++session;
    changed.notify_all();
  }

  const GpuWatchSettings settings;
  mutable std::mutex mutex;
  std::condition_variable changed;
  bool ends = false;
  std::uint64_t session = 1;  // of the driver; another one has been opened when it grows
  std::int64_t opening_since_ms = 0;
  bool is_open = false;
  std::string driver, trouble;
  unsigned listed = 0;
  std::map<std::string, GpuSight> gpus;  // by uuid
};

void GpuWatch::Shared::note(const Xid& xid) {
  const std::lock_guard lock(mutex);
  for (auto& [uuid, seen] : gpus) {
    if (pci_key(seen.gpu.pci) != pci_key(xid.pci)) continue;
    const std::int64_t at_ms = now();
    if (seen.last && seen.last->number == xid.number && at_ms - seen.last->at_ms < same_error_ms)
      continue;
    seen.last = {xid.number, at_ms};
    if (is_fatal(settings.xids, xid.number)) seen.fatal = seen.last;
  }
}

namespace {
template <class Shared>
void read_one(const std::shared_ptr<Shared>& shared, const std::shared_ptr<Gpus>& gpus, Gpu gpu,
              std::uint64_t session) {
  do {
    {
      const std::lock_guard lock(shared->mutex);
      if (shared->is_over(session)) return;
      shared->gpus[gpu.uuid].busy_since_ms = shared->now();
    }
    GpuAnswer<Reading> got = gpus->read(gpu);
    {
      const std::lock_guard lock(shared->mutex);
      if (shared->is_over(session)) return;
      GpuSight& seen = shared->gpus[gpu.uuid];
      seen.busy_since_ms = 0;
      if (got.value) {
        seen.reading = std::move(got.value);
        seen.read_at_ms = shared->now();
        seen.error.reset();
      } else {
        seen.reading.reset();
        seen.error = got.error;
      }
    }
    if (!got.value && got.error.code == GpuCode::no_driver) return shared->drop(session);
  } while (shared->pause(shared->settings.period_ms, session));
}

template <class Shared>
void hear(const std::shared_ptr<Shared>& shared, const std::shared_ptr<Gpus>& gpus,
          std::uint64_t session) {
  for (;;) {
    const auto got = gpus->next_errors(events_wait_ms);
    if (got.value) {
      for (const Xid& xid : *got.value) shared->note(xid);
    } else if (got.error.code == GpuCode::absent) {
      return;
    }
    if (!shared->pause(got.value ? 0 : shared->settings.period_ms, session)) return;
  }
}

// What a newly opened driver has; a reading of an earlier one says nothing about it. A GPU that was
// there and is not listed any more is lost.
template <class Shared>
std::uint64_t take_over(Shared& shared, const Inventory& has) {
  const std::lock_guard lock(shared.mutex);
  for (auto& [uuid, seen] : shared.gpus) {
    seen.reading.reset();
    seen.busy_since_ms = 0;
    seen.error = GpuError{GpuCode::lost, "the driver does not list it"};
  }
  for (const Gpu& gpu : has.gpus) {
    shared.gpus[gpu.uuid] = {};
    shared.gpus[gpu.uuid].gpu = gpu;
  }
  shared.is_open = true;
  shared.driver = has.driver;
  shared.listed = static_cast<unsigned>(has.gpus.size());
  shared.trouble.clear();
  for (const std::string& silent : has.silent)
    shared.trouble += (shared.trouble.empty() ? "" : "; ") + silent;
  if (!shared.trouble.empty()) shared.trouble += ": " + remedy_of(XidClass::reboot);
  return shared.session;
}

template <class Shared>
bool has_lost_one(const Shared& shared) {
  const std::lock_guard lock(shared.mutex);
  return std::any_of(shared.gpus.begin(), shared.gpus.end(),
                     [](const auto& known) { return known.second.error.has_value(); });
}

template <class Shared>
void keep_open(const std::shared_ptr<Shared>& shared) {
  const GpuWatchSettings& settings = shared->settings;
  std::int64_t wait_ms = settings.retry_ms;
  for (;;) {
    std::uint64_t session = 0;
    {
      const std::lock_guard lock(shared->mutex);
      shared->opening_since_ms = shared->now();
      session = shared->session;
    }
    auto opened = settings.open();
    {
      const std::lock_guard lock(shared->mutex);
      shared->opening_since_ms = 0;
    }
    if (opened.value) {
      std::shared_ptr<Gpus> gpus = std::move(*opened.value);
      session = take_over(*shared, gpus->inventory());
      for (const Gpu& gpu : gpus->inventory().gpus)
        std::thread([=] { read_one(shared, gpus, gpu, session); }).detach();
      std::thread([=] { hear(shared, gpus, session); }).detach();
      opened.value.reset();
      gpus.reset();  // those threads have it
      while (shared->pause(settings.retry_ms_max, session))
        if (has_lost_one(*shared)) shared->drop(session);  // it may be back
      wait_ms = settings.reopen_ms;
      if (!shared->pause(wait_ms)) return;
      continue;
    }
    {
      const std::lock_guard lock(shared->mutex);
      const bool was_there = shared->is_open || !shared->trouble.empty();
      shared->is_open = false;
      shared->trouble.clear();
      for (auto& [uuid, seen] : shared->gpus) seen.reading.reset();
      if (was_there || opened.error.code != GpuCode::absent)
        shared->trouble = "the NVIDIA driver does not work (" + opened.error.what +
                          "): load it (modprobe nvidia), or restart the node";
    }
    if (!shared->pause(wait_ms)) return;
    wait_ms = std::min(std::max(wait_ms, settings.reopen_ms) * 2, settings.retry_ms_max);
  }
}

// Whether another file has its name by now: a log that was rotated.
bool is_rotated(int file, const std::string& path) {
  struct stat ours {
  }, named{};
  return ::fstat(file, &ours) == 0 && ::stat(path.c_str(), &named) == 0 &&
         (ours.st_ino != named.st_ino || ours.st_dev != named.st_dev);
}
// /dev/kmsg gives a record a read, at its end EAGAIN; a file gives bytes, at its end none.
template <class Shared>
void follow_log(const std::shared_ptr<Shared>& shared) {
  const std::string& path = shared->settings.kernel_log;
  constexpr int how = O_RDONLY | O_NONBLOCK | O_CLOEXEC;
  int file = ::open(path.c_str(), how);
  if (file < 0) return;  // it may not be read here: the driver's own events tell as much
  (void)::lseek(file, 0, SEEK_END);
  std::string bytes, line;
  do {
    bytes.resize(kernel_line_max);
    const ssize_t got = ::read(file, bytes.data(), bytes.size());
    if (got <= 0) {
      if (!shared->pause(200)) break;
      if (!is_rotated(file, path)) continue;
      if (const int next = ::open(path.c_str(), how); next >= 0) {
        ::close(std::exchange(file, next));
        line.clear();
      }
      continue;
    }
    for (std::size_t i = 0; i < static_cast<std::size_t>(got); ++i) {
      if (bytes[i] != '\n') {
        if (line.size() < kernel_line_max) line += bytes[i];
        continue;
      }
      if (const auto xid = xid_in(line)) shared->note(*xid);
      line.clear();
    }
  } while (shared->pause(0));
  ::close(file);
}
}  // namespace

GpuWatch::GpuWatch(GpuWatchSettings settings)
    : shared_(std::make_shared<Shared>(std::move(settings))) {
  std::thread([shared = shared_] { keep_open(shared); }).detach();
  if (!shared_->settings.kernel_log.empty())
    std::thread([shared = shared_] { follow_log(shared); }).detach();
}
GpuWatch::~GpuWatch() {
  const std::lock_guard lock(shared_->mutex);
  shared_->ends = true;
  shared_->changed.notify_all();
}

GpuBoard GpuWatch::board() const {
  const unsigned on_bus = shared_->settings.count ? shared_->settings.count() : 0;
  const std::lock_guard lock(shared_->mutex);
  GpuBoard out;
  out.now_ms = shared_->now();
  out.is_open = shared_->is_open;
  out.driver = shared_->driver;
  out.trouble = shared_->trouble;
  const std::int64_t since = shared_->opening_since_ms;
  if (since != 0 && out.now_ms - since > silent_ms_max && out.trouble.empty())
    out.trouble = "the NVIDIA driver does not answer: " + remedy_of(XidClass::reboot);
  if (out.is_open && out.trouble.empty() && on_bus > shared_->listed)
    out.trouble = "the NVIDIA driver lists " + std::to_string(shared_->listed) + " of the " +
                  std::to_string(on_bus) + " GPUs on the bus: " + remedy_of(XidClass::reboot);
  for (const auto& [uuid, seen] : shared_->gpus) out.gpus.push_back(seen);
  std::sort(out.gpus.begin(), out.gpus.end(),
            [](const auto& a, const auto& b) { return a.gpu.index < b.gpu.index; });
  return out;
}

unsigned gpus_on_bus(const std::string& folder) {
  unsigned out = 0;
  std::error_code error;
  for (const auto& device : std::filesystem::directory_iterator(folder, error)) {
    std::string vendor, kind;
    std::ifstream(device.path() / "vendor") >> vendor;
    std::ifstream(device.path() / "class") >> kind;
    if (vendor == "0x10de" && kind.starts_with("0x03")) ++out;
  }
  return out;
}
}  // namespace kairo::node
