// tests/gpu/data/dataset_test.cpp - proves: every kind of row becomes the tokens and targets it
// should, and bad data an error that names file, row and columns.
#include "gpu/data/dataset.h"

#include <doctest/doctest.h>

#include "gpu/formats/files.h"
#include "gpu/formats/json.h"
#include "tests/gpu/data/loading.h"

using namespace kairo;
using namespace kairo::gpu;

namespace {
using namespace loading;
const std::string question = "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n";
const std::string answered = question + "[a<|im_end|>]\n";
}  // namespace

TEST_CASE("dataset: every kind of row") {
  struct KindRow {
    std::string name, json, row;
  };
  const KindRow cases[] = {
      {"messages",
       R"({"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]})",
       answered},
      {"two turns",
       R"({"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"},)"
       R"({"role":"user","content":"q"},{"role":"assistant","content":"a"}]})",
       answered + answered},
      {"sharegpt", R"({"conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"a"}]})",
       answered},
      {"question and answer", R"({"question":"q","answer":"a"})", answered},
      {"answer is a number", R"({"question":"q","answer":7})", question + "[7<|im_end|>]\n"},
      {"instruction", R"({"instruction":"q","input":"","output":"a"})", answered},
      {"instruction with input", R"({"instruction":"q","input":"x","output":"a"})",
       "<|im_start|>user\nq\n\nx<|im_end|>\n<|im_start|>assistant\n[a<|im_end|>]\n"},
      {"prompt and completion", R"({"prompt":"p ","completion":"c"})", "p [c<|im_end|>]"},
      {"prompt of messages",
       R"({"prompt":[{"role":"user","content":"q"}],)"
       R"("completion":[{"role":"assistant","content":"a"}]})",
       answered},
      {"text", R"({"text":"abc"})", "a[bc<|im_end|>]"},
      {"text that ends itself", R"({"text":"ab<|im_end|>"})", "a[b<|im_end|>]"},
      {"no letters only", R"({"question":"q","answer":"é😀"})", question + "[é😀<|im_end|>]\n"},
  };
  for (const auto& c : cases) {
    CAPTURE(c.name);
    const auto got = load("a.jsonl", c.json, whole());
    CHECK(got.error == "");
    CHECK(got.rows == std::vector<std::string>{c.row});
  }
}

TEST_CASE("dataset: chats have the tokens and the assistant masks of transformers") {
  const auto text = read_file(test::golden("masks.json"), 1 << 20);
  REQUIRE(text.ok());
  const auto cases = parse_json<nlohmann::ordered_json>(text.value());
  REQUIRE(cases.ok());
  CHECK(cases.value().size() == 10);
  for (const auto& c : cases.value()) {
    CAPTURE(c["name"].get<std::string>());
    const auto got = load("a.jsonl", nlohmann::ordered_json{{"messages", c["messages"]}}.dump(),
                          whole(), c["template"].get<std::string>());
    CHECK(got.error == "");
    REQUIRE(got.data.rows.size() == 1);
    CHECK(got.data.rows[0].tokens == c["tokens"].get<std::vector<std::int32_t>>());
    CHECK(got.data.rows[0].trained == c["mask"].get<std::vector<std::uint8_t>>());
  }
}

TEST_CASE("dataset: which tokens are trained") {
  const std::string chat =
      R"({"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]})";
  auto all = whole();
  all.loss_on = LossOn::all;
  CHECK(load("a.jsonl", chat, all).rows[0] ==
        "<|im_start|>[user\nq<|im_end|>\n<|im_start|>assistant\na<|im_end|>\n]");
  const std::string blocks =
      "{% for m in messages %}{{ m.role }}:{% if m.role == 'assistant' %}"
      "{% generation %}{{ m.content }}!{% endgeneration %}{% else %}{{ m.content }}{% endif %}"
      "{% endfor %}";
  CHECK(load("a.jsonl", chat, whole(), blocks).rows[0] == "user:qassistant:[a!]");
  // The last turn is rendered otherwise than an earlier one: its end is found by its content.
  const std::string think =
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if loop.last and m.role == 'assistant' "
      "%}...{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}"
      "<|im_start|>assistant\n{% endif %}";
  const auto two = load("a.jsonl",
                        R"({"messages":[{"role":"user","content":"q"},)"
                        R"({"role":"assistant","content":"a"},{"role":"user","content":"q"},)"
                        R"({"role":"assistant","content":"b"}]})",
                        whole(), think);
  CHECK(two.error == "");
  REQUIRE(two.rows.size() == 1);
  CHECK(two.rows[0] == answered + question + "[...b<|im_end|>]\n");
  const auto lost =
      load("a.jsonl", chat, whole(), "{{ messages | length }}{{ messages[-1].role }}");
  CHECK(lost.error.find("message 2 (assistant) is not found in the rendered chat") !=
        std::string::npos);
  CHECK(load("a.jsonl", R"({"question":"q","answer":"a"})", whole(), "").rows[0] ==
        "q\n[a<|im_end|>]");
}

TEST_CASE("dataset: of prompt and completion only the completion is the answer") {
  const std::string row =
      R"({"prompt":[{"role":"user","content":"q"},{"role":"assistant","content":"a"},)"
      R"({"role":"user","content":"q"}],"completion":[{"role":"assistant","content":"b"}]})";
  const std::string unanswered = question + "a<|im_end|>\n" + question;
  CHECK(load("a.jsonl", row, whole()).rows ==
        std::vector<std::string>{unanswered + "[b<|im_end|>]\n"});
  const std::string blocks =
      "{% for m in messages %}{{ m.role }}:{% if m.role == 'assistant' %}"
      "{% generation %}{{ m.content }}!{% endgeneration %}{% else %}{{ m.content }}{% endif %}"
      "{% endfor %}";
  CHECK(load("a.jsonl", row, whole(), blocks).rows[0] == "user:qassistant:a!user:qassistant:[b!]");
}

TEST_CASE("dataset: each of trl's switches governs its own kind of row") {
  const std::string chat =
      R"({"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]})";
  const std::string pair = R"({"prompt":"p ","completion":"c"})";
  const std::string whole_chat =
      "<|im_start|>[user\nq<|im_end|>\n<|im_start|>assistant\na<|im_end|>\n]";
  auto config = whole();
  config.completion_only_loss = false;
  config.assistant_only_loss = true;
  CHECK(load("a.jsonl", pair + "\n" + chat, config).rows ==
        std::vector<std::string>{"p[ c<|im_end|>]", answered});
  config.completion_only_loss = true;
  config.assistant_only_loss = false;
  CHECK(load("a.jsonl", pair + "\n" + chat, config).rows ==
        std::vector<std::string>{"p [c<|im_end|>]", whole_chat});
  config.loss_on = LossOn::answer;
  CHECK(load("a.jsonl", chat, config).rows == std::vector<std::string>{answered});
}

TEST_CASE("dataset: a chat may begin with the assistant") {
  // Like Qwen's and SmolLM2's: a system prompt where the chat has none, but not for no chat at all.
  const std::string with_system =
      "{% for m in messages %}{% if loop.first and m.role != 'system' %}"
      "{{ '<|im_start|>system\ns<|im_end|>\n' }}{% endif %}"
      "{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
      "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
  const std::string row =
      R"({"messages":[{"role":"assistant","content":"a"},{"role":"user","content":"q"},)"
      R"({"role":"assistant","content":"a"}]})";
  const auto got = load("a.jsonl", row, whole(), with_system);
  CHECK(got.error == "");
  CHECK(got.rows == std::vector<std::string>{"<|im_start|>system\ns<|im_end|>\n<|im_start|>"
                                             "assistant\n[a<|im_end|>]\n" +
                                             answered});
}

TEST_CASE("dataset: folders below, hidden names, an extension, a stop") {
  const test::TempFolder folder;
  const auto t = tiny(test::chatml);
  const auto add = [&](const std::string& place, const std::string& name, const std::string& text) {
    REQUIRE(make_folders(folder.path() + place).ok());
    REQUIRE(write_file(folder.path() + place + name, text).ok());
  };
  const auto row = [](const std::string& prompt) {
    return R"({"prompt":")" + prompt + R"(","completion":"c"})";
  };
  add("/data/deeper/", "b.jsonl", row("b"));
  add("/", "x.jsonl", row("x") + "\n" + row("y"));
  add("/..hidden/", "h.jsonl", row("h"));
  add("/", "z.csv", "prompt,completion\nz,c\n");
  const auto prompts = [&](const TrainingConfig& config) {
    std::string out;
    const auto data = load_dataset(folder.path(), config, t);
    REQUIRE_MESSAGE(data.ok(), data.error().what);
    for (const auto& made : data.value().rows) out += marked(made, t).substr(0, 1);
    return out;
  };
  auto config = whole();
  CHECK(prompts(config) == "bxyz");
  config.dataset_extension = "json";
  CHECK(prompts(config) == "bxy");
  int rows = 0;
  const auto stopped =
      load_dataset(folder.path(), config, t, {1, "", [&] { return ++rows > 2; }, "", ""});
  REQUIRE_FALSE(stopped.ok());
  CHECK(stopped.error().code == Code::conflict);
}

TEST_CASE("dataset: cut rows, split, order of files, digest") {
  const std::string rows = R"({"prompt":"pp","completion":"cc"})"
                           "\n"
                           R"({"prompt":"pppp","completion":"c"})";
  auto config = whole();
  config.max_length = 5;
  auto got = load("a.jsonl", rows, config);
  CHECK(got.rows == std::vector<std::string>{"pp[cc<|im_end|>]", "pppp[c]"});
  CHECK(got.data.truncated == 1);
  config.max_length = 4;
  got = load("a.jsonl", rows, config);
  CHECK(got.rows == std::vector<std::string>{"pp[cc]"});
  CHECK(got.data.dropped == 1);
  config.max_length = 2;
  CHECK(load("a.jsonl", rows, config)
            .error.find("none of 2 rows has an answer within max_length 2") != std::string::npos);
  config = whole();
  config.train_test_split = 0.5;
  got = load("a.jsonl", rows, config);
  CHECK(got.rows.size() == 1);
  CHECK(got.data.held_out_rows.size() == 1);

  const test::TempFolder folder;
  const auto t = tiny(test::chatml);
  REQUIRE(write_file(folder.path() + "/b.csv", "prompt,completion\nb,2\n").ok());
  REQUIRE(write_file(folder.path() + "/a.json", R"([{"prompt":"a","completion":"1"}])").ok());
  REQUIRE(write_file(folder.path() + "/readme.md", "not data").ok());
  const auto both = load_dataset(folder.path(), whole(), t);
  REQUIRE(both.ok());
  REQUIRE(both.value().rows.size() == 2);
  CHECK(marked(both.value().rows[0], t) == "a[1<|im_end|>]");
  CHECK(both.value().digest.size() == 64);
  CHECK(load_dataset(folder.path(), whole(), t).value().digest == both.value().digest);
  REQUIRE(write_file(folder.path() + "/b.csv", "prompt,completion\nb,3\n").ok());
  CHECK(load_dataset(folder.path(), whole(), t).value().digest != both.value().digest);
  const auto parquet = load_dataset(test::golden("rows.parquet"), whole(), t);
  REQUIRE(parquet.ok());
  CHECK(marked(parquet.value().rows[1], t) ==
        "<|im_start|>user\nHi 1<|im_end|>\n<|im_start|>assistant\n[éé<|im_end|>]\n");
}

TEST_CASE("dataset: a file of the data is held out") {
  const test::TempFolder folder;
  const auto t = tiny(test::chatml);
  const auto put = [&](const std::string& name, const std::string& rows) {
    REQUIRE(write_file(folder.path() + "/" + name, "prompt,completion\n" + rows).ok());
  };
  put("a.csv", "a,1\n");
  put("v.csv", "v,2\nw,3\n");
  put("z.csv", "z,4\n");
  LoadOptions options;
  options.held_out = folder.path() + "/v.csv";
  const auto got = load_dataset(folder.path(), whole(), t, options);
  REQUIRE(got.ok());
  REQUIRE(got.value().rows.size() == 2);
  REQUIRE(got.value().held_out_rows.size() == 2);
  CHECK(marked(got.value().rows[1], t) == "z[4<|im_end|>]");
  CHECK(marked(got.value().held_out_rows[0], t) == "v[2<|im_end|>]");
  CHECK(got.value().digest != load_dataset(folder.path(), whole(), t).value().digest);
  put("v.csv", "v,2\nw,5\n");
  CHECK(got.value().digest != load_dataset(folder.path(), whole(), t, options).value().digest);
  options.held_out = folder.path();
  const auto all = load_dataset(folder.path(), whole(), t, options);
  REQUIRE_FALSE(all.ok());
  CHECK(all.error().what.ends_with("names all of its files; leave one to train on"));
  options.held_out = folder.path() + "/y.csv";
  CHECK(load_dataset(folder.path(), whole(), t, options).error().code == Code::not_found);
}

TEST_CASE("dataset: configured columns") {
  auto config = whole();
  config.context_column = "ask";
  config.response_column = "say";
  CHECK(load("a.csv", "say,ask\na,q\n", config).rows == std::vector<std::string>{answered});
  config = whole();
  config.messages_column = "talk";
  CHECK(load("a.jsonl",
             R"({"talk":[{"role":"user","content":"q"},)"
             R"({"role":"assistant","content":"a"}]})",
             config)
            .rows == std::vector<std::string>{answered});
  CHECK(load("a.csv",
             "talk\n\"[{\"\"from\"\":\"\"human\"\",\"\"value\"\":\"\"q\"\"},"
             "{\"\"from\"\":\"\"gpt\"\",\"\"value\"\":\"\"a\"\"}]\"\n",
             config)
            .rows == std::vector<std::string>{answered});
  config.messages_column = "other";
  CHECK(load("a.jsonl", R"({"talk":[]})", config)
            .error.find("row 1: no column \"other\"; the row has: talk") != std::string::npos);
}

TEST_CASE("dataset: bad data is named") {
  struct BadRow {
    std::string name, file, content, error;
    Code code = Code::invalid;
  };
  const BadRow cases[] = {
      {"empty file", "a.jsonl", "", "no rows"},
      {"no data file", "a.txt", "x", "the folder holds no .jsonl", Code::not_found},
      {"wrong columns", "a.jsonl", "{\"text\":\"abc\"}\n{\"x\":1,\"y\":2}",
       "a.jsonl, row 2: no known columns; the row has: x, y; accepted: messages"},
      {"messages is text", "a.jsonl", R"({"messages":"hi"})", "must be a list of messages"},
      {"no messages", "a.jsonl", R"({"messages":[]})", "is an empty list"},
      {"message without role", "a.jsonl", R"({"messages":[{"content":"x"}]})",
       "\"messages[0]\" must have \"role\" and \"content\""},
      {"message is a number", "a.jsonl", R"({"messages":[1]})", "\"messages[0]\" is number"},
      {"text is a list", "a.jsonl", R"({"text":[1]})",
       "column \"text\" is array, must be a string"},
      {"text is null", "a.jsonl", R"({"text":null})", "is null, must be a string"},
      {"only a question", "a.jsonl", R"({"messages":[{"role":"user","content":"q"}]})",
       "none of 1 rows has an answer"},
      {"parquet cut", "a.parquet",
       read_file(test::golden("rows.parquet"), 1 << 20).value().substr(0, 900),
       "a.parquet: ", Code::corrupt},
  };
  for (const auto& c : cases) {
    CAPTURE(c.name);
    const auto got = load(c.file, c.content, whole());
    CAPTURE(got.error);
    CHECK(got.error.find(c.error) != std::string::npos);
    CHECK(got.code == c.code);
  }
  const auto absent = load_dataset("/nonexistent", whole(), tiny(test::chatml));
  CHECK(absent.error().code == Code::not_found);
}
