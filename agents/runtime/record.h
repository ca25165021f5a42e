// agents/runtime/record.h - taking a fact into a record: the newest of each kind wins.
#pragma once
#include <string>

#include "schemas/command_generated.h"
#include "schemas/fact_generated.h"
#include "schemas/record_generated.h"

namespace kairo::runtime {
// Only a Workspace says which namespace and name the record has; what belongs to another namespace
// is none of its business.
// true: the record changed. A fact that is not newer than the one there is dropped, silently: facts
// come twice and late, and that is ordinary. is_last_word: its agent has said it after all that is
// in the record; then it counts whatever its version, which an agent takes from a clock.
bool absorb(wire::RecordT& record, const wire::FactT& fact, bool is_last_word = false);
// Said by an agent, which is alone in saying it; the cluster gives the versions of the others.
bool is_of_an_agent(wire::FactBody type);
// The record holds a newer fact of its kind. (Changes nothing.)
bool is_outdated(wire::RecordT& record, const wire::FactT& fact);
// The node whose agent said it; "" = it is of a kind that one agent says for all.
std::string node_of(const wire::FactT& fact);
// The version of the fact's body; 0 = a body without one, which is refused.
std::uint64_t version_of(const wire::FactT& fact);
// What the fact says, whatever its version: equal texts are equal news.
std::string content_of(const wire::FactT& fact);
// "workspace", "job", ...: the second token of the subject.
std::string kind_of(wire::FactBody type);
std::string kind_of(wire::CommandBody type);
// "kairo.facts.job.default.tune-me.<uid>", and the id that makes a second publish harmless.
std::string subject_of(const wire::FactT& fact);
std::string message_id_of(const wire::FactT& fact);
void set_mark(wire::RecordT& record, wire::MarkT mark);
}  // namespace kairo::runtime
