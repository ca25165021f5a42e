// tests/gpu/data/chat_rows_test.cpp - proves: what stands in and beside a chat is trained as it
// says, or refused by its name.
#include <doctest/doctest.h>

#include "tests/gpu/data/loading.h"

using namespace kairo;
using namespace kairo::gpu;
using namespace loading;

namespace {
std::string turn(const std::string& role, const std::string& content) {
  return "<|im_start|>" + role + "\n" + content + "<|im_end|>\n";
}
std::string answer(const std::string& content) {
  return "<|im_start|>assistant\n[" + content + "<|im_end|>]\n";
}
// Tools and calls as JSON, whatever the roles.
const std::string with_tools =
    "{% if tools %}<|im_start|>tools\n{{ tools | tojson }}<|im_end|>\n{% endif %}{% for m in "
    "messages %}<|im_start|>{{ m.role }}\n{{ m.content if m.content }}{% for c in m.tool_calls or "
    "[] %}{{ c | tojson }}{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt "
    "%}<|im_start|>assistant\n{% endif %}";
const std::string with_blocks =
    "{% for m in messages %}{{ m.role }}:{% if m.role == 'assistant' %}"
    "{% generation %}{{ m.content }}!{% endgeneration %}{% else %}{{ m.content }}{% endif %}"
    "{% endfor %}";
struct Case {
  std::string name, row, text, chat_template = test::chatml;
};
}  // namespace

TEST_CASE("chat rows: a system prompt and earlier turns in columns of their own") {
  const std::string q = turn("user", "q") + answer("a");
  const Case cases[] = {
      {"system, sharegpt",
       R"({"system":"s","conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"a"}]})",
       turn("system", "s") + q},
      {"system, messages",
       R"({"system":"s","messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]})",
       turn("system", "s") + q},
      {"the same system prompt twice",
       R"({"system":"s","messages":[{"role":"system","content":"s"},{"role":"user","content":"q"},)"
       R"({"role":"assistant","content":"a"}]})",
       turn("system", "s") + q},
      {"system, instruction", R"({"system":"s","instruction":"q","input":"","output":"a"})",
       turn("system", "s") + q},
      {"OpenOrca", R"({"id":"1","system_prompt":"s","question":"q","response":"a"})",
       turn("system", "s") + q},
      {"empty system", R"({"system":"","instruction":"q","output":"a"})", q},
      {"null system", R"({"system":null,"instruction":"q","output":"a"})", q},
      {"history", R"({"instruction":"q","output":"a","history":[["r","b"],["s","c"]]})",
       turn("user", "r") + answer("b") + turn("user", "s") + answer("c") + q},
      {"history as text", R"({"instruction":"q","output":"a","history":"[[\"r\",\"b\"]]"})",
       turn("user", "r") + answer("b") + q},
      {"history of messages",
       R"({"question":"q","answer":"a","history":[{"role":"user","content":"r"},)"
       R"({"role":"assistant","content":"b","weight":0}]})",
       turn("user", "r") + turn("assistant", "b") + q},
      {"empty history", R"({"instruction":"q","output":"a","history":[]})", q},
      {"system and history",
       R"({"instruction":"q","output":"a","system":"s","history":[["r","b"]]})",
       turn("system", "s") + turn("user", "r") + answer("b") + q},
      {"system beside a prompt of messages",
       R"({"system":"s","prompt":[{"role":"user","content":"q"}],)"
       R"("completion":[{"role":"assistant","content":"a"}]})",
       turn("system", "s") + q},
      {"other kinds' columns are null",
       R"({"prompt":null,"completion":null,"messages":null,"instruction":"q","output":"a"})", q},
      {"system without a template", R"({"system":"s","question":"q","answer":"a"})",
       "s\n\nq\n[a<|im_end|>]", ""},
  };
  for (const auto& c : cases) {
    CAPTURE(c.name);
    const auto got = load("a.jsonl", c.row, whole(), c.chat_template);
    CHECK(got.error == "");
    CHECK(got.rows == std::vector<std::string>{c.text});
  }
}

TEST_CASE("chat rows: content, calls, tools, weights") {
  const std::string tool = R"({"type": "function", "function": {"name": "f"}})";
  const std::string call = R"({"function": {"name": "f", "arguments": {"x": 1}}})";
  const std::string asked =
      R"("messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}])";
  const std::string tools_text = "<|im_start|>tools\n[" + tool + "]<|im_end|>\n";
  const Case cases[] = {
      {"text parts",
       R"({"messages":[{"role":"user","content":[{"type":"text","text":"q"},{"type":"text","text":"!"}]},)"
       R"({"role":"assistant","content":[{"type":"text","text":"a"}]}]})",
       turn("user", "q!") + answer("a")},
      {"tools", R"({"tools":[)" + tool + "]," + asked + "}",
       tools_text + turn("user", "q") + answer("a"), with_tools},
      {"tools as text",
       R"({"tools":"[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]",)" + asked + "}",
       tools_text + turn("user", "q") + answer("a"), with_tools},
      {"tools as empty text", R"({"tools":"",)" + asked + "}", turn("user", "q") + answer("a"),
       with_tools},
      {"no tools", R"({"tools":null,)" + asked + "}", turn("user", "q") + answer("a"), with_tools},
      {"tools beside a question", R"({"question":"q","answer":"a","tools":[)" + tool + "]}",
       tools_text + turn("user", "q") + answer("a"), with_tools},
      {"a call without content",
       R"({"messages":[{"role":"user","content":"q"},{"role":"assistant","tool_calls":[)" + call +
           R"(]},{"role":"tool","content":{"t":12}},{"role":"assistant","content":"a"}]})",
       turn("user", "q") + answer(call) + turn("tool", R"({'t': 12})") + answer("a"), with_tools},
      {"a call with null content",
       R"({"messages":[{"role":"user","content":"q","tool_calls":null},)"
       R"({"role":"assistant","content":null,"tool_calls":[)" +
           call + "]}]}",
       turn("user", "q") + answer(call), with_tools},
      {"a null in a call stays",
       R"({"messages":[{"role":"user","content":"q"},)"
       R"({"role":"assistant","tool_calls":[{"x":null}]}]})",
       turn("user", "q") + answer(R"({"x": null})"), with_tools},
      {"weight 0",
       R"({"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"b","weight":0},)"
       R"({"role":"user","content":"r"},{"role":"assistant","content":"a","weight":1}]})",
       turn("user", "q") + turn("assistant", "b") + turn("user", "r") + answer("a")},
      {"train: false, null weight",
       R"({"conversations":[{"from":"human","value":"q","weight":null},)"
       R"({"from":"gpt","value":"b","train":false},{"from":"human","value":"r"},)"
       R"({"from":"gpt","value":"a","train":true,"weight":1.0}]})",
       turn("user", "q") + turn("assistant", "b") + turn("user", "r") + answer("a")},
      {"weight 0 in generation blocks",
       R"({"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"b","weight":0},)"
       R"({"role":"user","content":"r"},{"role":"assistant","content":"a"}]})",
       "user:qassistant:b!user:rassistant:[a!]", with_blocks},
      {"a call's numbers as they are",
       R"({"messages":[{"role":"user","content":"q"},{"role":"assistant","tool_calls":[)"
       R"({"n":123456789012345678901234567890,"m":-18446744073709551616,"x":1e-05,"y":1.10}]}]})",
       turn("user", "q") +
           answer(R"({"n": 123456789012345678901234567890, "m": -18446744073709551616, )"
                  R"("x": 1e-05, "y": 1.1})"),
       with_tools},
      {"an answer that is a large number",
       R"({"question":"q","answer":12345678901234567890123,"id":123456789012345678901234567890})",
       turn("user", "q") + answer("12345678901234567890123")},
      {"variables of the template", R"({"chat_template_kwargs":{"how":"loud"},)" + asked + "}",
       "q [a!] loud",
       "{{ messages[0].content }} {% generation %}{{ messages[1].content }}!{% endgeneration %} {{ "
       "how "
       "}}"},
      {"an answer of a tool, ShareGPT",
       R"({"conversations":[{"from":"human","value":"q"},{"from":"observation","value":"o"},)"
       R"({"from":"gpt","value":"a"}]})",
       turn("user", "q") + turn("tool", "o") + answer("a")},
  };
  for (const auto& c : cases) {
    CAPTURE(c.name);
    const auto got = load("a.jsonl", c.row, whole(), c.chat_template);
    CHECK(got.error == "");
    CHECK(got.rows == std::vector<std::string>{c.text});
  }
  auto all = whole();
  all.loss_on = LossOn::all;
  CHECK(load("a.jsonl", cases[9].row, all).rows[0] ==
        "<|im_start|>[user\nq<|im_end|>\n<|im_start|>assistant\n]b<|im_end|>[\n" +
            turn("user", "r") + turn("assistant", "a") + "]");
}

TEST_CASE("chat rows: the generation prompt says more than the chat") {
  const auto thinks = [](const std::string& in_chat) {
    return "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if loop.last and m.role == "
           "'assistant' %}" +
           in_chat +
           "{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}"
           "<|im_start|>assistant\n<think>\n\n</think>\n\n{% endif %}";
  };
  const std::string row = R"({"question":"q","answer":"a"})";
  CHECK(load("a.jsonl", row, whole(), thinks("")).rows ==
        std::vector<std::string>{turn("user", "q") + answer("a")});
  CHECK(load("a.jsonl", R"({"messages":[{"role":"assistant","content":"a"}]})", whole(), thinks(""))
            .rows == std::vector<std::string>{answer("a")});
  // What stands in both is part of the question.
  CHECK(load("a.jsonl", row, whole(), thinks("<think>\n\n</think>\n\n")).rows ==
        std::vector<std::string>{turn("user", "q") +
                                 "<|im_start|>assistant\n<think>\n\n</think>\n\n[a<|im_end|>]\n"});
}

// As Mistral's templates: the system prompt stands before the last question as long as that is the
// last message. trl 1.16 trains from where the ids part, which is within the question.
TEST_CASE("chat rows: the question is rendered otherwise once it is answered") {
  const std::string with_system =
      "{% for m in messages %}{% if m.role == 'user' %}{{ '<|im_start|>' }}{% if loop.last and "
      "messages[0].role == 'system' %}{{ messages[0].content + '\\n' }}{% endif %}{{ m.content + "
      "'|' }}{% elif m.role == 'assistant' %}{{ m.content + '<|im_end|>' }}{% endif %}{% endfor %}";
  const std::string words = R"({"role":"system","content":"s"},{"role":"user","content":"q a"},)"
                            R"({"role":"assistant","content":"a"})";
  const auto rows = [&](const std::string& messages) {
    return load("a.jsonl", R"({"messages":[)" + messages + "]}", whole(), with_system).rows;
  };
  CHECK(rows(words) == std::vector<std::string>{"<|im_start|>q a|[a<|im_end|>]"});
  CHECK(rows(words + R"(,{"role":"user","content":"r"},{"role":"assistant","content":"b"})") ==
        std::vector<std::string>{"<|im_start|>q a|[a<|im_end|>]<|im_start|>r|[b<|im_end|>]"});
}

TEST_CASE("chat rows: refused by name") {
  struct Bad {
    std::string row, error;
  };
  const std::string asked =
      R"("messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}])";
  const auto assistant = [](const std::string& members) {
    return R"({"messages":[{"role":"user","content":"q"},{"role":"assistant",)" + members + "}]}";
  };
  const Bad cases[] = {
      {R"({"tools":{"a":1},)" + asked + "}", "column \"tools\" is object, must be a list of tools"},
      {R"({"tools":"[{\"a\": NaN}]",)" + asked + "}",
       "row 1: column \"tools\" is string that is not JSON (NaN and Infinity are none: write "
       "null), "
       "must be a list of tools"},
      {R"({"messages":"[{\"role\": \"user\", \"n\": -Infinity}]"})",
       "column \"messages\" is string that is not JSON (NaN and Infinity are none"},
      {R"({"chat_template_kwargs":"{\"a\": 1",)" + asked + "}",
       "column \"chat_template_kwargs\" is string that is not JSON, must be an object"},
      {R"({"tools":"calculator",)" + asked + "}", "column \"tools\" is string, must be a list"},
      {R"({"tools":"{\"a\":1}",)" + asked + "}", "column \"tools\" is string, must be a list"},
      {R"({"tools":5,)" + asked + "}", "column \"tools\" is number, must be a list of tools"},
      {R"({"tools":["f"],)" + asked + "}", "column \"tools[0]\" is string, must be an object"},
      {R"({"functions":[{"name":"f"}],)" + asked + "}",
       "column \"functions\" is OpenAI's old form"},
      {assistant(R"("content":null)"), "\"messages[1]\" must have \"role\" and \"content\""},
      {assistant(R"("content":"","function_call":{"name":"f"})"),
       "\"messages[1].function_call\" is OpenAI's old form"},
      {assistant(R"("tool_calls":"[]")"), "\"messages[1].tool_calls\" is string, must be a list"},
      {assistant(R"("tool_calls":["f"])"), "\"messages[1].tool_calls\" is string, must be a list"},
      {assistant(R"("content":"a","weight":2)"), "\"messages[1].weight\" is 2, must be 0"},
      {assistant(R"("content":"a","weight":"0")"), "\"messages[1].weight\" is \"0\", must be 0"},
      {assistant(R"("content":[{"type":"image_url","image_url":{"url":"x"}}])"),
       "\"messages[1].content[0]\" is no text part"},
      {assistant(R"("content":{"a":1})"), "\"messages[1].content\" is object, must be a string"},
      {R"({"system":"other","messages":[{"role":"system","content":"s"},{"role":"user","content":"q"}]})",
       "its messages begin with another one"},
      {R"({"system":5.5,"history":{},"instruction":"q","output":"a"})",
       "column \"history\" is object, must be a list of pairs"},
      {R"({"history":[["q"]],"instruction":"q","output":"a"})",
       "column \"history[0]\" is array, must be a list of pairs"},
      {R"({"system":"s","prompt":"p","completion":"c"})",
       "column \"system\" stands beside a prompt that is plain text"},
      {R"({"chat_template_kwargs":["x"],)" + asked + "}",
       "column \"chat_template_kwargs\" is array, must be an object"},
      {R"({"chat_template_kwargs":{"tools":[]},)" + asked + "}",
       "column \"chat_template_kwargs\" sets \"tools\""},
      {R"({"images":["a.png"],)" + asked + "}", "column \"images\" stands beside the text"},
      {R"({"image":"a.png","prompt":"p","completion":"c"})", "column \"image\" stands beside"},
      {R"({"messages":[{"role":"human","content":"q"},{"role":"gpt","content":"a"}]})",
       "none of 1 rows has an answer: row 1 of "},
      {R"({"messages":[{"role":"human","content":"q"},{"role":"gpt","content":"a"}]})",
       "no message has the role assistant; there are: human, gpt"},
      {assistant(R"("content":"a","weight":0)"), "every assistant message has weight 0"},
      {R"({"conversations":[{"from":"function_call","value":"{}"}]})",
       "is from \"function_call\": write it as from \"gpt\""},
  };
  for (const auto& c : cases) {
    CAPTURE(c.row);
    const auto got = load("a.jsonl", c.row, whole());
    CAPTURE(got.error);
    CHECK(got.error.find(c.error) != std::string::npos);
    CHECK(got.code == Code::invalid);
  }
}

TEST_CASE("chat rows: what Arrow fills in is left out, and said") {
  const auto t = tiny(with_tools);
  const auto arrow = load_dataset(test::golden("tools.parquet"), whole(), t);
  REQUIRE_MESSAGE(arrow.ok(), arrow.error().what);
  const auto lines = load_dataset(test::golden("tools.jsonl"), whole(), t);
  REQUIRE_MESSAGE(lines.ok(), lines.error().what);
  REQUIRE(arrow.value().rows.size() == 2);
  for (std::size_t i = 0; i < 2; ++i)
    CHECK(marked(arrow.value().rows[i], t) == marked(lines.value().rows[i], t));
  CHECK(arrow.value().nulls_dropped == 12);
  CHECK(lines.value().nulls_dropped == 0);
}
