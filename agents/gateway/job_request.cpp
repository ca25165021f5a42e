// agents/gateway/job_request.cpp - field by field.
#include "agents/gateway/job_request.h"

#include <algorithm>
#include <cmath>

#include "schemas/catalogue/catalogue.h"

namespace kairo::gateway {
namespace {
constexpr std::size_t suffix_max = 64, pairs_max = 16, pair_key_max = 64, pair_value_max = 512;

bool has(const Json& body, const char* key) {
  const auto at = body.find(key);
  return at != body.end() && !at->is_null();
}
Refusal wrong(const std::string& field, const std::string& why) {
  return {400, field + " " + why, field};
}
Answer<std::string> text_in(const Json& body, const char* key) {
  if (!has(body, key)) return std::string();
  if (!body[key].is_string()) return wrong(key, "is no text");
  return body[key].get<std::string>();
}
std::size_t characters(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}
Answer<Json> metadata_in(const Json& body) {
  if (!has(body, "metadata")) return Json();
  const Json& given = body["metadata"];
  if (!given.is_object()) return wrong("metadata", "is no object");
  if (given.size() > pairs_max) return wrong("metadata", "has more than 16 pairs");
  for (const auto& pair : given.items()) {
    if (characters(pair.key()) > pair_key_max)
      return wrong("metadata", "has a key of more than 64 characters");
    if (!pair.value().is_string() ||
        characters(pair.value().get_ref<const std::string&>()) > pair_value_max)
      return wrong("metadata",
                   "has a value that is no text of at most 512 characters: " + pair.key());
  }
  return given;
}
template <class Number>
Answer<std::optional<Number>> setting_in(const Json& from, const char* key, double least,
                                         double most) {
  const bool is_auto = !has(from, key) || from[key] == "auto";
  if (is_auto) return std::optional<Number>();
  const Json& value = from[key];
  const bool is_good = (std::is_integral_v<Number> ? value.is_number_integer() : value.is_number());
  const double number = is_good ? value.get<double>() : 0;
  if (!is_good || !std::isfinite(number) || number < least || number > most)
    return wrong(
        std::string("hyperparameters.") + key,
        "must be \"auto\" or a number" +
            (std::is_integral_v<Number> ? " from " + std::to_string(static_cast<int>(least)) +
                                              " to " + std::to_string(static_cast<int>(most))
                                        : std::string(" above 0")));
  return std::optional<Number>(value.get<Number>());
}
Answer<Hyperparameters> settings_in(const Json& given) {
  if (!given.is_object()) return wrong("hyperparameters", "is no object");
  Hyperparameters out;
  out.n_epochs = TRY(setting_in<std::int64_t>(given, "n_epochs", 1, 50));
  out.batch_size = TRY(setting_in<std::int64_t>(given, "batch_size", 1, 256));
  out.learning_rate_multiplier =
      TRY(setting_in<double>(given, "learning_rate_multiplier", 1e-6, 1e6));
  return out;
}
Answer<std::string> method_in(const Json& body) {
  if (!has(body, "method")) return std::string("supervised");
  const Json& method = body["method"];
  if (!method.is_object() || !has(method, "type") || !method["type"].is_string())
    return wrong("method", "has no type; use supervised");
  const std::string type = method["type"].get<std::string>();
  if (type == "dpo" || type == "reinforcement")
    return Refusal{400,
                   "method " + type +
                       " is not trained by this server; use supervised, with chat "
                       "rows of the preferred answers",
                   "method", "unsupported_method"};
  if (type != "supervised")
    return wrong("method", "is \"" + type.substr(0, 50) + "\"; use supervised");
  return type;
}
}  // namespace

Answer<JobRequest> parse_job(const Json& body) {
  JobRequest out;
  const std::string model = TRY(text_in(body, "model"));
  if (model.empty()) return wrong("model", "is missing");
  if (model.starts_with("ft:"))
    return Refusal{400,
                   "model " + model.substr(0, 200) +
                       " is a fine-tuned one; a training begins at a "
                       "base model here",
                   "model", "model_not_available"};
  const auto* preset = catalogue::find_preset(model);
  if (preset == nullptr || !preset->is_tunable)
    return Refusal{400,
                   "model " + model.substr(0, 200) +
                       " does not exist or is not tuned here; GET "
                       "/v1/models lists those that are",
                   "model", "model_not_available"};
  out.model = preset->name;
  out.training_file = TRY(text_in(body, "training_file"));
  if (out.training_file.empty()) return wrong("training_file", "is missing");
  out.validation_file = TRY(text_in(body, "validation_file"));
  if (!out.validation_file.empty() && out.validation_file == out.training_file)
    return wrong("validation_file", "is the training file; rows that were trained on say nothing");
  if (has(body, "integrations") && !body["integrations"].empty())
    return wrong("integrations", "are not spoken to by this server; leave them out");
  out.suffix = TRY(text_in(body, "suffix"));
  if (has(body, "suffix") && (out.suffix.empty() || characters(out.suffix) > suffix_max))
    return wrong("suffix", "must have 1 to 64 characters");
  const bool is_plain = std::none_of(out.suffix.begin(), out.suffix.end(), [](char c) {
    return c == ':' || static_cast<unsigned char>(c) < 0x20;
  });
  if (!is_plain) return wrong("suffix", "must not have : or control characters");
  if (has(body, "seed")) {
    if (!body["seed"].is_number_integer() || body["seed"].get<double>() < 0 ||
        body["seed"].get<double>() > 2147483647)
      return wrong("seed", "must be a number from 0 to 2147483647");
    out.seed = body["seed"].get<std::int64_t>();
  }
  out.metadata = TRY(metadata_in(body));
  const std::string method = TRY(method_in(body));
  const Json* settings = has(body, "hyperparameters") ? &body["hyperparameters"] : nullptr;
  if (has(body, "method") && has(body["method"], "supervised")) {
    const Json& supervised = body["method"]["supervised"];
    if (!supervised.is_object()) return wrong("method", "has a supervised that is no object");
    if (has(supervised, "hyperparameters")) {
      settings = &supervised["hyperparameters"];
      out.by_method = true;
    }
  }
  if (settings != nullptr) out.asked = TRY(settings_in(*settings));
  return out;
}

Resolved resolved(const Hyperparameters& asked, std::int64_t rows, std::int64_t parameters) {
  constexpr std::int64_t few_rows = 100, rows_seen = 300, epochs_max = 10, small = 1'000'000'000;
  constexpr std::int64_t batch_max = 8, batches_an_epoch = 12;
  Resolved out;
  const std::int64_t counted = std::max<std::int64_t>(rows, 1);
  if (counted < few_rows)
    out.n_epochs = std::clamp<std::int64_t>((rows_seen + counted - 1) / counted, 3, epochs_max);
  out.n_epochs = asked.n_epochs.value_or(out.n_epochs);
  out.batch_size =
      asked.batch_size.value_or(std::clamp<std::int64_t>(counted / batches_an_epoch, 1, batch_max));
  out.learning_rate_multiplier =
      asked.learning_rate_multiplier.value_or(parameters < small ? 2.5 : 1);
  return out;
}
}  // namespace kairo::gateway
