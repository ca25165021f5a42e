// agents/cluster/rest.h - paths and queries of Kubernetes' REST interface. Pure. Private to
// cluster/.
#pragma once
#include "agents/cluster/cluster.h"

namespace kairo::cluster {
// "/apis/batch/v1/namespaces/default/jobs"; ns "" of a namespaced kind: all namespaces.
std::string collection_path(const Kind& kind, const std::string& ns);
std::string object_path(const Ref& ref, const std::string& subresource = "");
// "local mode: the log starts at the asked byte": header of the local cluster's log answers.
inline const char* const log_offset_header = "Kairo-Log-Offset";
inline const char* const log_offset_query = "kairoOffset";
constexpr std::size_t log_bytes_max = 1 << 20;  // of one answer
}  // namespace kairo::cluster
