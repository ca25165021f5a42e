// agents/transfer/model_files.h - which files of a repository or an image are a model, and what a
// fetch of one may be told and tells.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "schemas/base/result.h"

namespace kairo::transfer {
struct ModelFile {
  std::string name;
  std::uint64_t bytes = 0;
  std::string sha256;  // hex
};
struct FetchedModel {
  std::string revision;  // a commit, or a manifest's digest: the files are of this one
  std::vector<ModelFile> files;
};
// What a fetch of a model asks and tells. All may be null.
struct ModelWatch {
  // Once, when the source has said which revision it gives: what lies in the folder must be of it.
  std::function<Status(const std::string& revision)> pinned;
  // Once, before the first byte, with the bytes that are still to come; an error ends the fetch.
  std::function<Status(std::uint64_t missing)> room;
  std::function<void(std::uint64_t done, std::uint64_t total)> progress;
};
// Read by kairo's engine or by vLLM: configurations, the tokenizer's files, chat_template.*,
// *.safetensors and their index. No code: *.py stays where it is. `name` has no folder.
bool is_model_file(std::string_view name);
// Weights in Mistral's own layout lie beside the others in some repositories: never both.
bool is_second_copy(std::string_view name);
// invalid: what lacks. source: for the message.
Status check_is_whole(const std::vector<std::string>& names, const std::string& source);
}  // namespace kairo::transfer
