// gpu/serve/service.h - a model folder and its adapters as answers: Request in, Completion out.
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "gpu/engine/generator.h"
#include "gpu/hf/tokenizer.h"
#include "gpu/serve/completion.h"
#include "gpu/serve/models.h"
#include "gpu/serve/reply.h"
#include "gpu/serve/request.h"
#include "gpu/serve/scheduler.h"

namespace kairo::gpu {
struct ServiceOptions {
  std::string name;  // the base model's name in requests
  GeneratorOptions generator;
  SchedulerOptions scheduler;
};
// Answers that have been accepted, to one prompt. The reader calls next(..) of each until it has
// finished, or leave().
struct Answer {
  std::vector<std::shared_ptr<Completion>> choices;  // at least one
  std::string model;
  int prompt_tokens = 0;
};
// The kinds of number of the base model's matrices, what most values have first; "": its files do
// not say it.
std::string weights_in_words(const GeneratorOptions& options);
using LoadGenerator = Result<std::unique_ptr<Generator>> (*)(const GeneratorOptions&);
class Service {  // any thread
 public:
  // Errors of Generator::load and Tokenizer::load; invalid: an adapter has the base model's name.
  static Result<std::unique_ptr<Service>> load(const ServiceOptions& options,
                                               LoadGenerator load_generator = &Generator::load);
  // not_found: no such model. invalid: the request. unavailable: too many wait.
  Result<Answer> ask(const Request& request);
  const Defaults& defaults() const { return defaults_; }
  const Models& models() const { return models_; }
  // While others are answered; it can be asked for when this returns. invalid: the name is taken,
  // or the adapter is not this model's. Else Generator::read's errors.
  Status load_adapter(const AdapterSource& source, bool in_place);
  // Nobody can ask for it any more; who has asked gets the whole answer. not_found.
  Status unload_adapter(const std::string& name);
  // weights: "Q4_1, Q8_0", "NF4, Q8_0".
  const BaseModel& base() const { return base_; }
  SchedulerCounts counts() const { return scheduler_.counts(); }
  const Timings& timings() const { return timings_; }
  ServedRoom room() const { return {generator_->slots(), generator_->context_tokens()}; }
  void stop() { scheduler_.stop(); }  // answers that are not complete end with `cancelled`

 private:
  Service(const ServiceOptions& options, Tokenizer tokenizer, std::unique_ptr<Generator> generator);
  // opening: what the answer to messages is made to begin with.
  Result<std::vector<std::int32_t>> tokens_of(const Request& request,
                                              const std::string& opening) const;
  Result<std::vector<std::int32_t>> encoded(const Request& request,
                                            const std::string& opening) const;
  Result<CallForm> call_form();            // as the template has it
  Result<const Vocabulary*> vocabulary();  // made when the first request wants it
  Status fits(const Request& request) const;
  Result<Answer> ask(const Request& request, const ServedModel& model);
  Models models_;
  BaseModel base_;
  std::vector<std::int32_t> stop_tokens_;
  Defaults defaults_;
  std::string folder_;
  int answers_max_;  // at a time, those that wait included
  Tokenizer tokenizer_;
  std::mutex call_form_mutex_;
  std::optional<Result<CallForm>> call_form_;
  std::mutex vocabulary_mutex_;
  std::optional<Vocabulary> vocabulary_;
  std::unique_ptr<Generator> generator_;
  SystemClock clock_;
  Timings timings_;
  Scheduler scheduler_;  // last: what it holds wants the vocabulary
};
}  // namespace kairo::gpu
