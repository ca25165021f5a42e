// agents/cli/yaml.cpp - the only file that knows yaml-cpp on the agents' side.
#include "agents/cli/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

namespace kairo::cli {
namespace {
using Json = nlohmann::ordered_json;
constexpr int depth_max = 64;
constexpr std::size_t bytes_max = 3 << 20;
constexpr int nodes_max = 100'000;  // aliases count each time: a small file can name billions

struct Bad {  // thrown and caught in this file only: yaml-cpp reports by exceptions too
  YAML::Mark mark;
  std::string what;
};

// YAML 1.2 core schema, as kubectl reads it.
Json scalar(const YAML::Node& node) {
  const std::string& text = node.Scalar();
  if (node.Tag() == "!") return text;  // quoted
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL")
    return nullptr;
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  const char* end = text.data() + text.size();
  const char* begin = text.data() + (text.front() == '+' ? 1 : 0);
  std::int64_t whole = 0;
  if (const auto [rest, error] = std::from_chars(begin, end, whole);
      error == std::errc() && rest == end)
    return whole;
  double real = 0;
  if (const auto [rest, error] = std::from_chars(begin, end, real);
      error == std::errc() && rest == end && text.find_first_of("nN") == std::string::npos)
    return real;
  return text;
}

Json convert(const YAML::Node& node, int depth, int& nodes) {
  if (depth > depth_max) throw Bad{node.Mark(), "nested deeper than 64"};
  if (++nodes > nodes_max) throw Bad{node.Mark(), "more than 100000 values, aliases included"};
  switch (node.Type()) {
    case YAML::NodeType::Undefined:
    case YAML::NodeType::Null:
      return nullptr;
    case YAML::NodeType::Scalar:
      return scalar(node);
    case YAML::NodeType::Sequence: {
      Json list = Json::array();
      for (const auto& item : node) list.push_back(convert(item, depth + 1, nodes));
      return list;
    }
    case YAML::NodeType::Map: {
      Json map = Json::object();
      for (const auto& entry : node) {
        const std::string key = entry.first.Scalar();
        if (map.contains(key)) throw Bad{entry.first.Mark(), "key \"" + key + "\" stands twice"};
        map[key] = convert(entry.second, depth + 1, nodes);
      }
      return map;
    }
  }
  return nullptr;
}

struct Document {
  std::string text;
  int lines_before = 0;
};
// A line that begins with "---" or "..." ends a document wherever it stands (YAML 1.2, 9.1). Not
// left to LoadAll: on a stray ']' it makes documents until the memory is full.
std::vector<Document> documents_of(const std::string& text) {
  std::vector<Document> out(1);
  int line = 0;
  for (std::size_t at = 0; at < text.size(); ++line) {
    const std::size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    std::string row = text.substr(at, end - at);
    at = end;
    const bool is_mark =
        row.size() <= 3 || row[3] == ' ' || row[3] == '\t' || row[3] == '\n' || row[3] == '\r';
    if (is_mark && (row.starts_with("---") || row.starts_with("..."))) {
      out.push_back({"", line});
      row.replace(0, 3, "   ");  // what follows keeps its column
    }
    out.back().text += row;
  }
  return out;
}
// Counts what a text holds without building it.
class Census final : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override { begins.push_back(mark); }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override { one(mark); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { one(mark); }
  void OnScalar(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                const std::string&) override {
    one(mark);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    deeper(mark);
  }
  void OnSequenceEnd() override { --depth_; }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    deeper(mark);
  }
  void OnMapEnd() override { --depth_; }
  std::vector<YAML::Mark> begins;  // of the documents

 private:
  void one(const YAML::Mark& mark) {
    if (++nodes_ > nodes_max) throw Bad{mark, "more than 100000 values"};
  }
  void deeper(const YAML::Mark& mark) {
    one(mark);
    if (++depth_ > depth_max) throw Bad{mark, "nested deeper than 64"};
  }
  int depth_ = 0, nodes_ = 0;
};
void check_form(const std::string& text) {
  std::istringstream in(text);
  YAML::Parser parser(in);
  Census census;
  if (parser.HandleNextDocument(census) && parser.HandleNextDocument(census))
    throw Bad{census.begins.back(), "not valid YAML: this belongs to nothing before it"};
}

std::string place(const std::string& file, const YAML::Mark& mark, int lines_before) {
  if (mark.is_null()) return file;
  return file + ":" + std::to_string(lines_before + mark.line + 1) + ":" +
         std::to_string(mark.column + 1);
}

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
  const std::string json = Json(text).dump();
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
std::string scalar_text(const Json& value) {
  if (!value.is_string()) return value.dump();
  const std::string text = value.get<std::string>();
  return is_plain(text) ? text : quoted(text);
}
// As kubectl prints: two blanks a level, the items of a list below their key's first letter.
// `out` stands behind "key:" or "-", or at the start of a line when `is_inline`.
void emit(std::string& out, const Json& value, std::size_t indent, bool is_inline) {
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
    for (const Json& item : value) {
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
  if (text.size() > bytes_max)
    return Error{Code::invalid, file + ": larger than 3 MiB; objects are small"};
  std::vector<std::string> out;
  int nodes = 0;
  for (const Document& document : documents_of(text)) {
    const auto at = [&](const YAML::Mark& mark) {
      return place(file, mark, document.lines_before);
    };
    try {
      check_form(document.text);
      const YAML::Node node = YAML::Load(document.text);
      if (!node.IsDefined() || node.IsNull()) continue;
      const Json json = convert(node, 0, nodes);
      if (!json.is_object())
        return Error{Code::invalid,
                     at(node.Mark()) + ": expected an object with apiVersion, kind and metadata"};
      out.push_back(json.dump());
    } catch (const Bad& bad) {
      return Error{Code::invalid, at(bad.mark) + ": " + bad.what};
    } catch (const YAML::Exception& bad) {
      return Error{Code::invalid, at(bad.mark) + ": not valid YAML: " + bad.msg};
    } catch (const Json::exception& bad) {
      return Error{Code::invalid, file + ": " + bad.what()};
    }
  }
  return out;
}

std::string json_to_yaml(const std::string& json) {
  std::string out;
  emit(out, Json::parse(json, nullptr, false), 0, true);
  return out;
}
}  // namespace kairo::cli
