// agents/cluster/api_errors.cpp - the table of answers.
#include "agents/cluster/api_errors.h"

#include "agents/cluster/json.h"

namespace kairo::cluster {
namespace {
struct Row {
  int status;
  Code code;
  const char* remedy;  // added to the server's words
};
constexpr Row rows[] = {
    {400, Code::invalid, ""},
    {401, Code::unavailable, "; the token was not accepted"},
    {403, Code::unavailable, "; grant the right, it is tried again"},
    {404, Code::not_found, ""},
    {405, Code::invalid, ""},
    {406, Code::invalid, ""},
    {409, Code::conflict, ""},
    {410, Code::expired, ""},
    {413, Code::invalid, ""},
    {415, Code::invalid, ""},
    {422, Code::invalid, ""},
    {429, Code::unavailable, ""},
};
bool has_cause(const Json& status, const std::string& wanted) {
  for (const Json& cause : at(status, {"details", "causes"}))
    if (cause.is_object() && cause.value("reason", Json()) == wanted) return true;
  return false;
}
}  // namespace

Error error_of(int http_status, const std::string& body, const std::string& operation) {
  const auto parsed = parse_object(body, "answer");
  const Json status = parsed.ok() ? parsed.value() : Json::object();
  std::string message = text(status, {"message"});
  if (message.empty()) message = body.substr(0, 200);
  const Row* row = nullptr;
  for (const Row& candidate : rows)
    if (candidate.status == http_status) row = &candidate;
  Code code = row != nullptr                            ? row->code
              : http_status >= 400 && http_status < 500 ? Code::invalid
                                                        : Code::unavailable;
  // The answer about an object names it; this one is about the kind.
  const bool is_unserved = http_status == 404 && text(status, {"details", "name"}).empty();
  if (is_unserved) code = Code::unavailable;
  // Nothing can be created in a namespace that is going away: trying again cannot help.
  if (http_status == 403 && has_cause(status, "NamespaceTerminating")) code = Code::invalid;
  std::string what =
      operation + ": " + (message.empty() ? "HTTP " + std::to_string(http_status) : message);
  if (row != nullptr && code == row->code) what += row->remedy;
  while (!what.empty() && what.back() == '\n') what.pop_back();  // it is no Status, but plain text
  if (is_unserved) what += "; is the CustomResourceDefinition installed?";
  return {code, what};
}
}  // namespace kairo::cluster
