// gpu/engine/schedule_options.cpp - lr_scheduler_type and lr_scheduler_kwargs, as transformers
// names them.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <string_view>
#include <vector>

#include "gpu/engine/schedule.h"

namespace kairo::gpu {
namespace {
using Options = ScheduleOptions;
struct Value {
  const std::string& text;
  double peak;
};
// Takes the value, or says what it must be.
using Take = std::function<std::string(const Value&, Options&)>;

bool parse(const std::string& text, double& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() && std::isfinite(out);
}
Take number(double Options::*member, double min, double max, const char* range) {
  return [=](const Value& v, Options& o) -> std::string {
    double x = 0;
    if (!parse(v.text, x) || !(x >= min && x <= max)) return range;
    o.*member = x;
    return "";
  };
}
Take steps(std::int64_t Options::*member, double min, const char* range) {
  return [=](const Value& v, Options& o) -> std::string {
    double x = 0;
    if (!parse(v.text, x) || x != std::floor(x) || !(x >= min && x <= 1e9)) return range;
    o.*member = static_cast<std::int64_t>(x);
    return "";
  };
}
Take ramp(Ramp Options::*member) {
  return [=](const Value& v, Options& o) -> std::string {
    if (v.text == "linear")
      o.*member = Ramp::linear;
    else if (v.text == "cosine")
      o.*member = Ramp::cosine;
    else if (v.text == "1-sqrt")
      o.*member = Ramp::one_minus_sqrt;
    else
      return "linear, cosine or 1-sqrt";
    return "";
  };
}
std::string take_min_lr(const Value& v, Options& o) {
  double x = 0;
  if (!parse(v.text, x) || !(x >= 0 && x <= v.peak) || v.peak == 0)
    return "a rate in [0, learning_rate]";
  o.min_lr_rate = x / v.peak;
  return "";
}
std::string take_lr_end(const Value& v, Options& o) {
  double x = 0;
  if (!parse(v.text, x) || !(x >= 0 && x < v.peak)) return "a rate in [0, learning_rate)";
  o.lr_end = x;
  return "";
}
struct Argument {
  std::string_view name;
  Take take;
};
struct Kind {
  std::string_view name;
  ScheduleKind kind;
  std::vector<Argument> arguments;
};
// Constant; built when it is first asked for.
const std::vector<Kind>& kinds() {
  static const std::vector<Kind> table = [] {
    const Argument cycles = {"num_cycles", number(&Options::num_cycles, 0, 1e6, "at least 0")};
    const Argument share = {"min_lr_rate", number(&Options::min_lr_rate, 0, 1, "in [0, 1]")};
    const Argument least = {"min_lr", take_min_lr};
    return std::vector<Kind>{
        {"linear", ScheduleKind::linear, {}},
        {"cosine", ScheduleKind::cosine, {cycles}},
        {"cosine_with_restarts", ScheduleKind::cosine_with_restarts, {cycles}},
        {"polynomial",
         ScheduleKind::polynomial,
         {{"lr_end", take_lr_end}, {"power", number(&Options::power, 0, 1e3, "at least 0")}}},
        {"constant", ScheduleKind::constant, {}},
        {"constant_with_warmup", ScheduleKind::constant_with_warmup, {}},
        {"inverse_sqrt",
         ScheduleKind::inverse_sqrt,
         {{"timescale", steps(&Options::timescale, 1, "a whole number, at least 1")}}},
        {"cosine_with_min_lr", ScheduleKind::cosine_with_min_lr, {cycles, least, share}},
        {"cosine_warmup_with_min_lr",
         ScheduleKind::cosine_warmup_with_min_lr,
         {cycles,
          least,
          share,
          {"warmup_lr_rate", number(&Options::warmup_lr_rate, 0, 1, "in [0, 1]")}}},
        {"warmup_stable_decay",
         ScheduleKind::warmup_stable_decay,
         {{"num_decay_steps", steps(&Options::num_decay_steps, 0, "a whole number, at least 0")},
          {"num_stable_steps", steps(&Options::num_stable_steps, 0, "a whole number, at least 0")},
          {"warmup_type", ramp(&Options::warmup_type)},
          {"decay_type", ramp(&Options::decay_type)},
          {"min_lr_ratio", number(&Options::min_lr_ratio, 0, 1, "in [0, 1]")},
          cycles}}};
  }();
  return table;
}
template <class Range>
std::string names(const Range& range) {
  std::string out;
  for (const auto& item : range) out += (out.empty() ? "" : ", ") + std::string(item.name);
  return out;
}
Error bad(const std::string& what) {
  return {Code::invalid, "TrainingArguments." + what};
}
}  // namespace

std::string name_of(ScheduleKind kind) {
  for (const Kind& k : kinds())
    if (k.kind == kind) return std::string(k.name);
  return "";
}

std::string ScheduleOptions::text() const {
  std::string out;
  for (const double v : {num_cycles, power, lr_end, min_lr_ratio, min_lr_rate, warmup_lr_rate})
    out += std::to_string(v * 1e9) + " ";
  for (const auto v :
       {timescale, num_decay_steps, num_stable_steps, static_cast<std::int64_t>(warmup_type),
        static_cast<std::int64_t>(decay_type)})
    out += std::to_string(v) + " ";
  return out;
}

Result<ScheduleKind> parse_schedule(const std::string& name) {
  for (const auto& k : kinds())
    if (k.name == name) return k.kind;
  std::string why = "is not known";
  if (name == "reduce_lr_on_plateau" || name == "greedy")
    why = "follows the measured loss, so that a resumed run would not repeat it: not supported";
  return bad("lr_scheduler_type: \"" + name.substr(0, 40) + "\" " + why +
             "; there are: " + names(kinds()));
}

Result<ScheduleOptions> parse_schedule_options(
    ScheduleKind kind, std::span<const std::pair<std::string, std::string>> arguments,
    double peak) {
  const auto& k = *std::ranges::find(kinds(), kind, &Kind::kind);
  const std::string field = "lr_scheduler_kwargs";
  ScheduleOptions options;
  if (kind == ScheduleKind::cosine_with_restarts) options.num_cycles = 1;
  const auto given = [&](std::string_view name) {
    return std::ranges::any_of(arguments, [&](const auto& a) { return a.first == name; });
  };
  for (const auto& [name, value] : arguments) {
    const auto at = std::ranges::find(k.arguments, std::string_view(name), &Argument::name);
    if (at == k.arguments.end())
      return bad(
          field + "." + name.substr(0, 40) + " is no argument of " + std::string(k.name) +
          (k.arguments.empty() ? ", which takes none" : "; there are: " + names(k.arguments)));
    if (const auto wanted = at->take({value, peak}, options); !wanted.empty())
      return bad(field + "." + name + ": \"" + value.substr(0, 40) + "\" must be " + wanted);
  }
  const bool has_least =
      kind == ScheduleKind::cosine_with_min_lr || kind == ScheduleKind::cosine_warmup_with_min_lr;
  if (has_least && given("min_lr") == given("min_lr_rate"))
    return bad(field + ": " + std::string(k.name) + " needs one of min_lr and min_lr_rate");
  if (kind == ScheduleKind::warmup_stable_decay && !given("num_decay_steps"))
    return bad(field + ": warmup_stable_decay needs num_decay_steps");
  if (kind == ScheduleKind::polynomial && !(options.lr_end < peak))
    return bad(field + ".lr_end: " + std::to_string(options.lr_end) +
               " must be below learning_rate; lower it");
  return options;
}
}  // namespace kairo::gpu
