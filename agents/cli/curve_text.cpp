// agents/cli/curve_text.cpp - columns to rows.
#include "agents/cli/curve_text.h"

#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "schemas/tensorboard/run_log.h"

namespace kairo::cli {
namespace {
using Line = nlohmann::ordered_json;
struct Written {
  std::uint32_t step = 0, attempt = 0;
  std::optional<std::size_t> bucket;  // none: an evaluation alone
  std::optional<float> eval_loss;
};

// The attempt whose step it is: the last one that began before it.
const wire::CurveAttemptT* attempt_of(const wire::CurveT& curve, std::uint32_t step) {
  for (auto it = curve.attempts.rbegin(); it != curve.attempts.rend(); ++it)
    if ((*it)->from_step < step) return it->get();
  return nullptr;
}
std::vector<Written> rows_of(const wire::CurveT& curve) {
  std::vector<Written> out;
  std::size_t e = 0;
  const auto add = [&](std::uint32_t step, std::optional<std::size_t> bucket) {
    const auto* attempt = attempt_of(curve, step);
    out.push_back({step, attempt == nullptr ? 1 : attempt->attempt, bucket, std::nullopt});
  };
  const auto evaluate = [&](std::uint32_t before) {
    for (; e < curve.evals.size() && curve.evals[e]->step < before; ++e) {
      add(curve.evals[e]->step, std::nullopt);
      out.back().eval_loss = curve.evals[e]->loss;
    }
  };
  for (std::size_t i = 0; i < curve.last.size(); ++i) {
    evaluate(curve.last[i]);
    add(curve.last[i], i);
    if (e < curve.evals.size() && curve.evals[e]->step == curve.last[i])
      out.back().eval_loss = curve.evals[e++]->loss;
  }
  evaluate(UINT32_MAX);
  return out;
}
// The shortest decimal that reads back as the same float; "" for what is no number.
std::string digits(float value) {
  if (!std::isfinite(value)) return "";
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value);
  return {text, end.ptr};
}
Line number(float value) {
  const std::string text = digits(value);
  return text.empty() ? Line() : Line(std::strtod(text.c_str(), nullptr));
}
}  // namespace

Status check_columns(const wire::CurveT& c) {
  const std::size_t n = c.last.size();
  for (const std::size_t size :
       {c.first.size(), c.min.size(), c.mean.size(), c.max.size(), c.learning_rate.size(),
        c.grad_norm.size(), c.tokens_per_second.size(), c.tokens.size(), c.at_ms.size()})
    if (size != n) return Error{Code::corrupt, "the curve's columns are not of one length"};
  for (const auto& attempt : c.attempts)
    if (!attempt) return Error{Code::corrupt, "the curve has an attempt without a number"};
  for (const auto& eval : c.evals)
    if (!eval) return Error{Code::corrupt, "the curve has an evaluation without a step"};
  return ok();
}

std::string curve_csv(const wire::CurveT& c) {
  std::string out =
      "step,attempt,loss,learning_rate,grad_norm,tokens,tokens_per_second,at_ms,eval_loss,"
      "first_step,loss_min,loss_max\n";
  for (const Written& row : rows_of(c)) {
    out += std::to_string(row.step) + "," + std::to_string(row.attempt) + ",";
    const std::string eval = row.eval_loss ? digits(*row.eval_loss) : "";
    if (!row.bucket) {
      out += ",,,,,," + eval + ",,,\n";
      continue;
    }
    const std::size_t i = *row.bucket;
    out += digits(c.mean[i]) + "," + digits(c.learning_rate[i]) + "," + digits(c.grad_norm[i]) +
           "," + std::to_string(c.tokens[i]) + "," + digits(c.tokens_per_second[i]) + "," +
           std::to_string(c.at_ms[i]) + "," + eval + "," + std::to_string(c.first[i]) + "," +
           digits(c.min[i]) + "," + digits(c.max[i]) + "\n";
  }
  return out;
}

std::string curve_jsonl(const wire::CurveT& c) {
  Line run = {{"workspace", c.ns + "/" + c.name}, {"revision", c.revision}};
  run["settings"] = Line::object();
  if (const Line settings = Line::parse(c.settings, nullptr, false); settings.is_object())
    for (const auto& [name, value] : settings.items())
      if (!value.is_structured()) run["settings"][name] = value;
  run["attempts"] = Line::array();
  for (const auto& a : c.attempts)
    run["attempts"].push_back({{"attempt", a->attempt}, {"from_step", a->from_step}});
  const auto text = [](const Line& line) {
    return line.dump(-1, ' ', false, Line::error_handler_t::replace) + "\n";
  };
  std::string out = text(run);
  for (const Written& row : rows_of(c)) {
    Line line = {{"step", row.step}, {"attempt", row.attempt}};
    if (row.bucket) {
      const std::size_t i = *row.bucket;
      line["loss"] = number(c.mean[i]);
      line["learning_rate"] = number(c.learning_rate[i]);
      line["grad_norm"] = number(c.grad_norm[i]);
      line["tokens"] = c.tokens[i];
      line["tokens_per_second"] = number(c.tokens_per_second[i]);
      line["at_ms"] = c.at_ms[i];
      if (c.first[i] != c.last[i]) {  // of several steps: their mean, and these
        line["first_step"] = c.first[i];
        line["loss_min"] = number(c.min[i]);
        line["loss_max"] = number(c.max[i]);
      }
    }
    if (row.eval_loss) line["eval_loss"] = number(*row.eval_loss);
    out += text(line);
  }
  return out;
}

std::map<std::string, std::string> curve_event_files(const wire::CurveT& c, RunEnd end) {
  std::vector<wire::ProgressT> lines;
  wire::ProgressT line;
  line.settings = c.settings;
  line.phase = wire::RunPhase::Training;
  for (const Written& row : rows_of(c)) {
    const auto* attempt = attempt_of(c, row.step);
    line.attempt = row.attempt;
    line.resumed_from = attempt == nullptr ? 0 : attempt->from_step;
    if (row.bucket) {
      const std::size_t i = *row.bucket;
      line.step = row.step;
      line.loss = c.mean[i];
      line.learning_rate = c.learning_rate[i];
      line.grad_norm = c.grad_norm[i];
      line.tokens_per_second = c.tokens_per_second[i];
      line.at_ms = c.at_ms[i];
    }
    line.eval_loss = row.eval_loss.value_or(0);
    line.eval_step = row.eval_loss ? row.step : 0;
    lines.push_back(line);
  }
  if (end != RunEnd::none && !lines.empty()) {
    line.phase = end == RunEnd::succeeded ? wire::RunPhase::Done : wire::RunPhase::Failed;
    line.code = "bad_config";  // a failure that is final
    lines.push_back(line);
  }
  tensorboard::RunLog log;
  return tensorboard::files_of(log, lines);
}

std::string run_folder(const wire::CurveT& c) {
  constexpr std::size_t shown = 12;
  return c.ns + "/" + c.name + "/r" + c.revision.substr(0, shown);
}
}  // namespace kairo::cli
