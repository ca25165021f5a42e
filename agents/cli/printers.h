// agents/cli/printers.h - objects as the tables that kubectl prints. Pure.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agents/cluster/cluster.h"

namespace kairo::cli {
using Row = std::vector<std::string>;
// "workspace", "workspaces", "wk", "wks", "po", ... -> the kind; nullopt when there is none.
std::optional<cluster::Kind> kind_named(const std::string& word);
std::string kind_words();  // for error messages
Row header_of(const cluster::Kind& kind, bool wide, bool all_namespaces);
Row row_of(const cluster::Kind& kind, const std::string& object, bool wide, bool all_namespaces,
           std::int64_t now_ms);
// Columns as wide as their widest cell, three spaces apart, like kubectl.
std::string table(const std::vector<Row>& rows);
std::string age(std::int64_t ms);  // 45s, 3m12s, 5h, 2d
// When an Event was seen last, and how often: of core/v1's form, and of events.k8s.io's, as the
// scheduler writes it (eventTime, series; the other times are null). "" when it does not say.
std::string last_seen(const std::string& event);
int times_seen(const std::string& event);
// `kairo describe`: everything that a person asks about one object, and its events.
std::string describe(const std::string& object, const std::vector<std::string>& events,
                     std::int64_t now_ms);
// One line of a running tuning: a bar on a terminal.
std::string progress_line(const std::string& workspace, int width);
}  // namespace kairo::cli
