// agents/gateway/job_request.h - what POST /v1/fine_tuning/jobs asks for, checked; and what "auto"
// becomes. Pure.
#pragma once
#include <optional>
#include <string>

#include "agents/gateway/answer.h"

namespace kairo::gateway {
struct Hyperparameters {  // nullopt = "auto"
  std::optional<std::int64_t> n_epochs, batch_size;
  std::optional<double> learning_rate_multiplier;
};
struct JobRequest {
  std::string model;  // a preset's name, whatever of its names was given
  std::string training_file, suffix;
  std::string validation_file;  // "" = none
  std::optional<std::int64_t> seed;
  Json metadata;  // an object, or null
  Hyperparameters asked;
  bool by_method = false;  // they stood in method.supervised
};
// What this server does not do is refused by the field's name: integrations, methods dpo and
// reinforcement.
Answer<JobRequest> parse_job(const Json& body);

// What a training runs with. The rules (docs/from-openai.md names them):
//   n_epochs                  3; for fewer than 100 rows as many as give 300 rows, at most 10
//   batch_size                a twelfth of the rows, 1 to 8
//   learning_rate_multiplier  1 is a learning rate of 2e-4; 2.5 for models of less than 1e9
//                             parameters
struct Resolved {
  std::int64_t n_epochs = 3, batch_size = 8;
  double learning_rate_multiplier = 1;
};
constexpr double base_learning_rate = 2e-4;
Resolved resolved(const Hyperparameters& asked, std::int64_t rows, std::int64_t parameters);
}  // namespace kairo::gateway
