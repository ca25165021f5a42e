// gpu/engine/ranks.cpp - values meet in shared memory, a part at a time: each rank sums a slice of
// it for all. Words on sockets say who is there; a closed one, who is gone.
#include "gpu/engine/ranks.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <numeric>

#include "gpu/engine/device.h"
#include "schemas/base/assert.h"

namespace kairo::gpu {
namespace {
constexpr std::int64_t block_bytes = 4 << 20;
constexpr char here = 'h', gone = 'g';  // words; after gone comes the reason
constexpr std::size_t reason_max = 1 << 12;

constexpr std::size_t summed_at_once = 2048;
template <class T>
void add(T* __restrict to, const T* __restrict from, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) to[i] += from[i];
}

bool is_sent(int fd, const void* data, std::size_t size) {
  ssize_t sent = -1;
  do sent = ::send(fd, data, size, MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return sent == static_cast<ssize_t>(size);
}
std::string read_rest(int fd) {
  std::array<char, reason_max> text{};
  const ssize_t size = ::recv(fd, text.data(), text.size(), MSG_DONTWAIT);
  return size > 0 ? std::string(text.data(), static_cast<std::size_t>(size)) : "";
}
std::string how_it_ended(int pid) {
  int status = 0;
  if (::waitpid(pid, &status, 0) != pid) return "has ended";
  if (WIFSIGNALED(status)) return "was killed by signal " + std::to_string(WTERMSIG(status));
  return "has ended with exit code " + std::to_string(WEXITSTATUS(status));
}
}  // namespace

Result<std::shared_ptr<Ranks>> Ranks::start(int count) {
  KAIRO_ASSERT(count > 1, "one alone needs no others");
  const auto failed = [](const char* what) {
    return Error{Code::unavailable, "several processes: " + std::string(what) + ": " +
                                        std::strerror(errno) + "; lower --gpus"};
  };
  void* shared = ::mmap(nullptr, static_cast<std::size_t>((count + 1) * block_bytes),
                        PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return failed("shared memory");
  std::shared_ptr<Ranks> ranks(new Ranks(count, shared));
  for (int r = 1; r < count; ++r) {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
      return failed("socket");
    const pid_t child = ::fork();
    if (child < 0) {
      ::close(ends[0]);
      ::close(ends[1]);
      return failed("fork");
    }
    ::close(ends[child == 0 ? 0 : 1]);
    if (child == 0) {  // rank 0's ends are not its own: who holds them keeps others waiting
      for (const int fd : ranks->others_) ::close(fd);
      ranks->children_.clear();
      ranks->others_ = {ends[1]};
      ranks->rank_ = r;
      return ranks;
    }
    ranks->others_.push_back(ends[0]);
    ranks->children_.push_back(child);
  }
  return ranks;
}

Ranks::~Ranks() {
  for (const int fd : others_) ::close(fd);
  for (const int pid : children_) {
    if (pid <= 0) continue;
    // It ends by itself when it notices; where it computes that may take long.
    for (int looks = 0; looks < 100 && ::waitpid(pid, nullptr, WNOHANG) == 0; ++looks)
      ::usleep(20'000);
    if (::kill(pid, 0) == 0 && ::kill(pid, SIGKILL) == 0) ::waitpid(pid, nullptr, 0);
  }
  ::munmap(shared_, static_cast<std::size_t>((count_ + 1) * block_bytes));
}

char* Ranks::block(int of) const {
  return shared_ + of * block_bytes;
}

void Ranks::fail_of(int other) {
  if (rank_ > 0) throw DeviceFailure(false, "process 1 of the run has ended");
  const auto at = static_cast<std::size_t>(other);
  const std::string said = read_rest(others_[at]);
  const std::string how = how_it_ended(children_[at]);
  children_[at] = 0;
  throw DeviceFailure(false, "process " + std::to_string(other + 2) + " of the run " +
                                 (said.empty() ? how : "gave up: " + said));
}

// Rank 0 awaits all words, in any order, so that one that is gone is noticed whoever is slow.
void Ranks::meet() {
  char word = here;
  if (rank_ > 0) {
    ssize_t got = 0;
    if (!is_sent(others_[0], &word, 1)) fail_of(0);
    do got = ::recv(others_[0], &word, 1, 0);
    while (got < 0 && errno == EINTR);
    if (got != 1) fail_of(0);
    return;
  }
  std::vector<pollfd> waiting;
  for (const int fd : others_) waiting.push_back({fd, POLLIN, 0});
  for (std::size_t left = waiting.size(); left > 0;) {
    if (::poll(waiting.data(), waiting.size(), -1) < 0) continue;
    for (std::size_t i = 0; i < waiting.size(); ++i) {
      if (waiting[i].fd < 0 || waiting[i].revents == 0) continue;
      if (::recv(others_[i], &word, 1, 0) != 1 || word == gone) fail_of(static_cast<int>(i));
      waiting[i].fd = -1;  // poll passes over it
      --left;
    }
  }
  for (std::size_t i = 0; i < others_.size(); ++i)
    if (!is_sent(others_[i], &word, 1)) fail_of(static_cast<int>(i));
}

template <class T>
void Ranks::sum_parts(std::span<T> values) {
  constexpr auto part = static_cast<std::size_t>(block_bytes) / sizeof(T);
  const auto count = static_cast<std::size_t>(count_), rank = static_cast<std::size_t>(rank_);
  const auto of = [this](int r) { return static_cast<T*>(static_cast<void*>(block(r))); };
  for (std::size_t begin = 0; begin < values.size(); begin += part) {
    const std::span<T> now = values.subspan(begin, std::min(part, values.size() - begin));
    std::ranges::copy(now, of(rank_));
    meet();
    const std::size_t first = now.size() * rank / count, last = now.size() * (rank + 1) / count;
    // Rank by rank over what the nearest cache holds: loops that the compiler makes vectors of.
    for (std::size_t i = first; i < last; i += summed_at_once) {
      const std::size_t those = std::min(summed_at_once, last - i);
      T* const total = of(count_) + i;
      std::copy_n(of(0) + i, those, total);
      for (int r = 1; r < count_; ++r) add(total, of(r) + i, those);
    }
    meet();  // who goes on writes only its own block, until all have met again
    std::copy_n(of(count_), now.size(), now.data());
  }
}
void Ranks::sum(std::span<float> values) {
  sum_parts(values);
}
void Ranks::sum(std::span<double> values) {
  sum_parts(values);
}
std::int64_t Ranks::least(std::int64_t value) {
  std::memcpy(block(rank_), &value, sizeof value);
  meet();
  for (int r = 0; r < count_; ++r) {
    std::int64_t other = 0;
    std::memcpy(&other, block(r), sizeof other);
    value = std::min(value, other);
  }
  meet();
  return value;
}
bool Ranks::anyone(bool said) {
  return least(said ? 0 : 1) == 0;
}
bool Ranks::first(bool said) {
  return least(rank_ == 0 && said ? 0 : 1) == 0;
}

void Ranks::give_up(const std::string& why) {
  if (rank_ == 0) return;
  const std::string text = gone + why.substr(0, reason_max - 1);
  static_cast<void>(is_sent(others_[0], text.data(), text.size()));
}

std::vector<int> shares(std::span<const std::int64_t> tokens, int ranks) {
  std::vector<std::size_t> order(tokens.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](auto a, auto b) { return tokens[a] > tokens[b]; });
  std::vector<std::int64_t> load(static_cast<std::size_t>(ranks));
  std::vector<int> out(tokens.size());
  for (const std::size_t row : order) {
    const auto least = std::ranges::min_element(load);
    out[row] = static_cast<int>(least - load.begin());
    *least += tokens[row];
  }
  return out;
}

std::string visible_device(const char* visible, int rank) {
  if (visible == nullptr || *visible == '\0') return std::to_string(rank);
  const std::string all = visible;
  std::size_t begin = 0;
  for (int r = 0; r < rank && begin != all.npos; ++r) {
    const std::size_t comma = all.find(',', begin);
    begin = comma == all.npos ? all.npos : comma + 1;
  }
  if (begin == all.npos) return "";  // there is none for it
  return all.substr(begin, all.find(',', begin) - begin);
}
}  // namespace kairo::gpu
