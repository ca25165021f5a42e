// agents/watcher/adapter_words.h - what a status says of the tuning Workspaces that an inference
// Workspace names: which revision of each answers, and what the others wait for. Pure.
#pragma once
#include "agents/runtime/agent.h"
#include "agents/watcher/words.h"

namespace kairo::watcher {
// In the order of the names. Empty where none are named.
std::vector<std::unique_ptr<wire::AdapterStatusT>> adapters_told(const wire::RecordT& record,
                                                                 const runtime::Named& named);
// Of the condition AdaptersReady: True when of each one that is to answer answers.
Verdict adapters_ready(const std::vector<std::unique_ptr<wire::AdapterStatusT>>& adapters);
}  // namespace kairo::watcher
