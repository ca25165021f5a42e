// schemas/yaml/json_text.cpp - JSON text -> values by nlohmann's events, and back.
#include "schemas/yaml/json_text.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>

#include "schemas/yaml/scalar.h"

namespace kairo::yaml {
namespace {
using Json = nlohmann::json;
using Kind = Value::Kind;

class Builder final : public nlohmann::json_sax<Json> {
 public:
  explicit Builder(const Limits& limits) : limits_(limits) {}
  bool null() override { return add({}); }
  bool boolean(bool value) override {
    Value out;
    out.kind = Kind::boolean;
    out.boolean = value;
    return add(std::move(out));
  }
  bool number_integer(number_integer_t value) override {
    Value out;
    out.kind = Kind::integer;
    out.integer = value;
    out.real = static_cast<double>(value);
    return add(std::move(out));
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (value <= static_cast<number_unsigned_t>(std::numeric_limits<std::int64_t>::max()))
      return number_integer(static_cast<std::int64_t>(value));
    return number_float(static_cast<double>(value), {});
  }
  bool number_float(number_float_t value, const string_t& /*written*/) override {
    Value out;
    out.kind = Kind::real;
    out.real = value;
    return add(std::move(out));
  }
  bool string(string_t& value) override {
    Value out;
    out.kind = Kind::text;
    out.text = std::move(value);
    return add(std::move(out));
  }
  bool binary(binary_t& /*value*/) override { return false; }  // not in text
  bool start_object(std::size_t /*size*/) override { return open(Kind::map); }
  bool start_array(std::size_t /*size*/) override { return open(Kind::list); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    if (open_.back().find(name) != nullptr) return fail("key \"" + name + "\" stands twice");
    open_.back().entries.push_back({name, 0, 0, {}});
    return true;
  }
  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const nlohmann::detail::exception& error) override {
    const std::string full = error.what();  // "[...] parse error at line 1, column 2: ...: <why>"
    const std::size_t colon = full.find(": ");
    at = position;
    return fail("not valid JSON: " + (colon == std::string::npos ? full : full.substr(colon + 2)));
  }
  Value take() { return std::move(root_); }
  std::string why;                     // of a failure
  std::size_t at = std::string::npos;  // the byte behind it; npos: somewhere before the reader

 private:
  bool fail(std::string reason) {
    why = std::move(reason);
    return false;
  }
  bool open(Kind kind) {
    if (open_.size() > static_cast<std::size_t>(limits_.depth))
      return fail("nested deeper than " + std::to_string(limits_.depth));
    open_.emplace_back();
    open_.back().kind = kind;
    return true;
  }
  bool close() {
    Value done = std::move(open_.back());
    open_.pop_back();
    return add(std::move(done));
  }
  bool add(Value value) {
    if (++values_ > limits_.values)
      return fail("more than " + std::to_string(limits_.values) + " values");
    if (open_.empty())
      root_ = std::move(value);
    else if (open_.back().kind == Kind::list)
      open_.back().items.push_back(std::move(value));
    else
      open_.back().entries.back().value = std::move(value);
    return true;
  }
  const Limits& limits_;
  std::vector<Value> open_;  // the innermost last
  Value root_;
  int values_ = 0;
};

std::string place(std::string_view text, std::size_t byte) {
  const std::string_view before = text.substr(0, std::min(byte, text.size()));
  const std::size_t line = before.rfind('\n') + 1;  // npos + 1 is 0
  return std::to_string(std::count(before.begin(), before.end(), '\n') + 1) + ":" +
         std::to_string(std::max<std::size_t>(1, before.size() - line));
}
std::string quoted(const std::string& text) {
  return Json(text).dump();
}
void write(std::string& out, const Value& value) {
  switch (value.kind) {
    case Kind::null:
      out += "null";
      return;
    case Kind::boolean:
      out += value.boolean ? "true" : "false";
      return;
    case Kind::integer:
      out += std::to_string(value.integer);
      return;
    case Kind::real:
      out += number_text(value.real);
      return;
    case Kind::text:
    case Kind::time:
      out += quoted(value.text);
      return;
    case Kind::list:
      out += '[';
      for (const Value& item : value.items) {
        if (&item != &value.items.front()) out += ',';
        write(out, item);
      }
      out += ']';
      return;
    case Kind::map:
      out += '{';
      for (const Entry& entry : value.entries) {
        if (&entry != &value.entries.front()) out += ',';
        out += quoted(entry.key) + ":";
        write(out, entry.value);
      }
      out += '}';
      return;
  }
}
}  // namespace

Result<std::vector<Value>> read_json(std::string_view text, const std::string& name,
                                     const Limits& limits) {
  std::vector<Value> out;
  std::istringstream in{std::string(text)};
  while (in >> std::ws && in.peek() != std::istringstream::traits_type::eof()) {
    const auto begin = static_cast<std::size_t>(in.tellg());
    Builder builder(limits);
    if (!Json::sax_parse(in, &builder, nlohmann::detail::input_format_t::json, false)) {
      const bool is_here = builder.at == std::string::npos;
      const auto reached = static_cast<std::size_t>(std::max<std::streamoff>(0, in.tellg()));
      const std::size_t at = is_here ? reached : begin + builder.at;
      return Error{Code::invalid, name + ":" + place(text, at) + ": " + builder.why};
    }
    out.push_back(builder.take());
  }
  return out;
}

std::string to_json(const Value& value) {
  std::string out;
  write(out, value);
  return out;
}
}  // namespace kairo::yaml
