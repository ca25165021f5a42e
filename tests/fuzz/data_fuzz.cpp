// What this proves: whatever a row of a data set holds, it becomes tokens with as many targets, or
// an error.
#include <doctest/doctest.h>

#include "gpu/data/example.h"
#include "gpu/data/masks.h"
#include "tests/fuzz/fuzz.h"
#include "tests/gpu/hf/tiny_tokenizer.h"
#include "tests/gpu/support.h"

using namespace kairo;
using namespace kairo::gpu;

TEST_CASE("rows of data sets") {
  const gpu::test::TempFolder folder;
  gpu::test::write_tiny_tokenizer(folder.path(), gpu::test::chatml);
  const auto tokenizer = Tokenizer::load(folder.path());
  REQUIRE(tokenizer.ok());
  const auto feed = [&](const std::string& row) {
    for (const bool is_arrow : {false, true}) {
      const auto example = read_example(row, TrainingConfig{}, is_arrow);
      if (!example.ok()) continue;
      for (const LossOn on : {LossOn::answer, LossOn::all}) {
        const auto made = tokenise(example.value(), on, tokenizer.value());
        if (made.ok()) CHECK(made.value().tokens.size() == made.value().trained.size());
      }
    }
  };
  const std::vector<kairo::test::FuzzTarget> targets = {
      {"data row",
       {R"({"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a","weight":0}],)"
        R"("tools":"[{\"type\":\"function\"}]","system":"s","history":[["q","a"]]})",
        R"({"conversations":[{"from":"human","value":[{"type":"text","text":"q"}]},)"
        R"({"from":"gpt","value":"a","tool_calls":[{"x":null}]}],"chat_template_kwargs":{"a":1}})",
        R"({"prompt":[{"role":"user","content":"q"}],"completion":[{"role":"assistant","content":"a"}]})",
        R"({"prompt":"p ","completion":"c"})", R"({"instruction":"q","input":null,"output":7})"},
       feed}};
  CHECK(kairo::test::fuzz(targets) > 0);
}
