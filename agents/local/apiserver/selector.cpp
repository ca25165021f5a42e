// agents/local/apiserver/selector.cpp - terms split at commas outside parentheses.
#include "agents/local/apiserver/selector.h"

#include <algorithm>

namespace kairo::cluster {
namespace {
std::string trim(const std::string& text) {
  const auto from = text.find_first_not_of(" \t");
  if (from == std::string::npos) return "";
  return text.substr(from, text.find_last_not_of(" \t") - from + 1);
}
std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> out(1);
  int depth = 0;
  for (const char c : text) {
    depth += c == '(' ? 1 : c == ')' ? -1 : 0;
    if (c == ',' && depth == 0)
      out.emplace_back();
    else
      out.back() += c;
  }
  for (std::string& part : out) part = trim(part);
  return out;
}
}  // namespace

Selector::Selector(const std::string& text) {
  if (trim(text).empty()) return;
  for (const std::string& part : split(text)) terms_.push_back(term_of(part));
}

Selector::Term Selector::term_of(const std::string& text) {
  for (const char* word : {" notin ", " in "}) {
    const auto pos = text.find(word);
    if (pos == std::string::npos) continue;
    const std::string set = trim(text.substr(pos + std::string(word).size()));
    if (set.size() < 2 || set.front() != '(' || set.back() != ')') return {Test::never, "", {}};
    return {word[1] == 'n' ? Test::not_in : Test::in, trim(text.substr(0, pos)),
            split(set.substr(1, set.size() - 2))};
  }
  const auto equals = text.find('=');
  if (equals != std::string::npos) {
    const bool is_not = equals > 0 && text[equals - 1] == '!';
    const bool is_double = equals + 1 < text.size() && text[equals + 1] == '=';
    return {is_not ? Test::not_in : Test::in,
            trim(text.substr(0, equals - (is_not ? 1 : 0))),
            {trim(text.substr(equals + (is_double ? 2 : 1)))}};
  }
  if (text.starts_with("!")) return {Test::absent, trim(text.substr(1)), {}};
  if (text.empty()) return {Test::never, "", {}};
  return {Test::exists, text, {}};
}

bool Selector::matches(const Json& labels) const {
  return std::all_of(terms_.begin(), terms_.end(), [&](const Term& term) {
    const bool there = labels.is_object() && labels.contains(term.key);
    const Json value = there ? labels[term.key] : Json();
    const bool is_in =
        there && std::any_of(term.values.begin(), term.values.end(),
                             [&](const std::string& wanted) { return value == wanted; });
    switch (term.test) {
      case Test::in:
        return is_in;
      case Test::not_in:
        return !is_in;
      case Test::exists:
        return there;
      case Test::absent:
        return !there;
      case Test::never:
        return false;
    }
    return false;
  });
}
}  // namespace kairo::cluster
