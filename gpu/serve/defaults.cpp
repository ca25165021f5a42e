// gpu/serve/defaults.cpp
#include "gpu/serve/defaults.h"

#include "gpu/formats/files.h"
#include "gpu/serve/fields.h"

namespace kairo::gpu {
namespace {
constexpr std::int64_t file_bytes_max = 1 << 20;
}  // namespace

void read_sampling(Fields& fields, Sampling& out) {
  fields.number("temperature", out.temperature, 0, 2);
  fields.number("top_p", out.top_p, 0, 1);
  if (out.top_p <= 0) fields.wrong("top_p", "must be greater than 0, at most 1");
  fields.number("min_p", out.min_p, 0, 1);
  fields.integer("top_k", out.top_k, -1, tokens_max);
  if (out.top_k < 0) out.top_k = 0;  // vLLM's word for "all"
  fields.number("repetition_penalty", out.repetition_penalty, 0.01, 100);
}

Result<Defaults> load_defaults(const std::string& dir) {
  const std::string name = "generation_config.json";
  Defaults out;
  const auto text = read_file(dir + "/" + name, file_bytes_max);
  if (!text.ok() && text.error().code == Code::not_found) return out;
  if (!text.ok()) return text.error();
  const auto object = parse_json_object(text.value());
  if (!object.ok()) return Error{Code::invalid, name + ": " + object.error().what};
  Fields fields(object.value(), name + ": ");
  read_sampling(fields, out.sampling);
  fields.integer("max_new_tokens", out.max_tokens, 1, tokens_max);
  TRY(fields.status());
  return out;
}
}  // namespace kairo::gpu
