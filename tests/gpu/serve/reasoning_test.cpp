// tests/gpu/serve/reasoning_test.cpp - an answer's reasoning that a client sends back reaches the
// template as it does in tuning, whichever of the names it has (transformers 5.24 has three).
#include "gpu/serve/request.h"
#include "tests/gpu/data/loading.h"
#include "tests/gpu/serve/server_bench.h"

using namespace kairo;
using namespace kairo::gpu;
using namespace kairo::gpu::test;
namespace {
const std::string thinking_template =
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}{% if m.reasoning_content %}"
    "{{ '<think>' + m.reasoning_content + '</think>' }}{% endif %}{{ m.content + '<|im_end|>' + "
    "'\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
}  // namespace

TEST_CASE("reasoning that is sent back renders as in tuning") {
  struct Row {
    std::string keys, thought;
  };
  const Row rows[] = {
      {R"("reasoning_content":"why")", "<think>why</think>"},
      {R"("thinking":"why")", "<think>why</think>"},
      {R"("reasoning":"why")", "<think>why</think>"},
      {R"("reasoning_content":null,"reasoning":"why")", "<think>why</think>"},
      {R"("reasoning_content":null,"thinking":null,"reasoning":"why")", "<think>why</think>"},
      {R"("reasoning_content":"C","thinking":"T","reasoning":"R")", "<think>C</think>"},
      {R"("thinking":"T","reasoning":"R")", "<think>T</think>"},
      {R"("reasoning_content":null,"thinking":null,"reasoning":null)", ""},
      {R"("refusal":null)", ""},
  };
  const TempFolder folder;
  REQUIRE(write_tiny_model(folder.path()).ok());
  write_tiny_tokenizer(folder.path(), thinking_template);
  const auto tokenizer = Tokenizer::load(folder.path());
  REQUIRE(tokenizer.ok());
  Bench bench;
  bench.options.generator.model_dir = folder.path();
  bench.open();
  for (const Row& row : rows) {
    CAPTURE(row.keys);
    const std::string turns =
        R"({"role":"user","content":"q"},{"role":"assistant","content":"a",)" + row.keys +
        R"(},{"role":"user","content":"r"})";
    const std::string wanted = "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n" +
                               row.thought +
                               "a<|im_end|>\n<|im_start|>user\nr<|im_end|>\n"
                               "<|im_start|>assistant\n";
    const std::string body = R"({"messages":[)" + turns + R"(],"max_tokens":1,"temperature":0})";
    const auto asked = parse_chat_completion(body, {});
    REQUIRE(asked.ok());
    const auto rendered = tokenizer.value().apply_chat(asked.value().messages, true);
    REQUIRE(rendered.ok());
    CHECK(rendered.value().text == wanted);
    const auto prompt = tokenizer.value().encode(wanted, false);
    REQUIRE(prompt.ok());
    const auto reply = bench.client().Post("/v1/chat/completions", body, "application/json");
    REQUIRE(reply);
    CHECK(Json::parse(reply->body)["usage"]["prompt_tokens"] == prompt.value().size());
    // The tuning's row: the same, and the answer that is trained.
    const auto tuned = loading::load(
        "rows.jsonl",
        R"({"messages":[)" + turns + R"(,{"role":"assistant","content":"x"}]})" + "\n",
        loading::whole(), thinking_template);
    REQUIRE_MESSAGE(tuned.data.rows.size() == 1, tuned.error);
    const auto text = tokenizer.value().decode(tuned.data.rows[0].tokens, false);
    REQUIRE(text.ok());
    CHECK(text.value() == wanted + "x<|im_end|>\n");
  }
}
