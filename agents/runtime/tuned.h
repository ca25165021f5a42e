// agents/runtime/tuned.h - what an inference Workspace gets from the tuning Workspaces that it
// names. Pure: the node agent loads by it, the watcher tells by it.
//
// They are named in an annotation. KAITO's spec has no place for them (an adapter's source is an
// image or a volume, which KAITO would pull), and what stands in the spec is a new revision of the
// server: its pod would be made anew.
#pragma once
#include <string>
#include <vector>

#include "schemas/command_generated.h"
#include "schemas/record_generated.h"

namespace kairo::runtime {
constexpr const char* adapters_from = "kairo.dev/adapters-from";  // "pip, pip-2"
constexpr std::size_t adapters_from_max = 64;                     // names that count

// The names in its annotation, each once, in their order; none where it serves nothing.
std::vector<std::string> named_tunings(const wire::WorkspaceT& workspace);

enum class Tuning : std::uint8_t {
  ready,           // `adapter` is to answer
  coming,          // it is being tuned, or pushed
  failed,          // it ended without an adapter
  leaving,         // it is being deleted
  missing,         // no Workspace has the name
  is_none,         // that one tunes nothing
  other_base,      // it is tuned on another base model than the server's
  elsewhere,       // its adapter is on another node only
  without_digest,  // KAITO has pushed it; nobody has told what
  name_taken,      // the server has a base model or an adapter of that name
};
struct Tuned {
  Tuning state = Tuning::missing;
  wire::WantedAdapterT adapter{};  // of a ready one
  std::string base{};              // that it is tuned on; "" = it is not known
  std::string node{};              // elsewhere: where
};
// record: of the inference Workspace. tuning: of the Workspace that has the name; null = there is
// none.
Tuned tuned_for(const wire::RecordT& record, const std::string& name, const wire::RecordT* tuning);
// What a node agent last said of the adapter, the server's own node's word first: that one answers,
// or did; null = none of the server's base model ever did.
const wire::ServedAdapterT* last_served(const wire::RecordT& record, const std::string& name);
// What the server is to have: tunings that are ready, and of the others what answered last.
bool is_to_be_served(const wire::RecordT& record, const std::string& name, const Tuned& tuned,
                     wire::WantedAdapterT& out);
// kairo's own engine serves it: others are not asked to load anything while they run.
bool can_load_adapters(const wire::RecordT& record);
}  // namespace kairo::runtime
