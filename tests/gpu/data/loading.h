// tests/gpu/data/loading.h - a data file as load_dataset reads it, with its targets in brackets.
#pragma once
#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "gpu/data/dataset.h"
#include "gpu/formats/files.h"
#include "tests/gpu/hf/tiny_tokenizer.h"
#include "tests/gpu/support.h"

namespace kairo::gpu::loading {
inline Tokenizer tiny(const std::string& chat_template) {
  const test::TempFolder folder;
  test::write_tiny_tokenizer(folder.path(), chat_template);
  auto loaded = Tokenizer::load(folder.path());
  REQUIRE(loaded.ok());
  return std::move(loaded).value();
}
inline TrainingConfig whole() {
  TrainingConfig config;
  config.train_test_split = 1;
  return config;
}
// The row's text with its targets in brackets.
inline std::string marked(const Row& row, const Tokenizer& t) {
  REQUIRE(row.tokens.size() == row.trained.size());
  std::string out;
  for (std::size_t i = 0; i < row.tokens.size();) {
    std::size_t end = i;
    while (end < row.tokens.size() && row.trained[end] == row.trained[i]) ++end;
    const std::string text = t.decode(std::span(row.tokens).subspan(i, end - i), false).value();
    out += row.trained[i] != 0 ? "[" + text + "]" : text;
    i = end;
  }
  return out;
}
struct Loaded {
  std::vector<std::string> rows;
  std::string error;
  Code code = Code::invalid;
  Dataset data;
};
inline Loaded load(const std::string& name, const std::string& content,
                   const TrainingConfig& config, const std::string& chat_template = test::chatml) {
  const test::TempFolder folder;
  REQUIRE(write_file(folder.path() + "/" + name, content).ok());
  const auto t = tiny(chat_template);
  auto data = load_dataset(folder.path(), config, t);
  Loaded out;
  if (!data.ok()) {
    out.error = data.error().what;
    out.code = data.error().code;
    return out;
  }
  out.data = std::move(data).value();
  for (const auto& row : out.data.rows) out.rows.push_back(marked(row, t));
  return out;
}
}  // namespace kairo::gpu::loading
