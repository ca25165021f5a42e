// tests/gpu/engine/engine_test.cpp - losses and gradients equal peft's; same input, same bytes; a
// resumed run equals an undisturbed one; recomputation and small batches change nothing that
// matters.
#include "gpu/engine/engine.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "gpu/engine/torch_cpu.h"
#include "gpu/engine/tune_result.h"
#include "gpu/kernels/nf4.h"
#include "tests/gpu/support.h"

namespace kairo::gpu {
namespace {
using test::Golden;
const std::vector<std::string> linear = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                         "gate_proj", "up_proj", "down_proj"};

EngineOptions tiny(const std::string& model, Method method) {
  EngineOptions o;
  o.model_dir = test::golden(model);
  o.method = method;
  o.rank = 4;
  o.alpha = 8;
  o.targets = linear;
  o.seed = 7;
  o.tokens_per_step = 400;
  o.longest_row = 131;
  o.threads = 2;
  o.budget_bytes = 1 << 30;
  return o;
}
std::unique_ptr<Engine> load(const EngineOptions& options) {
  auto engine = Engine::load(options);
  REQUIRE_MESSAGE(engine.ok(), engine.error().what);
  return std::move(engine).value();
}
std::vector<TrainRow> views(const test::GoldenRows& rows) {
  std::vector<TrainRow> out;
  for (std::size_t i = 0; i < rows.tokens.size(); ++i)
    out.push_back({rows.tokens[i], rows.trained[i]});
  return out;
}
std::vector<float> copy(std::span<const float> values) {
  return {values.begin(), values.end()};
}
// Puts the golden adapter into the engine.
void take_adapter(Engine& engine, const Golden& file) {
  std::vector<float> parameters = copy(engine.state().parameters), zero(parameters.size(), 0.0f);
  for (const auto& t : adapter_tensors(engine.layout(), engine.state().parameters)) {
    const auto values = file.floats("value." + t.name);
    REQUIRE(values.size() == t.values.size());
    const auto at = t.values.data() - engine.state().parameters.data();
    std::ranges::copy(values, parameters.begin() + at);
  }
  REQUIRE(engine.restore({parameters, zero, zero}).ok());
}
double step(Engine& engine, const std::vector<TrainRow>& rows, std::int64_t targets) {
  const auto loss = engine.accumulate(rows, targets, 0);
  REQUIRE_MESSAGE(loss.ok(), loss.error().what);
  return loss.value();
}
bool same_bytes(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}
}  // namespace

TEST_CASE("the mean that NF4's scales are taken from has torch's bits") {
  const Golden file("nf4.safetensors");
  for (const std::string name : {"a", "odd", "many"}) {
    CAPTURE(name);
    const auto w = file.floats(name + ".weight");
    const auto n = static_cast<std::int64_t>(w.size());
    std::vector<std::uint8_t> packed(static_cast<std::size_t>(nf4_bytes(n)));
    std::vector<float> absmax(static_cast<std::size_t>(nf4_blocks(n)));
    nf4_quantize_cpu(packed.data(), absmax.data(), w.data(), n);
    const float offset = mean(absmax);
    CHECK(same_bytes({&offset, 1}, file.floats(name + ".offset")));
  }
}

TEST_CASE("loss and every gradient equal those of transformers + peft (+ bitsandbytes)") {
  struct Case {
    std::string name, golden, model;
    Method method;
    std::vector<std::string> targets;
    std::int64_t budget;
  };
  const std::vector<Case> cases = {
      {"lora", "tiny_lora.safetensors", "tiny_llama", Method::lora, linear, 1 << 30},
      {"lora, all-linear",
       "tiny_lora.safetensors",
       "tiny_llama",
       Method::lora,
       {"all-linear"},
       1 << 30},
      {"qlora, cached", "tiny_qlora.safetensors", "tiny_llama", Method::qlora, linear, 1 << 30},
      {"llama3 rope, bf16, own head, few targets",
       "tiny3_lora.safetensors",
       "tiny_llama3",
       Method::lora,
       {"v_proj", "up_proj", "layers.1.self_attn.o_proj"},
       1 << 30},
  };
  for (const auto& c : cases) {
    CAPTURE(c.name);
    EngineOptions options = tiny(c.model, c.method);
    options.targets = c.targets;
    options.budget_bytes = c.budget;
    const auto engine = load(options);
    const Golden file(c.golden);
    take_adapter(*engine, file);
    const auto rows = test::golden_rows(file);
    const auto targets = rows.targets(0, rows.tokens.size());
    const double loss = step(*engine, views(rows), targets);
    CHECK(loss == doctest::Approx(static_cast<double>(file.floats("loss")[0])).epsilon(1e-6));
    const auto tensors = adapter_tensors(engine->layout(), engine->gradient());
    CHECK(tensors.size() == file.names("grad.").size());
    for (const auto& t : tensors) {
      CAPTURE(t.name);
      CHECK(test::relative_difference(t.values, file.floats("grad." + t.name)) <= 1e-5);
    }
  }
}

TEST_CASE("recomputing layers, splitting batches and NF4 without cache give the same gradients") {
  const Golden file("tiny_qlora.safetensors");
  const auto rows = test::golden_rows(file);
  const auto targets = rows.targets(0, rows.tokens.size());
  const auto whole = load(tiny("tiny_llama", Method::qlora));
  CHECK(whole->plan().cached_layers == 2);
  CHECK(whole->plan().kept_layers == 2);
  take_adapter(*whole, file);
  const double loss = step(*whole, views(rows), targets);
  bool saw_uncached = false, saw_recompute = false, saw_split = false;
  for (std::int64_t budget = whole->plan().peak_bytes(); budget > 0; budget -= 32 << 10) {
    EngineOptions options = tiny("tiny_llama", Method::qlora);
    options.budget_bytes = budget;
    auto loaded = Engine::load(options);
    if (!loaded.ok()) {
      CHECK(loaded.error().code == Code::unavailable);
      break;
    }
    auto small = std::move(loaded).value();
    CAPTURE(small->plan().text());
    CHECK(small->plan().peak_bytes() <= budget);
    saw_uncached = saw_uncached || small->plan().cached_layers < 2;
    saw_recompute = saw_recompute || small->plan().kept_layers < 2;
    saw_split = saw_split || small->plan().microbatch_tokens < 280;
    take_adapter(*small, file);
    CHECK(step(*small, views(rows), targets) == doctest::Approx(loss).epsilon(1e-7));
    CHECK(test::relative_difference(small->gradient(), whole->gradient()) <= 2e-6);
  }
  for (const PlanLimits limits : {PlanLimits{0, -1}, {1, 0}, {-1, 1}, {0, 0}}) {
    EngineOptions options = tiny("tiny_llama", Method::qlora);
    options.limits = limits;
    auto small = load(options);
    CHECK(small->plan().kept_layers == (limits.kept_layers < 0 ? 2 : limits.kept_layers));
    CHECK(small->plan().cached_layers == (limits.cached_layers < 0 ? 2 : limits.cached_layers));
    take_adapter(*small, file);
    step(*small, views(rows), targets);
    REQUIRE(small->shape() == whole->shape());  // it names all that the last bits depend on
    CHECK(same_bytes(small->gradient(), whole->gradient()));
  }
  CHECK(saw_uncached);
  CHECK(saw_recompute);
  CHECK(saw_split);
}

TEST_CASE("the same calls give the same bytes, and a restored engine goes on with them") {
  const Golden file("tiny_lora.safetensors");
  const auto rows = test::golden_rows(file);
  const auto all = views(rows);
  const auto targets = rows.targets(0, rows.tokens.size());
  const Update settings{1e-2, 0.9, 0.999, 1e-8, 0.01, 1.0};
  for (const Method method : {Method::lora, Method::qlora}) {
    const auto one = load(tiny("tiny_llama", method)), two = load(tiny("tiny_llama", method));
    std::vector<double> losses;
    std::vector<float> parameters, first, second;
    for (int i = 1; i <= 6; ++i) {
      losses.push_back(step(*one, all, targets));
      CHECK(step(*two, all, targets) == losses.back());
      CHECK(one->update(settings, i) == two->update(settings, i));
      if (i != 3) continue;
      const auto state = one->state();
      parameters = copy(state.parameters);
      first = copy(state.first_moment);
      second = copy(state.second_moment);
    }
    CHECK(same_bytes(one->state().parameters, two->state().parameters));
    CHECK(losses.back() < losses.front());
    const auto resumed = load(tiny("tiny_llama", method));
    REQUIRE(resumed->restore({parameters, first, second}).ok());
    for (int i = 4; i <= 6; ++i) {
      CHECK(step(*resumed, all, targets) == losses[static_cast<std::size_t>(i - 1)]);
      resumed->update(settings, i);
    }
    CHECK(same_bytes(resumed->state().parameters, one->state().parameters));
    CHECK(same_bytes(resumed->state().second_moment, one->state().second_moment));
  }
}

TEST_CASE("an evaluation gives the forward pass's sum and touches nothing") {
  const Golden file("tiny_qlora.safetensors");
  const auto rows = test::golden_rows(file);
  const auto all = views(rows);
  const auto targets = rows.targets(0, rows.tokens.size());
  const auto whole = load(tiny("tiny_llama", Method::qlora));
  for (const std::int64_t spared : {std::int64_t{0}, std::int64_t{256 << 10}}) {
    EngineOptions options = tiny("tiny_llama", Method::qlora);
    options.budget_bytes = whole->plan().peak_bytes() - spared;  // recomputed and uncached, too
    const auto engine = load(options), undisturbed = load(options);
    take_adapter(*engine, file);
    take_adapter(*undisturbed, file);
    const double loss = step(*undisturbed, all, targets);
    const auto before = engine->evaluate(all);
    REQUIRE(before.ok());
    CHECK(before.value() == loss);
    CHECK(step(*engine, all, targets) == loss);
    REQUIRE(engine->evaluate(std::vector<TrainRow>{all[4]}).ok());  // with a gradient in place
    CHECK(same_bytes(engine->gradient(), undisturbed->gradient()));
    const Update settings{1e-2, 0.9, 0.999, 1e-8, 0.01, 1.0};
    engine->update(settings, 1);
    undisturbed->update(settings, 1);
    CHECK(same_bytes(engine->state().parameters, undisturbed->state().parameters));
    CHECK(engine->evaluate(all).value() < loss);
    CHECK_FALSE(engine->evaluate(std::vector<TrainRow>{{all[0].tokens, all[1].trained}}).ok());
  }
}

TEST_CASE("dropout: the gradient is that of the loss with the same masks") {
  for (const Method method : {Method::lora, Method::qlora}) {
    const Golden file(method == Method::lora ? "tiny_lora.safetensors" : "tiny_qlora.safetensors");
    const auto rows = test::golden_rows(file);
    const auto all = views(rows);
    const auto targets = rows.targets(0, rows.tokens.size());
    EngineOptions options = tiny("tiny_llama", method);
    options.dropout = 0.3;
    const auto engine = load(options);
    take_adapter(*engine, file);
    const auto loss_at = [&](std::int64_t n) {
      return engine->accumulate(all, targets, n).value();
    };
    const double loss = loss_at(5);
    const auto gradient = copy(engine->gradient());
    CHECK(loss_at(6) != loss);  // other masks
    const auto start = copy(engine->state().parameters);
    const std::vector<float> zero(start.size(), 0.0f);
    // Along the gradient itself, in every matrix: (L(p + h g) - L(p - h g)) / 2h = |g|^2.
    for (const auto& t : adapter_tensors(engine->layout(), start)) {
      CAPTURE(t.name);
      const auto at = static_cast<std::size_t>(t.values.data() - start.data());
      double square = 0;
      for (std::size_t i = at; i < at + t.values.size(); ++i)
        square += static_cast<double>(gradient[i]) * static_cast<double>(gradient[i]);
      if (square == 0) continue;
      const double h = 2e-2 / std::sqrt(square);
      double sides[2];
      for (const int side : {0, 1}) {
        auto moved = start;
        for (std::size_t i = at; i < at + t.values.size(); ++i)
          moved[i] += static_cast<float>((side == 0 ? -h : h) * static_cast<double>(gradient[i]));
        REQUIRE(engine->restore({moved, zero, zero}).ok());
        sides[side] = loss_at(5) / static_cast<double>(targets);
      }
      CHECK((sides[1] - sides[0]) / (2 * h) == doctest::Approx(square).epsilon(0.02));
    }
  }
}

TEST_CASE("dropout: batches, recomputation and threads leave the masks; an evaluation has none") {
  const Golden file("tiny_qlora.safetensors");
  const auto rows = test::golden_rows(file);
  const auto all = views(rows);
  const auto targets = rows.targets(0, rows.tokens.size());
  EngineOptions options = tiny("tiny_llama", Method::qlora);
  const auto plain = load(options);
  options.dropout = 0.1;
  const auto whole = load(options);
  CHECK(whole->plan().peak_bytes() > plain->plan().peak_bytes());
  take_adapter(*plain, file);
  take_adapter(*whole, file);
  CHECK(whole->evaluate(all).value() == plain->evaluate(all).value());
  const double loss = whole->accumulate(all, targets, 3).value();
  bool saw_recompute = false, saw_split = false;
  for (std::int64_t budget = whole->plan().peak_bytes();; budget -= 64 << 10) {
    options.budget_bytes = budget;
    options.threads = 1;
    auto loaded = Engine::load(options);
    if (!loaded.ok()) break;
    const auto small = std::move(loaded).value();
    saw_recompute = saw_recompute || small->plan().kept_layers < 2;
    saw_split = saw_split || small->plan().microbatch_tokens < 280;
    take_adapter(*small, file);
    CHECK(small->accumulate(all, targets, 3).value() == doctest::Approx(loss).epsilon(1e-7));
    CHECK(test::relative_difference(small->gradient(), whole->gradient()) <= 2e-6);
  }
  CHECK(saw_recompute);
  CHECK(saw_split);
}

// Neither library can have the other's masks: 200 of each, and their means differ by no more than
// five of their standard errors; their spreads, which one mask for q, k and v would widen, by a
// quarter (five deviations of a spread of 200).
TEST_CASE("dropout: losses and gradients are spread as peft's") {
  const Golden file("tiny_lora.safetensors"), peft("dropout.safetensors");
  const auto rows = test::golden_rows(file);
  const auto all = views(rows);
  const auto targets = rows.targets(0, rows.tokens.size());
  EngineOptions options = tiny("tiny_llama", Method::lora);
  options.dropout = 0.2;
  const auto engine = load(options);
  take_adapter(*engine, file);
  const auto state = copy(engine->state().parameters);
  const std::vector<float> zero(state.size(), 0.0f);
  std::vector<float> losses, norms;
  for (std::int64_t n = 0; n < 200; ++n) {
    losses.push_back(static_cast<float>(engine->accumulate(all, targets, n).value() /
                                        static_cast<double>(targets)));
    double square = 0;
    for (const float g : engine->gradient())
      square += static_cast<double>(g) * static_cast<double>(g);
    norms.push_back(static_cast<float>(std::sqrt(square)));
    REQUIRE(engine->restore({state, zero, zero}).ok());
  }
  const auto moments = [](const std::vector<float>& values) {
    double sum = 0, square = 0;
    for (const float v : values) sum += static_cast<double>(v);
    const auto n = static_cast<double>(values.size());
    for (const float v : values) square += std::pow(static_cast<double>(v) - sum / n, 2);
    return std::pair{sum / n, std::sqrt(square / (n - 1))};
  };
  for (const auto& [ours, name] : {std::pair{losses, "losses"}, {norms, "norms"}}) {
    CAPTURE(name);
    const auto [mean, spread] = moments(ours);
    const auto [peft_mean, peft_spread] = moments(peft.floats(name));
    CHECK(std::abs(mean - peft_mean) <=
          5 * std::sqrt((spread * spread + peft_spread * peft_spread) / 200));
    CHECK(spread / peft_spread == doctest::Approx(1).epsilon(0.25));
    CHECK(spread > 0);
  }
}

TEST_CASE("dropout: a resumed run has the bytes of an undisturbed one") {
  const Golden file("tiny_lora.safetensors");
  const auto rows = test::golden_rows(file);
  const auto all = views(rows);
  const auto targets = rows.targets(0, rows.tokens.size());
  const Update settings{1e-2, 0.9, 0.999, 1e-8, 0.01, 1.0};
  EngineOptions options = tiny("tiny_llama", Method::lora);
  options.dropout = 0.1;
  const auto one = load(options), resumed = load(options);
  for (std::int64_t i = 0; i < 4; ++i) {
    if (i == 2) {
      const auto state = one->state();
      REQUIRE(resumed->restore(state).ok());
    }
    const double loss = one->accumulate(all, targets, i).value();
    if (i >= 2) CHECK(resumed->accumulate(all, targets, i).value() == loss);
    one->update(settings, i + 1);
    if (i >= 2) resumed->update(settings, i + 1);
  }
  CHECK(same_bytes(resumed->state().parameters, one->state().parameters));
}

TEST_CASE("wrong input is an error that names it") {
  const auto engine = load(tiny("tiny_llama", Method::lora));
  const std::vector<std::int32_t> good = {1, 2, 3}, bad = {1, 160, 3}, negative = {1, -1, 3};
  const std::vector<std::int32_t> long_row(133, 1);
  const std::vector<std::uint8_t> mask = {0, 1, 1}, long_mask(133, 1), none = {0, 0, 0};
  struct Case {
    std::string name;
    TrainRow row;
    std::string what;  // empty: accepted
  };
  const std::vector<Case> cases = {{"good", {good, mask}, ""},
                                   {"nothing trained", {good, none}, ""},
                                   {"beyond the vocabulary", {bad, mask}, "token 160"},
                                   {"negative", {negative, mask}, "token -1"},
                                   {"too long", {long_row, long_mask}, "133 tokens"},
                                   {"mask of another length", {good, long_mask}, "differ"}};
  for (const auto& c : cases) {
    CAPTURE(c.name);
    const auto result = engine->accumulate(std::vector<TrainRow>{c.row}, 2, 0);
    CHECK(result.ok() == c.what.empty());
    if (!result.ok()) CHECK(result.error().what.find(c.what) != std::string::npos);
  }
  const std::vector<float> wrong(3);
  CHECK_FALSE(engine->restore({wrong, wrong, wrong}).ok());
  EngineOptions options = tiny("tiny_llama", Method::lora);
  options.targets = {"q_proj", "query"};
  const auto refused = Engine::load(options);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().what.find("\"query\"") != std::string::npos);
}
}  // namespace kairo::gpu
