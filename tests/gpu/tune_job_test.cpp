// tests/gpu/tune_job_test.cpp - proves: what the configuration says of files and of the method
// means in a run what it means in KAITO's pod, and a run's rows are the same on another day.
#include "gpu/tune_job.h"

#include <doctest/doctest.h>

#include "gpu/formats/files.h"
#include "gpu/tune_report.h"
#include "tests/gpu/hf/tiny_tokenizer.h"
#include "tests/gpu/support.h"

using namespace kairo;
using namespace kairo::gpu;

namespace {
class Noon final : public Clock {
 public:
  explicit Noon(std::int64_t day) : day_(day) {}
  std::int64_t now_ms() const override { return (day_ * 86'400 + 43'200) * 1000; }
  std::int64_t monotonic_ms() const override { return 0; }

 private:
  std::int64_t day_;
};
struct Folders {
  Folders() {
    input.model_dir = folder.path();
    input.data = folder.path() + "/rows";
    input.config_file = folder.path() + "/config/training_config.yaml";
    input.method = "lora";
    test::write_tiny_tokenizer(folder.path(), "{{ strftime_now('%j') }}" + test::chatml);
    write("rows/deep/a.jsonl", R"({"question":"q","answer":"a"})");
    write("rows/b.jsonl", R"({"question":"q","answer":"b"})");
    write("rows/t.jinja", "[{{ messages[1].content }}]");
    write("config/t.jinja", "({{ messages[1].content }})");
    job.state_dir = folder.path() + "/state";
    REQUIRE(make_folders(job.state_dir).ok());
  }
  void write(const std::string& name, const std::string& text) const {
    const std::string path = folder.path() + "/" + name;
    REQUIRE(make_folders(path.substr(0, path.rfind('/'))).ok());
    REQUIRE(write_file(path, text).ok());
  }
  // "" or the failure's code and message.
  std::string prepare(const std::string& sections, std::int64_t day = 10) {
    write("config/training_config.yaml",
          "training_config:\n  TrainingArguments: {num_train_epochs: 1}\n" + sections);
    const auto failed = prepare_tune_job(job, data, input, Noon(day));
    return failed ? failed->code + " " + failed->message : "";
  }
  test::TempFolder folder;
  TuneInput input;
  TuneJob job;
  Dataset data;
};
std::string all_rows(const std::string& setting) {
  return "  DatasetConfig: {train_test_split: 1, " + setting + "}\n";
}
}  // namespace

TEST_CASE_FIXTURE(Folders, "tune job: dataset_path lies in the data folder, wherever that is") {
  for (const std::string path :
       {"/mnt/data/deep/a.jsonl", "data/deep/a.jsonl", "deep/a.jsonl", "/mnt/data/../data/deep"}) {
    CAPTURE(path);
    CHECK(prepare(all_rows("dataset_path: \"" + path + "\"")) == "");
    CHECK(data.rows.size() == 1);
  }
  CHECK(prepare(all_rows("shuffle_seed: 1")) == "");
  CHECK(data.rows.size() == 2);
  for (const std::string path : {"/etc/passwd", "../secret.jsonl", "/mnt/data/../../etc"}) {
    CAPTURE(path);
    const auto why = prepare(all_rows("dataset_path: \"" + path + "\""));
    CHECK(why.find("bad_config training_config.yaml: DatasetConfig.dataset_path: \"" + path) == 0);
    CHECK(why.find("must lie in the data folder") != std::string::npos);
  }
  CHECK(prepare(all_rows("dataset_path: absent.jsonl")) ==
        "bad_data load data absent.jsonl: no such file or folder");
}

TEST_CASE_FIXTURE(Folders, "tune job: a chat_template's path, too") {
  const auto first_row = [&](const std::string& path) {
    const auto why =
        prepare("  ModelConfig: {chat_template: \"" + path + "\"}\n" + all_rows("loss_on: all"));
    return why.empty() ? static_cast<int>(data.rows[0].tokens[0]) : -1;
  };
  CHECK(first_row("/mnt/config/t.jinja") == '(' - '!');
  CHECK(first_row("t.jinja") == '(' - '!');
  CHECK(first_row("/mnt/data/t.jinja") == '[' - '!');
  CHECK(first_row("/etc/hostname") == -1);
  CHECK(first_row("/mnt/config/absent.jinja") == -1);
}

TEST_CASE_FIXTURE(Folders, "tune job: load_in_4bit must fit the method") {
  const std::string four = "  QuantizationConfig: {load_in_4bit: true, bnb_4bit_quant_type: nf4}\n";
  CHECK(prepare(four) ==
        "bad_config training_config.yaml: QuantizationConfig.load_in_4bit: true is not method "
        "lora: set it to false, or the method to qlora");
  input.method = "qlora";
  CHECK(prepare(four + all_rows("shuffle_seed: 1")) == "");
  CHECK(prepare(all_rows("shuffle_seed: 1")) == "");
  CHECK(prepare("  QuantizationConfig: {load_in_4bit: false}\n").find("bad_config") == 0);
}

TEST_CASE_FIXTURE(Folders, "tune job: gone on with on another day, the rows stay") {
  REQUIRE(prepare(all_rows("shuffle_seed: 1"), 10) == "");
  const std::string first = job.data_digest;
  REQUIRE(prepare(all_rows("shuffle_seed: 1"), 20) == "");
  CHECK(job.data_digest == first);
  job.state_dir = folder.path() + "/another";
  REQUIRE(make_folders(job.state_dir).ok());
  REQUIRE(prepare(all_rows("shuffle_seed: 1"), 20) == "");
  CHECK(job.data_digest != first);
}

TEST_CASE_FIXTURE(Folders, "tune job: save_steps below 1 is a share of all steps") {
  struct Row {
    std::string arguments;
    std::int64_t save_steps;
  };
  const Row rows[] = {{"max_steps: 25", 0},
                      {"max_steps: 25, save_steps: 0.3", 8},
                      {"max_steps: 25, save_steps: 1.0", 1},
                      {"max_steps: 25, save_steps: 7", 7}};
  for (const Row& row : rows) {
    CAPTURE(row.arguments);
    write("config/training_config.yaml", "training_config:\n  TrainingArguments: {" +
                                             row.arguments + "}\n" + all_rows("shuffle_seed: 1"));
    REQUIRE_FALSE(prepare_tune_job(job, data, input, Noon(10)));
    CHECK(job.save_steps == row.save_steps);
  }
}

TEST_CASE_FIXTURE(Folders, "tune job: rows that are held out are evaluated, and told") {
  write("rows/c.jsonl", R"({"question":"q","answer":"c"})");
  write("rows/d.jsonl", R"({"question":"q","answer":"d"})");
  const auto with = [](const std::string& arguments, const std::string& split) {
    return "  TrainingArguments: {max_steps: 6, per_device_train_batch_size: 1, " + arguments +
           "}\n  DatasetConfig: {train_test_split: " + split + "}\n";
  };
  const auto prepare_all = [&](const std::string& sections) {
    write("config/training_config.yaml", "training_config:\n" + sections);
    const auto failed = prepare_tune_job(job, data, input, Noon(10));
    return failed ? failed->code + " " + failed->message : "";
  };
  REQUIRE(prepare_all(with("eval_strategy: epoch", "0.75")) == "");
  CHECK(job.rows.size() == 3);
  REQUIRE(job.held_out.size() == 1);
  CHECK(job.held_out[0].tokens.data() == data.held_out_rows[0].tokens.data());
  CHECK(job.evaluation.every == 3);
  CHECK(job.evaluation.at_end);
  const TuneEstimate e{900, 500, 6, 2, 200 << 20, 12.4, {}, 0};
  CHECK(estimate_text(job, e) ==
        "3 rows (1 more held out), 6 steps, 2 evaluations, 900 tokens (500 trained), peak 200 MiB, "
        "about 12 s");
  CHECK(estimate_json(job, e) ==
        R"({"rows":3,"truncated":0,"dropped":0,"held_out":1,"tokens":900,"trained_tokens":500,)"
        R"("steps":6,"evaluations":2,"peak_bytes":209715200,"seconds":12.4})");
  TuneEstimate planned = e;
  planned.seconds = 0;
  planned.least_bytes = 150 << 20;
  planned.on_device = MemoryPlan{1, 512, 2, 64, 4, 200 << 20, {{"NF4 weights", 200 << 20, {}}}};
  CHECK(estimate_text(job, planned) ==
        "3 rows (1 more held out), 6 steps, 2 evaluations, 900 tokens (500 trained), peak 200 MiB "
        "on the device, at the least 150 MiB\n"
        "memory plan: peak 200 MiB of 200; 512 tokens at a time, 2 layers kept, 64 rows of logits, "
        "NF4 weights of 1 layers dequantised once\n"
        "  NF4 weights: 200 MiB");
  CHECK(estimate_json(job, planned) ==
        R"({"rows":3,"truncated":0,"dropped":0,"held_out":1,"tokens":900,"trained_tokens":500,)"
        R"("steps":6,"evaluations":2,"peak_bytes":209715200,"device":"cpu",)"
        R"("least_bytes":157286400,"microbatch_tokens":512,"kept_layers":2,"cached_layers":1,)"
        R"("memory":[{"what":"NF4 weights","bytes":209715200}]})");
  job.truncated = 2;
  job.dropped = 5;
  CHECK(estimate_text(job, e).find("3 rows (2 truncated, 5 more without a target dropped, 1 more "
                                   "held out), 6 steps") == 0);
  REQUIRE(prepare_all(with("seed: 1", "1")) == "");
  CHECK(job.held_out.empty());
  CHECK(estimate_text(job, {900, 500, 6, 0, 200 << 20, 12.4, {}, 0}).find("4 rows, 6 steps, 900") ==
        0);
  CHECK(prepare_all(with("eval_strategy: steps", "1")) ==
        "bad_config training_config.yaml: TrainingArguments.eval_strategy: steps needs rows that "
        "are held out; set DatasetConfig.train_test_split below 1 (now 1) or "
        "DatasetConfig.validation_file, or eval_strategy to no");
}
