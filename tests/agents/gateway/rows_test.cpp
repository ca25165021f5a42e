// What this proves: rows of OpenAI's dialect pass, others are refused with example, message and
// key; whatever the cut of the file.
#include "agents/gateway/rows.h"

#include <doctest/doctest.h>

using namespace kairo::gateway;
namespace {
RowsVerdict verdict_of(const std::string& text, std::size_t cut) {
  RowsCheck check;
  for (std::size_t at = 0; at < text.size(); at += cut)
    check.feed(std::string_view(text).substr(at, cut));
  return check.finish();
}
std::string chat(const std::string& messages) {
  return R"({"messages": [)" + messages + "]}";
}
const std::string asking = R"({"role": "user", "content": "q"})";
const std::string answering = R"({"role": "assistant", "content": "a"})";
const std::string calling =
    R"({"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function",
       "function": {"name": "f", "arguments": "{}"}}]})";
const std::string preferring =
    R"({"input": {"messages": [{"role": "user", "content": "q"}]},
        "preferred_output": [{"role": "assistant", "content": "a"}],
        "non_preferred_output": [{"role": "assistant", "content": "b"}]})";
}  // namespace

TEST_CASE("one row") {
  struct Row {
    const char* name;
    std::string line;
    Dialect dialect;
    const char* wrong;
  };
  const Row rows[] = {
      {"a chat", chat(asking + "," + answering), Dialect::chat, ""},
      {"weights",
       chat(asking + R"(,{"role":"assistant","content":"a","weight":0},)" + asking + "," +
            answering),
       Dialect::chat, ""},
      {"calls at the end, content null", chat(asking + "," + calling), Dialect::chat, ""},
      {"calls with their answer",
       chat(asking + "," + calling + R"(,{"role":"tool","tool_call_id":"c1","content":"1"},)" +
            answering),
       Dialect::chat, ""},
      {"text parts", chat(R"({"role":"user","content":[{"type":"text","text":"q"}]},)" + answering),
       Dialect::chat, ""},
      {"completions", R"({"prompt": "p", "completion": "c"})", Dialect::completions, ""},
      {"preference", preferring, Dialect::preference, ""},
      {"reinforcement", R"({"messages": [{"role":"user","content":"q"}], "item": 1})",
       Dialect::reinforcement, ""},
      {"no JSON", "{\"messages\": ", Dialect::none,
       "it is no JSON object on a line of its own; it begins with \"{\"messages\": \""},
      {"neither", R"({"text": "x"})", Dialect::none,
       "it has neither messages nor prompt and completion"},
      {"no messages", R"({"messages": []})", Dialect::chat, "messages is no list with a message"},
      {"no role", chat(R"({"content": "q"},)" + answering), Dialect::chat,
       "message 1: role is missing"},
      {"an unknown role", chat(asking + R"(,{"role":"bot","content":"a"})"), Dialect::chat,
       "message 2: role \"bot\" is none of OpenAI's"},
      {"no content", chat(asking + R"(,{"role":"assistant"})"), Dialect::chat,
       "message 2: content is missing"},
      {"no assistant", chat(asking), Dialect::chat, "there is no message of the assistant"},
      {"the user is last", R"({"messages": [)" + answering + "," + asking + "]}", Dialect::chat,
       "the last message is not the assistant's"},
      {"a weight of 2", chat(asking + R"(,{"role":"assistant","content":"a","weight":2})"),
       Dialect::chat, "message 2: weight is neither 0 nor 1"},
      {"a weight of the user", chat(R"({"role":"user","content":"q","weight":1},)" + answering),
       Dialect::chat, "message 1: weight is for messages of the assistant only"},
      {"all weights 0", chat(asking + R"(,{"role":"assistant","content":"a","weight":0})"),
       Dialect::chat, "every message of the assistant has weight 0"},
      {"a call without its answer", chat(asking + "," + calling + "," + answering), Dialect::chat,
       "the tool call \"c1\" has no answer"},
      {"an answer without its call",
       chat(R"({"role":"tool","tool_call_id":"c9","content":"1"},)" + answering), Dialect::chat,
       "tool_call_id \"c9\" answers no call"},
      {"arguments that are no JSON",
       chat(asking + R"(,{"role":"assistant","tool_calls":[{"id":"c","function":{"name":"f",)"
                     R"("arguments":"{"}}]})"),
       Dialect::chat, "message 2: a tool call's arguments are not JSON"},
      {"a picture", chat(R"({"role":"user","content":[{"type":"image_url"}]},)" + answering),
       Dialect::chat, "message 1: content has a part of type \"image_url\": only text is trained"},
      {"functions", R"({"functions": [{}], "messages": [)" + asking + "," + answering + "]}",
       Dialect::chat, "functions is the old form, which is not trained here: write tools"},
      {"a prompt that is no text", R"({"prompt": 1, "completion": "c"})", Dialect::completions,
       "prompt and completion are not both texts"},
      {"half a preference", R"({"input": {"messages": [{"role":"user","content":"q"}]},
        "preferred_output": [{"role": "assistant", "content": "a"}]})",
       Dialect::preference, "non_preferred_output is missing"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    Dialect dialect = Dialect::none;
    std::string line = row.line;
    for (char& c : line)
      if (c == '\n') c = ' ';
    CHECK(wrong_row(line, dialect) == row.wrong);
    CHECK(dialect == row.dialect);
  }
  Dialect dialect = Dialect::none;
  CHECK(wrong_row(std::string(100'000, '['), dialect) == "it is nested deeper than 64");
}
TEST_CASE("a file, whatever the cut") {
  const std::string good = chat(asking + "," + answering);
  const std::string text = "\xEF\xBB\xBF" + good + "\r\n\n" + good + "\n" + chat(asking) + "\n{}";
  for (std::size_t cut = 1; cut < text.size(); ++cut) {
    const RowsVerdict verdict = verdict_of(text, cut);
    CHECK(verdict.rows == 4);
    CHECK(verdict.dialect == Dialect::chat);
    CHECK(verdict.wrong == "example 3: there is no message of the assistant");
  }
}
TEST_CASE("rows of two dialects") {
  const std::string text =
      chat(asking + "," + answering) + "\n" + R"({"prompt": "p", "completion": "c"})" + "\n";
  CHECK(verdict_of(text, 7).wrong ==
        "example 2: it is a prompt and completion row, the first is a chat one");
}
TEST_CASE("whether a file can train") {
  const RowsVerdict nine{9, Dialect::chat, ""};
  const RowsVerdict ten{10, Dialect::chat, ""};
  const RowsVerdict dpo{10, Dialect::preference, ""};
  const RowsVerdict bad{10, Dialect::chat, "example 2: x"};
  CHECK(fault_of(ten, "supervised", "training", "file-a").code == "");
  CHECK(fault_of(nine, "supervised", "training", "file-a").code == "invalid_n_examples");
  CHECK(fault_of(nine, "supervised", "training", "file-a").message ==
        "The training file file-a has 9 examples; 10 are needed");
  CHECK(fault_of(nine, "supervised", "validation", "file-a").code == "");
  CHECK(fault_of({}, "supervised", "validation", "file-a").message ==
        "The validation file file-a has 0 examples; 1 is needed");
  CHECK(fault_of(bad, "supervised", "validation", "file-a").code == "invalid_validation_file");
  CHECK(fault_of(bad, "supervised", "training", "file-a").message ==
        "The training file file-a is invalid: example 2: x");
  CHECK(fault_of(dpo, "supervised", "training", "file-a").code == "invalid_training_file");
  CHECK(fault_of(dpo, "supervised", "training", "file-a").message ==
        "The training file file-a is invalid: its rows are preference rows, which method "
        "supervised does not take; it takes chat rows (messages), or prompt and completion");
}
