// agents/cli/ready.h - whether the processes that `kairo up` started answer.
#pragma once
#include <string>
#include <vector>

#include "agents/cli/cli.h"
#include "agents/cli/supervise.h"

namespace kairo::cli {
// Port files of an earlier run: what is read afterwards was written by this one.
void forget_ports(const Home& home);
// Waits until the cluster has its node, every agent says on /readyz that it works (for which it
// needs bus and store), and the registry, when it is among `programs`, speaks its protocol.
// unavailable: one of them does not in time; the message has its name, why, and the last line of
// its log. Ends early when context.stop becomes true.
Status wait_until_ready(const Context& context, const std::vector<Program>& programs,
                        int timeout_ms);
// The last line of a file that is not empty; "" when there is none.
std::string last_line_of(const std::string& file);
}  // namespace kairo::cli
