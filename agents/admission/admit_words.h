// agents/admission/admit_words.h - the forms of KAITO's texts, and small tests on values. Private.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "agents/admission/admit.h"

namespace kairo::admission {
using Json = nlohmann::json;

class Findings {  // collects violations, in the three forms of KAITO's webhook
 public:
  void invalid(const std::string& detail, const std::string& path) {
    found_.push_back({"invalid value: " + detail + ": " + path});
  }
  void missing(const std::string& path) { found_.push_back({"missing field(s): " + path}); }
  void generic(const std::string& text, const std::string& path = {}) {
    found_.push_back({text + (path.empty() ? "" : ": " + path)});
  }
  std::vector<Violation> take() { return std::move(found_); }

 private:
  std::vector<Violation> found_;
};

const Json& field(const Json& object, const char* key);  // null when absent
std::string text_of(const Json& object, const char* key);
bool is_empty_text(const Json& value);
std::string lower(std::string text);
std::string wrong_with_label(const std::string& name);  // RFC 1123; "" = nothing
bool is_dns_subdomain(const std::string& name);         // RFC 1123, at most 253
bool is_image_reference(const std::string& text);
bool is_preset(const std::string& name);  // in the catalogue, or of the form org/name
void check_url(Findings& out, const std::string& url, bool allow_loopback);

void admit_tuning(Findings& out, const Json& workspace, const AdmitContext& context);
void admit_new_tuning(Findings& out, const Json& workspace, bool beta);
// What holds on creation and after each update.
void admit_inference(Findings& out, const Json& workspace);
void admit_new_inference(Findings& out, const Json& workspace, const AdmitContext& context,
                         bool beta);
void admit_update(Findings& out, const Json& before, const Json& after, const AdmitContext& context,
                  bool beta);
void admit_selector(Findings& out, const Json& resource);
void admit_partition_form(Findings& out, const Json& resource);
// What the one machine of local mode does not do: refused where it is new, never silently ignored.
// before: the inference as it was, null on create.
void admit_local(Findings& out, const Json& before, const Json& inference);
// LabelSelectorAsMap of Kubernetes: matchLabels, and In with exactly one value, as an object; a
// string (its error text) when there is anything else.
Json selector_map(const Json& selector);
}  // namespace kairo::admission
