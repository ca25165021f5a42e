// agents/cli/yaml.cpp - manifests as JSON, and objects as people read them.
#include "agents/cli/yaml.h"

#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "schemas/yaml/yaml.h"

namespace kairo::cli {
namespace {
using Ordered = nlohmann::ordered_json;

// A string that every reader of YAML 1.1 and 1.2 takes for this string without quotes.
bool is_plain(const std::string& text) {
  static const std::set<std::string> words{"y",   "n",    "yes",  "no",   "on",
                                           "off", "true", "null", "false"};
  std::string lower = text;
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (text.empty() || words.contains(lower)) return false;
  const auto is_letter = [](unsigned char c) { return std::isalpha(c) != 0; };
  if (!is_letter(static_cast<unsigned char>(text[0])) && text[0] != '/') return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const char next = i + 1 < text.size() ? text[i + 1] : ' ';
    if (c < 0x20 || c >= 0x7f || (c == ':' && next == ' ') || (c == ' ' && next == '#'))
      return false;
  }
  return text.back() != ' ';
}
// JSON's form, with escapes for what JSON allows and YAML does not, or takes for a line break.
std::string quoted(const std::string& text) {
  const std::string json = Ordered(text).dump();
  std::string out;
  for (std::size_t i = 0; i < json.size(); ++i) {
    const std::string two = json.substr(i, 2), three = json.substr(i, 3);
    const auto second = static_cast<unsigned char>(two.size() == 2 ? two[1] : 0);
    constexpr const char* digits = "0123456789abcdef";
    if (json[i] == 0x7f) {
      out += "\\x7f";
    } else if (two[0] == '\xc2' && second >= 0x80 && second < 0xa0) {  // U+0080 to U+009F
      out += std::string("\\x") + digits[second >> 4] + digits[second & 15];
      i += 1;
    } else if (three == "\u2028" || three == "\u2029" || three == "\ufeff") {
      out += three == "\u2028" ? "\\u2028" : three == "\u2029" ? "\\u2029" : "\\ufeff";
      i += 2;
    } else {
      out += json[i];
    }
  }
  return out;
}
// The header of a literal block that gives these lines back; "" when they are better quoted.
std::string block_header(const std::string& text) {
  const std::size_t end = text.find_last_not_of('\n');
  if (text.find('\n') == std::string::npos || end == std::string::npos) return "";
  const std::size_t breaks = text.size() - end - 1;
  bool is_line_start = true, is_first_line = true;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c != '\n' && (byte < 0x20 || byte >= 0x7f)) return "";
    if (is_line_start && is_first_line && (c == ' ' || c == '\n')) return "";
    is_first_line = is_first_line && c != '\n';
    is_line_start = c == '\n';
  }
  if (text.find(" \n") != std::string::npos || text.back() == ' ') return "";
  return breaks == 0 ? "|-" : breaks == 1 ? "|" : "";
}
std::string scalar_text(const Ordered& value) {
  if (!value.is_string()) return value.dump();
  const std::string text = value.get<std::string>();
  return is_plain(text) ? text : quoted(text);
}
// As kubectl prints: two blanks a level, the items of a list below their key's first letter.
// `out` stands behind "key:" or "-", or at the start of a line when `is_inline`.
void emit(std::string& out, const Ordered& value, std::size_t indent, bool is_inline) {
  const std::string margin(indent, ' ');
  const std::string header = value.is_string() ? block_header(value.get<std::string>()) : "";
  if (!header.empty()) {
    out += (is_inline ? "" : " ") + header + "\n";
    std::istringstream lines(value.get<std::string>());
    const std::string inner(std::max<std::size_t>(indent, 2), ' ');
    for (std::string line; std::getline(lines, line);)
      out += (line.empty() ? "" : inner + line) + "\n";
    return;
  }
  if (!value.is_structured() || value.empty()) {
    out += (is_inline ? "" : " ") + scalar_text(value) + "\n";
    return;
  }
  bool is_first = true;
  const auto begin_line = [&] {  // the first of an inner object stands in its list's line
    if (!is_first || !is_inline) out += margin;
    is_first = false;
  };
  if (!is_inline) out += "\n";
  if (value.is_array()) {
    for (const Ordered& item : value) {
      begin_line();
      out += "- ";
      emit(out, item, indent + 2, true);
    }
    return;
  }
  for (const auto& [key, item] : value.items()) {
    begin_line();
    out += scalar_text(key) + ":";
    emit(out, item, item.is_array() ? indent : indent + 2, false);
  }
}
}  // namespace

Result<std::vector<std::string>> yaml_to_json(const std::string& text, const std::string& file) {
  std::vector<std::string> out;
  for (const yaml::Value& document : TRY(yaml::read(text, file, yaml::Dialect::kubectl))) {
    if (document.kind != yaml::Value::Kind::map)
      return Error{Code::invalid, file + ":" + std::to_string(document.line) + ":" +
                                      std::to_string(document.column) +
                                      ": expected an object with apiVersion, kind and metadata"};
    out.push_back(yaml::to_json(document));
  }
  return out;
}

std::string json_to_yaml(const std::string& json) {
  std::string out;
  emit(out, Ordered::parse(json, nullptr, false), 0, true);
  return out;
}
}  // namespace kairo::cli
