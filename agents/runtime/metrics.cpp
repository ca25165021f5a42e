// agents/runtime/metrics.cpp - one line per figure.
#include "agents/runtime/metrics.h"

#include <cstdio>

namespace kairo::runtime {
std::string metrics_text(const std::string& agent, const Figures& figures,
                         const std::vector<Vital>& vitals) {
  std::string out;
  const auto about = [&](const char* name, const char* type, const char* help) {
    out += std::string("# HELP ") + name + " " + help + "\n# TYPE " + name + " " + type + "\n";
  };
  const auto line = [&](const char* name, const char* type, const char* help, std::uint64_t value) {
    about(name, type, help);
    out += std::string(name) + "{agent=\"" + agent + "\"} " + std::to_string(value) + "\n";
  };
  line("kairo_records", "gauge", "Workspaces that it knows.", figures.records);
  line("kairo_facts_total", "counter", "Facts read from the bus.", figures.facts);
  line("kairo_decisions_total", "counter", "Times that it was asked what to do.",
       figures.decisions);
  line("kairo_quarantined", "gauge", "Workspaces about which it comes to no decision.",
       figures.quarantined);
  line("kairo_outbox_rows", "gauge", "What is decided and not yet done.", figures.outbox_rows);
  line("kairo_effects_total", "counter", "Attempts at what was decided.", figures.effects);
  line("kairo_acting", "gauge", "1: it acts; 0: it stands by.", figures.acting);
  const auto each = [&](const char* name, const auto& text_of) {
    for (const Vital& vital : vitals)
      out += std::string(name) + "{agent=\"" + agent + "\",name=\"" + vital.name + "\"} " +
             text_of(vital) + "\n";
  };
  about("kairo_vital_age_seconds", "gauge", "Since what it rests on was last all right.");
  each("kairo_vital_age_seconds", [](const Vital& vital) {
    char text[32];
    std::snprintf(text, sizeof text, "%.3f", static_cast<double>(vital.age_ms) / 1000);
    return std::string(text);
  });
  about("kairo_vital_ok", "gauge", "1 while what it rests on is all right.");
  each("kairo_vital_ok", [](const Vital& vital) { return std::string(vital.is_ok() ? "1" : "0"); });
  return out;
}
}  // namespace kairo::runtime
