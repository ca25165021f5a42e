// tests/sim/dice.h - one seed's chance, what it hit, and the journal of all that happened.
#pragma once
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <utility>

namespace kairo::sim {
struct Crash {};  // the process dies here

// A running hash (FNV-1a) of every event in its order: equal seeds, equal digests. TRACE=1 prints
// the events.
class Journal {
 public:
  void note(std::string_view kind, std::string_view detail) {
    mix(kind);
    mix(" ");
    mix(detail);
    mix("\n");
    ++events_;
    if (loud_)
      std::fprintf(stderr, "%.*s %.*s\n", static_cast<int>(kind.size()), kind.data(),
                   static_cast<int>(std::min<std::size_t>(detail.size(), 400)), detail.data());
  }
  std::string digest() const { return std::to_string(hash_) + "/" + std::to_string(events_); }

 private:
  void mix(std::string_view bytes) {
    for (const char c : bytes) hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 1099511628211U;
  }
  std::uint64_t hash_ = 14695981039346656037U, events_ = 0;
  bool loud_ = std::getenv("TRACE") != nullptr;
};

struct Dice {
  std::mt19937_64 rng;
  bool healed = false;  // the last act: the world has become reliable
  unsigned rarity = 1;  // faults come so many times more rarely
  std::string aim;      // the kind of effect at which this seed crashes often
  std::string doing;    // the effect, or the part of an agent, that runs now
  Journal journal;
  std::map<std::string, std::uint64_t> crashes;  // "PushImage before" -> how often

  std::uint64_t below(std::uint64_t n) { return rng() % n; }
  bool fault(unsigned one_in) {
    if (healed || rng() % (std::uint64_t{one_in} * rarity) != 0) return false;
    journal.note("fault", doing);
    return true;
  }
  void crash(const char* where, unsigned one_in) {
    const bool is_aimed = !healed && doing == aim && below(4) == 0;
    if (!is_aimed && !fault(one_in)) return;
    const std::string at = doing + " " + where;
    journal.note("crash", at);
    ++crashes[at];
    throw Crash{};
  }
};

class Doing {  // names what runs now, as long as it lives
 public:
  Doing(Dice& dice, std::string what) : dice_(dice), before_(std::move(dice.doing)) {
    dice.doing = std::move(what);
  }
  ~Doing() { dice_.doing = std::move(before_); }
  Doing(const Doing&) = delete;
  Doing& operator=(const Doing&) = delete;

 private:
  Dice& dice_;
  std::string before_;
};
}  // namespace kairo::sim
