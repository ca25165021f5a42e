// agents/provisioner/party.h - the nodes of one model on their way: what is there is followed, what
// is not is asked for. Pure.
#pragma once
#include "agents/provisioner/claims.h"
#include "agents/provisioner/stage.h"
#include "agents/runtime/agent.h"

namespace kairo::provisioner {
struct Part {  // one of the nodes
  Stage stage;
  const wire::NodeClaimT* claim = nullptr;  // null: the user has given it, or nothing stands for it
  std::size_t ordinal = 0;                  // of the marks about its claim
  bool is_given = false;
};
struct Party {
  std::uint32_t needed = 1;
  Orders orders;
  std::vector<Part> parts;  // as many as are needed
};
// Of a claim that has ended: its part asks for another one, alone, ever later.
Party follow(runtime::Decision& d, const wire::RecordT& record, const runtime::View& view,
             const Terms& terms);
// A pool that somebody has scaled gets back to what is needed.
void keep_size(runtime::Decision& d, const wire::RecordT& record, const runtime::View& view,
               const Terms& terms);
// This claim goes.
void give_up(runtime::Decision& d, const wire::RecordT& record, std::size_t ordinal,
             const wire::NodeClaimT& claim, const std::string& wish);
// How long until the next one is asked for, after so many that came to nothing.
std::int64_t retry_after_ms(std::uint32_t failures);
}  // namespace kairo::provisioner
