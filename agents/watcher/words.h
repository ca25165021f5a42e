// agents/watcher/words.h - what the conditions say of pods and run directories. Pure.
#pragma once
#include <cstdint>
#include <string>

#include "schemas/record_generated.h"

namespace kairo::watcher {
struct Verdict {  // one condition's content
  std::string value, reason, message;
};
// "data-downloader: GET ...: 404 Not Found"; the kubelet's "Error" adds nothing to a message.
std::string words_of(const wire::PodT& pod, const wire::ResourcesT* resources);
// KAITO's classes of a pod that does not come up.
std::string class_of(const wire::PodT& pod);
// A run directory failed, or its weights are on their way: which node's is said where there are
// several. No reason: nothing is known to lack.
Verdict unprepared(const wire::RecordT& record);
// How many nodes the model is spread over.
std::uint32_t nodes_wanted(const wire::RecordT& record);
}  // namespace kairo::watcher
