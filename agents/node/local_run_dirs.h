// agents/node/local_run_dirs.h - RunDirs on a file system.
#pragma once
#include <memory>
#include <string>

#include "agents/node/run_dirs.h"

namespace kairo::node {
// models: the model cache, one folder per preset (config.json, *.safetensors, tokenizer.json).
std::unique_ptr<RunDirs> make_run_dirs(const std::string& root, const std::string& models);
// The presets whose weights lie in `models`, sorted.
std::vector<std::string> models_in(const std::string& models);
}  // namespace kairo::node
