// agents/provisioner/end.cpp - a mark counts the questions, a ClaimEnd is the answer.
#include "agents/provisioner/end.h"

#include "agents/provisioner/follow.h"

namespace kairo::provisioner {
namespace {
constexpr std::int64_t again_ms = 2'000;
constexpr int questions_max = 3;

std::string wish_of(const wire::NodeClaimT& end, int question) {
  return "explain/" + end.uid + "/" + std::to_string(question);
}
void ask_about(runtime::Decision& d, const wire::RecordT& record, const wire::NodeClaimT& end,
               int question, std::int64_t now_ms) {
  wire::ExplainEndT body;
  body.wish = wish_of(end, question);
  body.claim = end.name;
  body.uid = end.uid;
  const std::string wish = body.wish;
  runtime::ask(d, record, "explain", wish, "", std::move(body));
  d.marks.back().at_ms = now_ms;
}
}  // namespace

Told explain(runtime::Decision& d, const wire::RecordT& record, const wire::NodeClaimT& end,
             std::int64_t now_ms) {
  const wire::ClaimEndT* answer = record.claim_end.get();
  const wire::MarkT& asked = runtime::mark_of(record, "explain");
  int question = 0;  // the last that was asked about this one
  for (int i = 1; i <= questions_max; ++i)
    if (asked.value == wish_of(end, i)) question = i;
  const bool is_about_it =
      answer != nullptr && answer->wish.starts_with("explain/" + end.uid + "/");
  const bool is_known = is_about_it && !answer->reason.empty();
  const bool is_answered = question > 0 && is_about_it && answer->wish == asked.value;
  const bool is_late = now_ms < asked.at_ms || now_ms - asked.at_ms >= again_ms;
  if (question == 0 && !is_known)
    ask_about(d, record, end, 1, now_ms);
  else if (!is_known && is_answered && question < questions_max && is_late)
    ask_about(d, record, end, question + 1, now_ms);
  else if (!is_known && is_answered && question < questions_max)
    wake(d, asked.at_ms + again_ms);
  const std::string what =
      end.kind + " " + end.name + (end.exists ? " is being deleted" : " has been deleted");
  if (is_known) return {answer->reason, what + ": " + answer->reason + ": " + answer->message};
  return {"NodeClaimDeleted", what};
}
}  // namespace kairo::provisioner
