// tests/parity/chats_check.cpp - kairo's text, tokens and training targets of the conversations in
// cases.json (chats.py) against transformers' and trl's. usage: parity_chats FOLDER VOCABULARIES
// Prints a line per model and each difference; exit 1 if there is one.
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "gpu/data/masks.h"
#include "gpu/formats/files.h"
#include "gpu/formats/gguf_family.h"
#include "gpu/formats/gguf_tokenizer.h"

namespace {
using namespace kairo;
using namespace kairo::gpu;
using Json = nlohmann::ordered_json;
constexpr std::int64_t cases_bytes_max = 1 << 30;

struct Tally {
  int cases = 0, refused = 0, rows = 0, differences = 0;
};
std::string clipped(const std::string& text, std::size_t at) {
  const std::size_t from = at > 20 ? at - 20 : 0;
  return Json(text.substr(from, 60)).dump(-1, ' ', false, Json::error_handler_t::replace);
}
std::size_t parted(const auto& a, const auto& b) {
  std::size_t i = 0;
  while (i < a.size() && i < b.size() && a[i] == b[i]) ++i;
  return i;
}
// "" or how kairo differs.
std::string text_difference(const Json& c, const Tokenizer& t, Tally& tally) {
  const std::string tools = c["tools"].is_null() ? "" : c["tools"].dump();
  const auto made = t.apply_chat(c["messages"].dump(), c["asks"], tools);
  if (c.contains("refused")) {
    ++tally.refused;
    return made.ok() ? "transformers refuses: " + c["refused"].get<std::string>() : "";
  }
  if (!made.ok()) return "refused: " + made.error().what;
  const auto wanted = c["text"].get<std::string>();
  const std::string& text = made.value().text;
  const std::size_t at = parted(text, wanted);
  if (text != wanted) return "text: " + clipped(text, at) + " for " + clipped(wanted, at);
  if (!c.contains("tokens")) return "";
  const auto tokens = t.encode(text, false);
  if (!tokens.ok()) return tokens.error().what;
  return tokens.value() == c["tokens"].get<std::vector<std::int32_t>>() ? "" : "tokens differ";
}
std::string row_difference(const Json& c, const Tokenizer& t, Tally& tally) {
  if (!c.contains("row")) return "";
  ++tally.rows;
  const auto example = read_example(c["row"].dump(), TrainingConfig());
  if (!example.ok()) return "row: " + example.error().what;
  const auto row = tokenise(example.value(), LossOn::answer, t);
  if (c.contains("row_refused"))
    return row.ok() ? "trl refuses the row: " + c["row_refused"].get<std::string>() : "";
  if (!row.ok()) return "row refused: " + row.error().what;
  const auto tokens = c["row_tokens"].get<std::vector<std::int32_t>>();
  if (row.value().tokens != tokens) return "row: tokens differ";
  if (c.contains("row_trains")) {
    std::vector<std::int32_t> trained;
    for (std::size_t i = 0; i < tokens.size(); ++i)
      if (row.value().trained[i] != 0) trained.push_back(tokens[i]);
    const std::string words = t.decode(trained, false).value();
    return words == c["row_trains"].get<std::string>() ? "" : "row: trains " + clipped(words, 0);
  }
  // trl trains all behind the prompt, kairo the answer through its end-of-turn token: a line end
  // behind that is no target.
  auto mask = c["row_mask"].get<std::vector<std::uint8_t>>();
  std::size_t end = mask.size();
  while (end > 0 && row.value().trained[end - 1] == 0) --end;
  const std::string behind = t.decode(std::span(tokens).subspan(end), false).value();
  if (behind.find_first_not_of(" \n") == std::string::npos)
    std::fill(mask.begin() + static_cast<std::ptrdiff_t>(end), mask.end(), 0);
  if (row.value().trained == mask) return "";
  const std::size_t at = parted(row.value().trained, mask);
  return "row: target " + std::to_string(at) + " of " + std::to_string(mask.size()) +
         " differs, kairo " + std::to_string(row.value().trained[at]) + ": " +
         t.decode(std::span(tokens).subspan(at), false).value();
}
std::string plain_difference(const Json& c, const Tokenizer& t) {
  const auto tokens = t.encode(c["plain"].get<std::string>(), c["special"]);
  if (!tokens.ok()) return tokens.error().what;
  return tokens.value() == c["tokens"].get<std::vector<std::int32_t>>() ? "" : "tokens differ";
}
// The vocabularies that llama.cpp keeps for its own tests, imported: texts and the tokens that the
// models' own tokenizers give them. Returns the differences.
int vocabulary_differences(const std::string& folder, const std::string& name) {
  const std::string at = folder + "/ggml-vocab-" + name + ".gguf";
  const std::string file = read_file(at, cases_bytes_max).value();
  const auto header = parse_gguf(std::as_bytes(std::span(file)));
  const bool strips = gguf_family(header.value()).value()->strips_after_special;
  const auto vocabulary = vocabulary_of(header.value());
  const auto written =
      std::filesystem::temp_directory_path() / ("parity-" + name + std::to_string(::getpid()));
  std::filesystem::create_directories(written);
  int differences = 0, cases = 0;
  if (!write_file(written.string() + "/tokenizer.json",
                  tokenizer_json(vocabulary.value(), strips).value().dump())
           .ok())
    return 1;
  const auto tokenizer = Tokenizer::load(written.string());
  std::filesystem::remove_all(written);
  if (!tokenizer.ok()) {
    std::cout << name << " | " << tokenizer.error().what << "\n";
    return 1;
  }
  const std::string texts = read_file(at + ".inp", 1 << 20).value(),
                    between = "\n__ggml_vocab_test__\n";
  std::istringstream lines(read_file(at + ".out", 1 << 20).value());
  for (std::size_t begin = 0; begin <= texts.size();) {
    const std::size_t end = texts.find(between, begin);
    const std::string text = texts.substr(begin, end - begin);
    std::string line;
    std::getline(lines, line);
    std::istringstream numbers(line);
    const std::vector<std::int32_t> wanted{std::istream_iterator<std::int32_t>(numbers), {}};
    const auto tokens = tokenizer.value().encode(text, false);
    ++cases;
    if (!tokens.ok() || tokens.value() != wanted) {
      ++differences;
      std::cout << "gguf " << name << " | " << clipped(text, 0) << " | tokens differ\n";
    }
    if (end == std::string::npos) break;
    begin = end + between.size();
  }
  std::cout << "| gguf " << name << " | " << cases << " | 0 | 0 | " << differences << " |\n";
  return differences;
}
}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: parity_chats FOLDER VOCABULARIES\n";
    return 2;
  }
  const auto text = read_file(std::string(argv[1]) + "/cases.json", cases_bytes_max);
  if (!text.ok()) {
    std::cerr << text.error().what << "\n";
    return 2;
  }
  const Json all = Json::parse(text.value());
  std::map<std::string, Tally> tallies;
  std::map<std::string, std::unique_ptr<Tokenizer>> tokenizers;
  int differences = 0;
  for (const Json& c : all["cases"]) {
    auto& tokenizer = tokenizers[c["model"]];
    if (!tokenizer) {
      auto loaded = Tokenizer::load(c["folder"]);
      if (!loaded.ok()) {
        std::cerr << loaded.error().what << "\n";
        return 2;
      }
      tokenizer = std::make_unique<Tokenizer>(std::move(loaded).value());
      tokenizer->set_chat_time(all["now"]);
      if (c.contains("template"))
        if (const auto set = tokenizer->set_chat_template(c["template"].get<std::string>());
            !set.ok())
          std::cerr << set.error().what << "\n";
    }
    Tally& tally = tallies[c["model"]];
    ++tally.cases;
    std::string why = c.contains("plain") ? plain_difference(c, *tokenizer)
                                          : text_difference(c, *tokenizer, tally);
    if (why.empty() && !c.contains("plain")) why = row_difference(c, *tokenizer, tally);
    if (why.empty()) continue;
    ++tally.differences;
    ++differences;
    const std::string of = c.contains("plain")
                               ? Json(c["plain"].get<std::string>().substr(0, 30))
                                     .dump(-1, ' ', false, Json::error_handler_t::replace)
                               : c["conversation"].get<std::string>() + (c["asks"] ? ", asks" : "");
    std::cout << c["model"].get<std::string>() << " | " << of << " | " << why << "\n";
  }
  std::cout
      << "\n| model | cases | refused by both | rows | differences |\n|---|---|---|---|---|\n";
  for (const auto& [name, t] : tallies)
    std::cout << "| " << name << " | " << t.cases << " | " << t.refused << " | " << t.rows << " | "
              << t.differences << " |\n";
  for (const char* name : {"llama-bpe", "qwen2", "phi-3"})
    differences += vocabulary_differences(argv[2], name);
  std::cout << differences << " differences\n";
  return differences == 0 ? 0 : 1;
}
