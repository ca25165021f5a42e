// What this proves: what other programs get of a curve is all of it, each step once and in the file
// of the attempt whose step it is, and its numbers are the recorded bits.
#include "agents/cli/curve_text.h"

#include <doctest/doctest.h>

#include <memory>

namespace kairo::cli {
namespace {
wire::CurveT curve() {
  wire::CurveT out;
  out.ns = "team";
  out.name = "pip";
  out.revision = "0123456789abcdef";
  out.settings = R"({"learning_rate":0.001,"method":"qlora"})";
  for (const auto& [number, from] : {std::pair{1U, 0U}, {2U, 4U}, {3U, 2U}}) {
    auto attempt = std::make_unique<wire::CurveAttemptT>();
    attempt->attempt = number;
    attempt->from_step = from;
    out.attempts.push_back(std::move(attempt));
  }
  for (const auto& [step, loss] : {std::pair{2U, 0.75F}, {3U, 0.5F}}) {
    auto eval = std::make_unique<wire::CurveEvalT>();
    eval->step = step;
    eval->loss = loss;
    out.evals.push_back(std::move(eval));
  }
  out.first = {1, 2, 3};
  out.last = {1, 2, 4};  // the last bucket is of two steps
  out.min = {1.5F, 0.1F, 0.05F};
  out.mean = {1.5F, 0.1F, 0.0625F};
  out.max = {1.5F, 0.1F, 0.075F};
  out.learning_rate = {0.001F, 0.0005F, 0};
  out.grad_norm = {1, 2, 3};
  out.tokens_per_second = {100, 200, 300};
  out.tokens = {10, 20, 40};
  out.at_ms = {1'764'000'001'000, 1'764'000'002'000, 1'764'000'004'000};
  return out;
}
std::size_t times(const std::string& text, const std::string& word) {
  std::size_t n = 0;
  for (std::size_t at = text.find(word); at != text.npos; at = text.find(word, at + 1)) ++n;
  return n;
}
}  // namespace

TEST_CASE("CSV: a row a bucket, an evaluation beside its step or alone") {
  CHECK(curve_csv(curve()) ==
        "step,attempt,loss,learning_rate,grad_norm,tokens,tokens_per_second,at_ms,eval_loss,"
        "first_step,loss_min,loss_max\n"
        "1,1,1.5,0.001,1,10,100,1764000001000,,1,1.5,1.5\n"
        "2,1,0.1,5e-04,2,20,200,1764000002000,0.75,2,0.1,0.1\n"
        "3,3,,,,,,,0.5,,,\n"
        "4,3,0.0625,0,3,40,300,1764000004000,,3,0.05,0.075\n");
}
TEST_CASE("JSON lines: the run, then its rows") {
  CHECK(
      curve_jsonl(curve()) ==
      R"({"workspace":"team/pip","revision":"0123456789abcdef","settings":{"learning_rate":0.001,"method":"qlora"},)"
      R"("attempts":[{"attempt":1,"from_step":0},{"attempt":2,"from_step":4},{"attempt":3,"from_step":2}]})"
      "\n"
      R"({"step":1,"attempt":1,"loss":1.5,"learning_rate":0.001,"grad_norm":1.0,"tokens":10,"tokens_per_second":100.0,"at_ms":1764000001000})"
      "\n"
      R"({"step":2,"attempt":1,"loss":0.1,"learning_rate":0.0005,"grad_norm":2.0,"tokens":20,"tokens_per_second":200.0,"at_ms":1764000002000,"eval_loss":0.75})"
      "\n"
      R"({"step":3,"attempt":3,"eval_loss":0.5})"
      "\n"
      R"({"step":4,"attempt":3,"loss":0.0625,"learning_rate":0.0,"grad_norm":3.0,"tokens":40,"tokens_per_second":300.0,"at_ms":1764000004000,"first_step":3,"loss_min":0.05,"loss_max":0.075})"
      "\n");
}
TEST_CASE("event files: one for each attempt that has steps, and the end that is known") {
  const auto files = curve_event_files(curve(), RunEnd::none);
  REQUIRE(files.size() == 2);  // all of the second attempt's steps were done again
  const std::string& one = files.at("events.out.tfevents.1764000001.kairo.1");
  const auto& [name, three] = *files.rbegin();
  CHECK(name.ends_with(".kairo.3"));
  CHECK(times(one, "train/loss") == 2);
  CHECK(times(one, "eval/loss") == 1);
  CHECK(times(one, "qlora") == 1);
  CHECK(times(three, "train/loss") == 1);
  CHECK(times(three, "eval/loss") == 1);
  CHECK(times(three, "session_end_info") == 0);
  CHECK(times(curve_event_files(curve(), RunEnd::succeeded).at(name), "session_end_info") == 1);
  CHECK(times(curve_event_files(curve(), RunEnd::failed).at(name), "session_end_info") == 1);
  CHECK(run_folder(curve()) == "team/pip/r0123456789ab");
}
TEST_CASE("without a step, without settings, with columns that are not even") {
  CHECK(curve_event_files({}, RunEnd::succeeded).empty());
  CHECK(curve_jsonl({}) ==
        "{\"workspace\":\"/\",\"revision\":\"\",\"settings\":{},\"attempts\":[]}\n");
  CHECK(check_columns(curve()).ok());
  auto odd = curve();
  odd.grad_norm.pop_back();
  CHECK(check_columns(odd).error().code == Code::corrupt);
  auto bare = curve();
  bare.evals.push_back(nullptr);
  CHECK_FALSE(check_columns(bare).ok());
}
}  // namespace kairo::cli
