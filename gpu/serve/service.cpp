// gpu/serve/service.cpp
#include "gpu/serve/service.h"

#include <algorithm>
#include <random>

#include "gpu/formats/generation_config.h"
#include "gpu/formats/model_config.h"
#include "gpu/formats/safetensors.h"

namespace kairo::gpu {
namespace {
class GrammarRule final : public TokenRule {
 public:
  explicit GrammarRule(Grammar grammar) : grammar_(std::move(grammar)) {}
  Status mask(std::span<std::uint32_t> allowed) override { return grammar_.mask(allowed); }
  Status take(std::int32_t token) override { return grammar_.take(token); }

 private:
  Grammar grammar_;
};
// what: the schema is, for people.
Result<std::shared_ptr<TokenRule>> rule_of(const Vocabulary& vocabulary, const std::string& schema,
                                           const std::string& what) {
  auto grammar = Grammar::of_schema(vocabulary, schema);
  if (!grammar.ok()) return Error{Code::invalid, what + ": " + grammar.error().what};
  return std::shared_ptr<TokenRule>(std::make_shared<GrammarRule>(std::move(grammar).value()));
}
}  // namespace

std::string weights_in_words(const GeneratorOptions& options) {
  const auto folder = TensorFolder::open(options.model_dir);
  const auto config = load_model_config(options.model_dir);
  if (!folder.ok() || !config.ok()) return "";
  if (options.weights == ServedWeights::stored) return folder.value().matrices();
  std::string out = "NF4";
  for (const char* table : {config.value().names->embedding, config.value().names->head}) {
    const std::string name = std::string(table) + ".weight";
    const std::int64_t shape[] = {config.value().vocab, config.value().hidden};
    if (!folder.value().check(name, shape).ok()) continue;  // a head that is the embedding
    const std::string kind(name_of(folder.value().stored(name).kind));
    if (!out.ends_with(kind)) out += ", " + kind;
  }
  return out;
}

Service::Service(const ServiceOptions& options, Tokenizer tokenizer,
                 std::unique_ptr<Generator> generator)
    : models_(options.name, options.generator.adapters),
      base_{weights_in_words(options.generator),
            options.generator.device == nullptr ? "" : options.generator.device->name},
      folder_(options.generator.model_dir),
      answers_max_(options.generator.slots + static_cast<int>(options.scheduler.waiting_max)),
      tokenizer_(std::move(tokenizer)),
      generator_(std::move(generator)),
      scheduler_(*generator_, options.scheduler) {}

Result<std::unique_ptr<Service>> Service::load(const ServiceOptions& options,
                                               LoadGenerator load_generator) {
  for (const auto& adapter : options.generator.adapters)
    if (adapter.name == options.name)
      return Error{Code::invalid, "adapter " + adapter.name + " has the base model's name"};
  const std::string& folder = options.generator.model_dir;
  const ModelConfig config = TRY(load_model_config(folder));
  GeneratorOptions fitting = options.generator;
  fitting.context_tokens =
      static_cast<int>(std::min<std::int64_t>(fitting.context_tokens, config.positions));
  const Defaults defaults = TRY(load_defaults(folder));
  Tokenizer tokenizer = TRY(Tokenizer::load(folder));
  auto generator = TRY(load_generator(fitting));
  std::unique_ptr<Service> service(
      new Service(options, std::move(tokenizer), std::move(generator)));
  service->defaults_ = defaults;
  service->stop_tokens_ = TRY(load_stop_tokens(folder, config));
  if (const auto eos = service->tokenizer_.eos()) service->stop_tokens_.push_back(*eos);
  service->scheduler_.start();
  return service;
}

Status Service::load_adapter(const AdapterSource& source, bool in_place) {
  TRY(models_.expect(source.name, in_place));
  const auto loaded = [&]() -> Result<int> {
    return scheduler_.add(TRY(generator_->read(source)));
  }();
  if (!loaded.ok()) {
    models_.give_up(source.name);
    return loaded.error();
  }
  if (const int before = models_.put({source.name, source.dir, loaded.value()}); before >= 0)
    scheduler_.retire(before);
  return ok();
}

Status Service::unload_adapter(const std::string& name) {
  scheduler_.retire(TRY(models_.remove(name)));
  return ok();
}

Result<std::vector<std::int32_t>> Service::tokens_of(const Request& request,
                                                     const std::string& opening) const {
  std::vector<std::int32_t> tokens = TRY(encoded(request, opening));
  // A tokenizer may know more tokens than the model has: one request must not fail a batch.
  for (const std::int32_t token : tokens)
    if (token < 0 || token >= generator_->vocab())
      return Error{Code::invalid, "prompt: token " + std::to_string(token) +
                                      " is not in the vocabulary of " +
                                      std::to_string(generator_->vocab())};
  return tokens;
}

Result<std::vector<std::int32_t>> Service::encoded(const Request& request,
                                                   const std::string& opening) const {
  if (!request.prompt_tokens.empty()) return request.prompt_tokens;
  if (request.messages.empty()) return tokenizer_.encode(request.prompt, true);
  if (!tokenizer_.has_chat_template())
    return Error{Code::invalid, "messages: the model " + models_.base() +
                                    " has no chat template; send a prompt (POST /v1/completions)"};
  const RenderedChat chat = TRY(tokenizer_.apply_chat(
      request.messages, true, request.tools.use == ToolUse::none ? "" : request.tools.definitions,
      request.template_variables));
  return tokenizer_.encode(chat.text + opening, false);
}

Result<CallForm> Service::call_form() {
  const std::scoped_lock lock(call_form_mutex_);
  if (!call_form_) call_form_ = form_of_calls(tokenizer_);
  return *call_form_;
}

Result<const Vocabulary*> Service::vocabulary() {
  const std::scoped_lock lock(vocabulary_mutex_);
  if (!vocabulary_) vocabulary_ = TRY(Vocabulary::load(folder_, generator_->vocab(), stop_tokens_));
  return &*vocabulary_;
}

// What only this model and this server say of a request.
Status Service::fits(const Request& request) const {
  for (const auto& [token, bias] : request.sampling.biases)
    if (token >= generator_->vocab())
      return Error{Code::invalid, "logit_bias: token " + std::to_string(token) +
                                      " is not in the vocabulary of " +
                                      std::to_string(generator_->vocab())};
  if (request.choices > answers_max_)
    return Error{Code::invalid, "n is " + std::to_string(request.choices) +
                                    ": this server takes at most " + std::to_string(answers_max_) +
                                    " answers at a time"};
  return ok();
}

Result<Answer> Service::ask(const Request& request) {
  const std::string& name = request.model.empty() ? models_.base() : request.model;
  for (;;) {
    const ServedModel model = TRY(models_.find(name));
    auto answer = ask(request, model);
    if (answer.ok() || answer.error().code != Code::not_found) return answer;
    // It went between the two lines above: another may have taken its place.
    if (TRY(models_.find(name)).adapter == model.adapter) return answer;
  }
}

Result<Answer> Service::ask(const Request& request, const ServedModel& model) {
  Sequence sequence;
  TRY(fits(request));
  sequence.adapter = model.adapter;
  std::optional<CallReader> calls;
  std::string opening, schema = request.schema;
  if (request.tools.use != ToolUse::none) {
    const CallForm form = TRY(call_form());
    const bool is_forced = request.tools.use == ToolUse::required;
    if (is_forced) {
      ForcedCall forced = TRY(forced_call(request.tools, form));
      opening = std::move(forced.opening);
      schema = std::move(forced.schema);
    }
    calls.emplace(form, request.tools, is_forced);
  }
  sequence.prompt = TRY(tokens_of(request, opening));
  const int prompt_tokens = static_cast<int>(sequence.prompt.size());
  const int room = std::max(1, generator_->context_tokens() - prompt_tokens);
  sequence.max_tokens = request.max_tokens > 0 ? std::min(request.max_tokens, room) : room;
  if (request.max_length > 0) {
    if (request.max_length <= prompt_tokens)
      return Error{Code::invalid, "generate_kwargs.max_length counts the prompt too, which has " +
                                      std::to_string(prompt_tokens) + " tokens (it is " +
                                      std::to_string(request.max_length) +
                                      "): raise it, or send max_new_tokens"};
    sequence.max_tokens = std::min(room, request.max_length - prompt_tokens);
  }
  sequence.stop_tokens = stop_tokens_;
  sequence.stop_tokens.insert(sequence.stop_tokens.end(), request.stop_tokens.begin(),
                              request.stop_tokens.end());
  sequence.sampling = request.sampling;
  sequence.likely = request.likely;
  const std::uint64_t seed = request.seed ? *request.seed : std::random_device{}();
  const Vocabulary* known = nullptr;  // where the answer is bound, or its tokens are shown
  if (request.likely >= 0 || !schema.empty()) known = TRY(vocabulary());
  Answer answer{{}, model.name, prompt_tokens};
  for (int i = 0; i < request.choices; ++i) {
    Sequence one = sequence;
    one.sampling.seed = seed + static_cast<std::uint64_t>(i);
    if (!schema.empty())
      one.rule = TRY(rule_of(*known, schema,
                             request.schema.empty() ? "tools: a function's parameters"
                                                    : "response_format: the schema"));
    answer.choices.push_back(std::make_shared<Completion>(
        tokenizer_, request.likely >= 0 ? known : nullptr, request.stop,
        RequestTimes(timings_, clock_, prompt_tokens), calls));
    if (const auto taken = scheduler_.submit(std::move(one), answer.choices.back()); !taken.ok()) {
      for (const auto& before : answer.choices) before->leave();
      return taken.error();
    }
  }
  return answer;
}
}  // namespace kairo::gpu
