// schemas/yaml/scalar.cpp - the implicit types of YAML 1.1 as two readers have them.
#include "schemas/yaml/scalar.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <regex>
#include <set>

#include "schemas/base/base64.h"

namespace kairo::yaml {
namespace {
using Kind = Value::Kind;
using Words = std::set<std::string, std::less<>>;
constexpr std::size_t number_chars_max = 400;  // std::regex recurses; longer ones are text
const std::string standard = "tag:yaml.org,2002:";

const Words null_words{"", "~", "null", "Null", "NULL"};
const Words true_words{"yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"};
const Words false_words{"no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"};
const Words inf_words{".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"};
const Words minus_inf_words{"-.inf", "-.Inf", "-.INF"};
const Words nan_words{".nan", ".NaN", ".NAN"};

bool fits(const std::string& text, const std::regex& form) {
  return text.size() <= number_chars_max && std::regex_match(text, form);
}
std::string without(std::string text, char c) {
  text.erase(std::remove(text.begin(), text.end(), c), text.end());
  return text;
}
double real_of(const std::string& text) {
  const char* begin = text.data() + (text.front() == '+' ? 1 : 0);
  double out = 0;
  const auto parsed = std::from_chars(begin, text.data() + text.size(), out);
  if (parsed.ec == std::errc::result_out_of_range) out = std::strtod(text.c_str(), nullptr);
  return out;
}
Value number(double real) {
  Value out;
  out.kind = Kind::real;
  out.real = real;
  return out;
}
Value number(std::int64_t integer) {
  Value out;
  out.kind = Kind::integer;
  out.integer = integer;
  out.real = static_cast<double>(integer);
  return out;
}
// digits: of that base, without a sign. Absent: beyond 64 bits.
std::optional<Value> whole(const std::string& digits, int base, bool is_negative) {
  std::uint64_t size = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), size, base);
  if (parsed.ec != std::errc()) return std::nullopt;
  constexpr auto max = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (is_negative && size <= max + 1) return number(static_cast<std::int64_t>(0 - size));
  if (!is_negative && size <= max) return number(static_cast<std::int64_t>(size));
  if (is_negative) return std::nullopt;
  return number(static_cast<double>(size));  // Go's uint64
}
std::optional<Value> special(const std::string& text) {
  constexpr double inf = std::numeric_limits<double>::infinity();
  if (inf_words.contains(text)) return number(inf);
  if (minus_inf_words.contains(text)) return number(-inf);
  if (nan_words.contains(text)) return number(std::nan(""));
  return std::nullopt;
}

// strconv.ParseInt(s, 0, 64) after underscores are gone, then a float without base 60.
std::optional<Value> go_number(const std::string& text) {
  static const std::regex point(R"(\.\d+(_\d+)*([eE][-+]?\d+(_\d+)*)?)");
  static const std::regex based(R"(([-+]?)0([xXbBoO]?)([0-9a-fA-F]+))");
  static const std::regex decimal(R"(([-+]?)(0|[1-9]\d*))");
  static const std::regex real(R"([-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?)");
  const auto finite = [](double value) {
    return std::isfinite(value) ? std::optional(number(value)) : std::nullopt;
  };
  if (text.front() == '.')
    return fits(text, point) ? finite(real_of(without(text, '_'))) : std::nullopt;
  const std::string plain = without(text, '_');
  std::smatch part;
  if (plain.size() > number_chars_max) return std::nullopt;
  if (std::regex_match(plain, part, decimal)) {
    if (auto out = whole(part[2], 10, part[1] == "-")) return out;
  } else if (std::regex_match(plain, part, based)) {
    const std::string letter = part[2], digits = part[3];
    const int base = letter.empty() || letter == "o" || letter == "O" ? 8
                     : letter == "x" || letter == "X"                 ? 16
                                                                      : 2;
    const std::string allowed = std::string("0123456789abcdefABCDEF")
                                    .substr(0, base == 16 ? 22 : static_cast<std::size_t>(base));
    if (digits.find_first_not_of(allowed) == std::string::npos)
      if (auto out = whole(digits, base, part[1] == "-")) return out;
  }
  return std::regex_match(plain, real) ? finite(real_of(plain)) : std::nullopt;
}

double base_60(const std::string& text) {  // 1:30.5 is 90.5
  double out = 0;
  std::size_t at = 0;
  for (std::size_t end = 0; end != std::string::npos; at = end + 1) {
    end = text.find(':', at);
    out = out * 60 + real_of(text.substr(at, end - at));
  }
  return out;
}
Result<std::optional<Value>> python_number(const std::string& text) {
  static const std::regex integer(
      R"(([-+]?)(0b([01_]+)|0x([0-9a-fA-F_]+)|0([0-7_]+)|(0|[1-9][\d_]*))"
      R"(|([1-9][\d_]*(:[0-5]?\d)+)))");
  static const std::regex real(R"([-+]?\d[\d_]*\.[\d_]*([eE][-+]\d+)?|\.\d[\d_]*([eE][-+]\d+)?)");
  static const std::regex real_60(R"(([-+]?)(\d[\d_]*(:[0-5]?\d)+\.[\d_]*))");
  std::smatch part;
  const std::string plain = without(text, '_');
  if (text.size() > number_chars_max) return std::optional<Value>();
  if (std::regex_match(text, part, integer)) {
    const bool is_negative = part[1] == "-";
    std::optional<Value> out;
    if (part[7].matched) {
      const double value = base_60(without(part[7], '_'));
      if (value < 9e15) out = number(static_cast<std::int64_t>(is_negative ? -value : value));
    } else {
      constexpr std::array<std::pair<int, int>, 4> groups{{{3, 2}, {4, 16}, {5, 8}, {6, 10}}};
      for (const auto& [group, base] : groups)
        if (part[static_cast<std::size_t>(group)].matched)
          out = whole(without(part[static_cast<std::size_t>(group)], '_'), base, is_negative);
    }
    if (!out || out->kind != Kind::integer)
      return Error{Code::invalid, "not a whole number of 64 bits: " + text.substr(0, 60)};
    return out;
  }
  if (std::regex_match(text, real)) return std::optional<Value>(number(real_of(plain)));
  if (std::regex_match(text, part, real_60)) {
    const double value = base_60(without(part[2], '_'));
    return std::optional<Value>(number(part[1] == "-" ? -value : value));
  }
  return std::optional<Value>();
}
bool is_python_time(const std::string& text) {
  static const std::regex form(R"(\d{4}-\d\d-\d\d|\d{4}-\d\d?-\d\d?([Tt]|[ \t]+)\d\d?:\d\d:\d\d)"
                               R"((\.\d*)?([ \t]*(Z|[-+]\d\d?(:\d\d)?))?)");
  return fits(text, form);
}

Result<Value> implicit(const std::string& text, Dialect dialect) {
  Value out;
  const bool is_kubectl = dialect == Dialect::kubectl;
  const auto is_word = [&](const Words& words, std::string_view letters) {
    return words.contains(text) ||
           (is_kubectl && text.size() == 1 && letters.find(text) != std::string_view::npos);
  };
  if (null_words.contains(text)) return out;
  out.kind = Kind::boolean;
  out.boolean = is_word(true_words, "yY");
  if (out.boolean || is_word(false_words, "nN")) return out;
  const char first = text.front();
  if (std::string_view("+-.0123456789").find(first) != std::string_view::npos) {
    if (auto value = special(text)) return *value;
    const std::optional<Value> value = is_kubectl ? go_number(text) : TRY(python_number(text));
    if (value) return *value;
    out.kind = !is_kubectl && is_python_time(text) ? Kind::time : Kind::text;
    return out;
  }
  out.kind = Kind::text;
  return out;
}

bool is_utf8(const std::string& bytes) {
  try {
    return !nlohmann::json(bytes).dump().empty();
  } catch (const nlohmann::json::type_error&) {
    return false;
  }
}
const char* word_of(Kind kind) {
  constexpr std::array<const char*, 8> words{"null", "true or false", "a whole number", "a number",
                                             "text", "a time",        "a list",         "a map"};
  return words.at(static_cast<std::size_t>(kind));
}
Result<Value> tagged(const Scalar& scalar, Dialect dialect) {
  const std::string& tag = scalar.tag;
  const std::string name = tag.starts_with(standard) ? tag.substr(standard.size()) : "";
  Value out;
  out.kind = Kind::text;
  if (name == "str") return out;
  if (name == "binary") {
    const auto bytes = base64_decode(scalar.text);
    if (!bytes.ok()) return Error{Code::invalid, "!!binary: not base64"};
    out.text = bytes.value();
    if (!is_utf8(out.text))
      return Error{Code::invalid, "!!binary: the bytes are no text; in a ConfigMap use binaryData"};
    return out;
  }
  const bool is_known = name == "int" || name == "float" || name == "bool" || name == "null";
  if (name == "timestamp" && (dialect == Dialect::kubectl || is_python_time(scalar.text))) {
    out.kind = dialect == Dialect::kubectl ? Kind::text : Kind::time;
    return out;
  }
  if (!is_known && dialect == Dialect::kubectl) return out;  // a tag of somebody's own
  if (!is_known) return Error{Code::invalid, "the tag " + tag + " is not supported; remove it"};
  out = TRY(implicit(scalar.text, dialect));
  const Kind wanted = name == "int"     ? Kind::integer
                      : name == "float" ? Kind::real
                      : name == "bool"  ? Kind::boolean
                                        : Kind::null;
  if (wanted == Kind::real && out.kind == Kind::integer) out.kind = Kind::real;
  if (wanted == Kind::real && out.kind == Kind::text) {  // Python's float() takes 1e3
    if (auto value = go_number(scalar.text); value && dialect == Dialect::pyyaml)
      return number(value->real);
  }
  if (out.kind != wanted)
    return Error{Code::invalid,
                 "!!" + name + ": \"" + scalar.text.substr(0, 60) + "\" is " + word_of(out.kind)};
  return out;
}
}  // namespace

Result<Value> resolve(const Scalar& scalar, Dialect dialect) {
  Value out;
  out.kind = Kind::text;
  if (!scalar.tag.empty())
    out = TRY(tagged(scalar, dialect));
  else if (scalar.is_plain)
    out = TRY(implicit(scalar.text, dialect));
  if (out.text.empty()) out.text = scalar.text;
  return out;
}

Result<std::string> key_of(const Value& scalar, Dialect dialect) {
  if (dialect == Dialect::pyyaml || scalar.kind == Kind::text) return scalar.text;
  if (scalar.kind == Kind::boolean) return std::string(scalar.boolean ? "true" : "false");
  if (scalar.kind == Kind::null)
    return Error{Code::invalid, "a key is null; give it a name, or quote it"};
  if (scalar.kind == Kind::integer) return std::to_string(scalar.integer);
  if (std::isnan(scalar.real)) return std::string(".nan");
  const auto narrow = static_cast<float>(scalar.real);
  if (std::isinf(narrow)) return std::string(narrow < 0 ? "-.inf" : ".inf");
  if (scalar.real >= 9223372036854775808.0 && scalar.text.find_first_of(".eE") == scalar.text.npos)
    return Error{Code::invalid, "a key is a whole number beyond 64 bits; quote it"};
  std::array<char, 32> out{};
  const auto to =
      std::to_chars(out.data(), out.data() + out.size(), narrow, std::chars_format::general);
  return std::string(out.data(), to.ptr);
}

std::string number_text(double real) {
  if (!std::isfinite(real)) return "null";
  std::array<char, 32> shortest{};
  const auto to = std::to_chars(shortest.data(), shortest.data() + shortest.size(), std::abs(real),
                                std::chars_format::scientific);
  std::string digits(shortest.data(), to.ptr);  // d.ddde+XX
  const std::size_t e = digits.find('e');
  const int exponent = std::stoi(digits.substr(e + 1));
  digits.resize(e);
  const std::string sign = std::signbit(real) ? "-" : "";
  if (real != 0 && (exponent < -6 || exponent >= 21))
    return sign + digits + "e" + (exponent < 0 ? "-" : "+") + std::to_string(std::abs(exponent));
  digits.erase(std::remove(digits.begin(), digits.end(), '.'), digits.end());
  if (exponent < 0)
    return sign + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  const auto whole_digits = static_cast<std::size_t>(exponent) + 1;
  if (digits.size() <= whole_digits)
    return sign + digits + std::string(whole_digits - digits.size(), '0');
  return sign + digits.substr(0, whole_digits) + "." + digits.substr(whole_digits);
}
}  // namespace kairo::yaml
