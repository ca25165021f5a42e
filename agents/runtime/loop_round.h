// agents/runtime/loop_round.h - what one step of the loop changes. Private to the loop.
#pragma once
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agents/runtime/loop.h"

namespace kairo::runtime {
struct Loop::Round {
  std::int64_t now_ms = 0;
  std::map<std::string, wire::RecordT> edits;              // records as they will be
  mutable std::map<std::string, wire::RecordT> taken_out;  // as they are; of those it looked at
  std::map<std::string, std::string> bytes;                // of the edits, when they are committed
  // Nodes of which there is news, as they were; nothing = they were not known.
  std::map<std::string, std::optional<wire::NodeT>> nodes_before;
  std::set<std::string> dirty, forgotten, forgotten_nodes, cancelled, decided;
  std::set<std::string> ended;  // whose workload or node has gone: an effect may wait for that
  std::vector<std::pair<std::string, wire::CommandT>> rows;
  std::vector<std::string> outdated;  // keys of rows of an earlier process that are not to be done
  bus::Cursor cursor;                 // where the bus is read to
  bool is_whole = false;              // all that was there when the reading began is read
  Stage stage = Stage::hears;         // after this round
  std::uint64_t outbox = 0;
  std::size_t taken = 0;          // of observed_
  std::vector<std::string> owed;  // of owed_
};

inline bool is_gone(const wire::RecordT& record) {
  return !record.workspace || !record.workspace->exists;
}
inline std::string outbox_key(std::uint64_t n) {  // sorts as text
  const std::string s = std::to_string(n);
  return "outbox/" + std::string(20 - s.size(), '0') + s;
}
}  // namespace kairo::runtime
