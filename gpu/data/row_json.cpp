// gpu/data/row_json.cpp - parsing that keeps large integers, and what is asked of a row's values.
#include "gpu/data/row_json.h"

#include <utility>

#include "gpu/formats/json.h"

namespace kairo::gpu {
namespace {
constexpr std::string_view mark = "\xF3\xB0\x80\x83";  // U+F0003: private use

// Builds the value; an integer that did not fit arrives as a double with its text.
class Builder : public nlohmann::detail::json_sax_dom_parser<RowJson> {
 public:
  using nlohmann::detail::json_sax_dom_parser<RowJson>::json_sax_dom_parser;
  bool number_float(double value, const std::string& text) {
    using Base = nlohmann::detail::json_sax_dom_parser<RowJson>;
    if (text.find_first_of(".eE") != std::string::npos) return Base::number_float(value, text);
    std::string marked = std::string(mark) + text;
    return Base::string(marked);
  }
};
bool is_large_integer(const RowJson& json) {
  return json.is_string() && json.get_ref<const std::string&>().starts_with(mark);
}
bool starts_like_json(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && (text[first] == '[' || text[first] == '{');
}
}  // namespace

Result<RowJson> parse_row(std::string_view text) {
  if (text.find(mark) != std::string_view::npos)
    return Error{Code::invalid, "holds the private-use character U+F0003: remove it"};
  if (nests_deeper(text, json_depth_max))
    return Error{Code::invalid, "is nested deeper than " + std::to_string(json_depth_max)};
  if (text.find('\0') != std::string_view::npos) return Error{Code::invalid, "is not JSON"};
  RowJson out;
  Builder builder(out, false);
  if (!RowJson::sax_parse(text, &builder) || builder.is_errored()) {
    const bool has_nan = text.find("NaN") != text.npos || text.find("Infinity") != text.npos;
    return Error{Code::invalid,
                 has_nan ? "is not JSON (NaN and Infinity are none: write null)" : "is not JSON"};
  }
  return out;
}
std::string dump_row(const RowJson& json) {
  std::string text = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (text.find(mark) == std::string::npos) return text;
  const std::string quoted = "\"" + std::string(mark);
  std::string out;
  std::size_t from = 0;
  for (std::size_t at = 0; (at = text.find(quoted, from)) != std::string::npos;) {
    const std::size_t digits = at + quoted.size(), end = text.find('"', digits);
    out.append(text, from, at - from).append(text, digits, end - digits);
    from = end + 1;
  }
  return out.append(text, from);
}
std::string text_of_number(const RowJson& json) {
  return json.is_number() || json.is_boolean() || is_large_integer(json) ? dump_row(json) : "";
}
RowJson unpacked(const RowJson& value) {
  if (!value.is_string() || is_large_integer(value)) return value;
  auto parsed = parse_row(value.get_ref<const std::string&>());
  return parsed.ok() ? std::move(parsed).value() : value;
}
std::size_t drop_nulls(RowJson& value) {
  std::size_t dropped = 0;
  if (value.is_object()) {
    RowJson kept = RowJson::object();
    for (auto& member : value.items())
      if (member.value().is_null())
        ++dropped;
      else
        kept[member.key()] = std::move(member.value());
    value = std::move(kept);
  }
  if (value.is_structured())
    for (auto& item : value) dropped += drop_nulls(item);
  return dropped;
}
std::string names_of(const RowJson& object) {
  std::string out;
  for (const auto& item : object.items()) {
    out += (out.empty() ? "" : ", ") + item.key();
    if (out.size() > 300) return out + ", ...";
  }
  return out.empty() ? "none" : out;
}
Error wrong_type(const std::string& column, const RowJson& value, const std::string& wanted) {
  std::string type = is_large_integer(value) ? "number" : value.type_name();
  if (value.is_string() && starts_like_json(value.get_ref<const std::string&>())) {
    const auto parsed = parse_row(value.get_ref<const std::string&>());
    if (!parsed.ok()) type += " that " + parsed.error().what;
  }
  return {Code::invalid, "column \"" + column + "\" is " + type + ", must be " + wanted};
}
}  // namespace kairo::gpu
