// agents/runtime/loop_round.h - what one step of the loop changes. Private to the loop.
#pragma once
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agents/runtime/loop.h"

namespace kairo::runtime {
struct Loop::Round {
  std::int64_t now_ms = 0;
  std::map<std::string, wire::RecordT> edits;  // records as they will be
  std::map<std::string, wire::NodeT> nodes;    // news of nodes
  Nodes view;                                  // all nodes, news included
  std::set<std::string> dirty, forgotten, cancelled;
  std::vector<std::pair<std::string, wire::CommandT>> rows;
  std::vector<std::string> outdated;  // keys of rows of an earlier process that are not to be done
  bus::Cursor cursor;                 // where the bus is read to
  bool is_whole = false;              // all last facts are read, those of this round included
  std::uint64_t outbox = 0;
  std::size_t taken = 0;    // of observed_
  std::string incarnation;  // the bus's new one; "" = as before
};

inline std::string outbox_key(std::uint64_t n) {  // sorts as text
  const std::string s = std::to_string(n);
  return "outbox/" + std::string(20 - s.size(), '0') + s;
}
}  // namespace kairo::runtime
