// schemas/yaml/yaml.cpp - libyaml's events as values. The only file that knows libyaml.
#include "schemas/yaml/yaml.h"

#include <yaml.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "schemas/yaml/json_text.h"
#include "schemas/yaml/scalar.h"

namespace kairo::yaml {
namespace {
using Kind = Value::Kind;

class Event {
 public:
  Event() = default;
  ~Event() { yaml_event_delete(&event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  yaml_event_t* operator->() { return &event_; }
  yaml_event_t* raw() { return &event_; }

 private:
  yaml_event_t event_{};
};
std::string text_of(const yaml_char_t* text) {
  return text == nullptr ? "" : reinterpret_cast<const char*>(text);
}

// One stream of documents; one thread.
class Reader {
 public:
  Reader(std::string_view text, const std::string& name, int lines_before, Dialect dialect,
         const Limits& limits)
      : name_(name), lines_before_(lines_before), dialect_(dialect), limits_(limits) {
    // libyaml skips the mark too, but counts it as a column: the lines below would stand out.
    if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
    yaml_parser_initialize(&parser_);
    yaml_parser_set_encoding(&parser_, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()),
                                 text.size());
  }
  ~Reader() { yaml_parser_delete(&parser_); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  Status read(std::vector<Value>& out) {
    for (bool has_document = false;;) {
      Event event;
      TRY(next(event));
      if (event->type == YAML_STREAM_END_EVENT) return ok();
      if (event->type != YAML_DOCUMENT_START_EVENT) continue;
      if (has_document && dialect_ == Dialect::pyyaml)
        return wrong(event->start_mark, "a second document; the reader of this file takes one");
      has_document = true;
      anchors_.clear();
      Event first;
      TRY(next(first));
      Value root = TRY(value_of(first, 0));
      if (dialect_ == Dialect::kubectl) TRY(check_finite(root));
      if (root.kind != Kind::null) out.push_back(std::move(root));
    }
  }

 private:
  struct Anchored {
    Value value;
    int values = 0, depth = 0;  // with all that is in it
    std::size_t bytes = 0;
    bool is_whole = false;
  };

  std::string at(int line, int column) const {
    return name_ + ":" + std::to_string(line) + ":" + std::to_string(column) + ": ";
  }
  int line_of(const yaml_mark_t& mark) const {
    return lines_before_ + static_cast<int>(mark.line) + 1;
  }
  static int column_of(const yaml_mark_t& mark) { return static_cast<int>(mark.column) + 1; }
  Error wrong(const yaml_mark_t& mark, const std::string& why) const {
    return {Code::invalid, at(line_of(mark), column_of(mark)) + why};
  }
  Status next(Event& event) {
    if (yaml_parser_parse(&parser_, event.raw()) == 1) return ok();
    const char* why = parser_.problem == nullptr ? "no memory" : parser_.problem;
    if (parser_.error == YAML_READER_ERROR)
      return wrong(parser_.mark, std::string("not valid YAML: ") + why);
    return wrong(parser_.problem_mark, std::string("not valid YAML: ") + why);
  }
  // Counts what becomes part of the document.
  Status count(const yaml_mark_t& mark, int values, std::size_t bytes, int depth) {
    values_ += values;
    bytes_ += bytes;
    if (depth > limits_.depth)
      return wrong(mark, "nested deeper than " + std::to_string(limits_.depth));
    if (values_ > limits_.values)
      return wrong(mark,
                   "more than " + std::to_string(limits_.values) + " values, aliases included");
    if (bytes_ > 4 * limits_.bytes) return wrong(mark, "aliases make too much text of it");
    return ok();
  }
  Result<Value> value_of(Event& event, int depth) {
    const yaml_mark_t mark = event->start_mark;
    const int values_before = values_;
    const std::size_t bytes_before = bytes_;
    deepest_ = depth;
    std::string anchor;
    Value out;
    switch (event->type) {
      case YAML_ALIAS_EVENT:
        return alias(text_of(event->data.alias.anchor), mark, depth);
      case YAML_SCALAR_EVENT:
        anchor = TRY(begin_anchor(event->data.scalar.anchor, mark));
        out = TRY(scalar(event, depth));
        break;
      case YAML_SEQUENCE_START_EVENT:
        anchor = TRY(begin_anchor(event->data.sequence_start.anchor, mark));
        TRY(check_tag(event->data.sequence_start.tag, "seq", mark));
        TRY(count(mark, 1, 0, depth));
        out = TRY(list(depth));
        break;
      case YAML_MAPPING_START_EVENT:
        anchor = TRY(begin_anchor(event->data.mapping_start.anchor, mark));
        TRY(check_tag(event->data.mapping_start.tag, "map", mark));
        TRY(count(mark, 1, 0, depth));
        out = TRY(map(depth));
        break;
      case YAML_NO_EVENT:
      case YAML_STREAM_START_EVENT:
      case YAML_STREAM_END_EVENT:
      case YAML_DOCUMENT_START_EVENT:
      case YAML_DOCUMENT_END_EVENT:
      case YAML_SEQUENCE_END_EVENT:
      case YAML_MAPPING_END_EVENT:
        return wrong(mark, "not valid YAML: a value is missing");
    }
    out.line = line_of(mark);
    out.column = column_of(mark);
    if (!anchor.empty()) {
      const int values = values_ - values_before, deep = deepest_ - depth;
      const std::size_t bytes = bytes_ - bytes_before;
      TRY(count(mark, 0, bytes, depth));  // the copy that is kept
      anchors_[anchor] = {out, values, deep, bytes, true};
    }
    return out;
  }

  Result<std::string> begin_anchor(const yaml_char_t* anchor, const yaml_mark_t& mark) {
    const std::string name = text_of(anchor);
    if (name.empty()) return name;
    if (dialect_ == Dialect::pyyaml && anchors_.contains(name))
      return wrong(mark, "the anchor &" + name + " stands twice");
    anchors_[name] = {};
    return name;
  }
  Result<Value> alias(const std::string& name, const yaml_mark_t& mark, int depth) {
    const auto at = anchors_.find(name);
    if (at == anchors_.end())
      return wrong(mark, "*" + name + ": there is no &" + name + " before it");
    const Anchored& anchored = at->second;
    if (!anchored.is_whole) return wrong(mark, "*" + name + " stands inside of &" + name);
    deepest_ = std::max(deepest_, depth + anchored.depth);
    TRY(count(mark, anchored.values, anchored.bytes, depth + anchored.depth));
    return anchored.value;
  }
  // Python builds other things from tagged lists and maps; Go ignores the tag.
  Status check_tag(const yaml_char_t* tag, const std::string& plain,
                   const yaml_mark_t& mark) const {
    const std::string name = text_of(tag);
    if (name.empty() || dialect_ == Dialect::kubectl || name == YAML_DEFAULT_SEQUENCE_TAG ||
        name == YAML_DEFAULT_MAPPING_TAG)
      return ok();
    return wrong(mark, "the tag " + name + " is not supported on a " + plain + "; remove it");
  }

  Result<Value> scalar(Event& event, int depth) {
    const auto& data = event->data.scalar;
    const std::string tag = text_of(data.tag);
    const bool is_neutral = tag == "!" && dialect_ == Dialect::pyyaml;  // of text, too
    const Scalar given{std::string(reinterpret_cast<const char*>(data.value), data.length),
                       is_neutral ? "" : tag, is_neutral || data.plain_implicit == 1};
    TRY(count(event->start_mark, 1, given.text.size(), depth));
    const auto out = resolve(given, dialect_);
    if (!out.ok()) return wrong(event->start_mark, out.error().what);
    return out.value();
  }
  Status check_finite(const Value& value) const {
    if (value.kind == Kind::real && !std::isfinite(value.real))
      return Error{Code::invalid, at(value.line, value.column) + value.text +
                                      ": JSON has no such number; quote it to mean text"};
    for (const Value& item : value.items) TRY(check_finite(item));
    for (const Entry& entry : value.entries) TRY(check_finite(entry.value));
    return ok();
  }
  Result<Value> list(int depth) {
    Value out;
    out.kind = Kind::list;
    for (;;) {
      Event event;
      TRY(next(event));
      if (event->type == YAML_SEQUENCE_END_EVENT) return out;
      out.items.push_back(TRY(inner(event, depth)));
    }
  }
  // Keeps the depth of the deepest of all that has been read below here.
  Result<Value> inner(Event& event, int depth) {
    const int before = deepest_;
    Value out = TRY(value_of(event, depth + 1));
    deepest_ = std::max(before, deepest_);
    return out;
  }

  struct Merge {
    std::size_t own_before;  // the map's own entries that stand before it
    std::vector<Entry> entries;
  };
  Result<Value> map(int depth) {
    Value out;
    out.kind = Kind::map;
    std::map<std::string, yaml_mark_t> own;
    std::vector<Merge> merges;
    for (;;) {
      Event event;
      TRY(next(event));
      if (event->type == YAML_MAPPING_END_EVENT) break;
      const yaml_mark_t mark = event->start_mark;
      if (is_merge(event)) {
        TRY(count(mark, 1, 0, depth + 1));
        merges.push_back({out.entries.size(), TRY(merged(depth))});
        continue;
      }
      const Value name = TRY(inner(event, depth));
      if (name.kind == Kind::list || name.kind == Kind::map)
        return wrong(mark, "a key is a list or a map; it must be a name");
      const auto key = key_of(name, dialect_);
      if (!key.ok()) return wrong(mark, key.error().what);
      if (!own.emplace(key.value(), mark).second)
        return wrong(mark, "key \"" + key.value() + "\" stands twice");
      Event item;
      TRY(next(item));
      Value value = TRY(inner(item, depth));
      out.entries.push_back({key.value(), line_of(mark), column_of(mark), std::move(value)});
    }
    if (!merges.empty()) out.entries = joined(std::move(out.entries), merges);
    return out;
  }
  static bool is_merge(Event& event) {
    if (event->type != YAML_SCALAR_EVENT) return false;
    const auto& data = event->data.scalar;
    return text_of(data.value) == "<<" &&
           (data.plain_implicit == 1 || text_of(data.tag) == "tag:yaml.org,2002:merge");
  }
  // The entries that a merge key gives; of a list the earlier maps win.
  Result<std::vector<Entry>> merged(int depth) {
    Event event;
    TRY(next(event));
    const yaml_mark_t mark = event->start_mark;
    const bool is_alias = event->type == YAML_ALIAS_EVENT;
    Value from = TRY(inner(event, depth));
    if (from.kind == Kind::map) return std::move(from.entries);
    const Error not_maps =
        wrong(mark, "<< merges a map or a list of maps, best named by an alias: <<: *name");
    if (from.kind != Kind::list || (is_alias && dialect_ == Dialect::kubectl)) return not_maps;
    std::vector<Entry> out;
    for (Value& one : from.items) {
      if (one.kind != Kind::map) return not_maps;
      for (Entry& entry : one.entries)
        if (std::none_of(out.begin(), out.end(),
                         [&](const Entry& e) { return e.key == entry.key; }))
          out.push_back(std::move(entry));
    }
    return out;
  }
  // Python: the map's own entries win, then the first merge. go-yaml v2: whichever stands last.
  std::vector<Entry> joined(std::vector<Entry> own, const std::vector<Merge>& merges) const {
    std::map<std::string, Entry> by_key;
    std::vector<std::string> order;
    const auto put = [&](const Entry& entry, bool over) {
      const bool is_new = !by_key.contains(entry.key);
      if (is_new) order.push_back(entry.key);
      if (is_new || over) by_key[entry.key] = entry;
    };
    const bool is_kubectl = dialect_ == Dialect::kubectl;
    std::size_t done = 0;
    for (const Merge& merge : merges) {
      for (; is_kubectl && done < merge.own_before; ++done) put(own[done], true);
      for (const Entry& entry : merge.entries) put(entry, is_kubectl);
    }
    for (; done < own.size(); ++done) put(own[done], true);
    std::vector<Entry> out;
    for (const std::string& key : order) out.push_back(std::move(by_key[key]));
    return out;
  }

  yaml_parser_t parser_{};
  const std::string& name_;
  const int lines_before_;
  const Dialect dialect_;
  const Limits& limits_;
  std::map<std::string, Anchored> anchors_;
  int values_ = 0, deepest_ = 0;
  std::size_t bytes_ = 0;
};

struct Document {
  std::string text;
  int lines_before = 0;
};
// As kubectl cuts a stream: at lines that begin with ---, behind which only a comment may stand.
Result<std::vector<Document>> documents_of(std::string_view text, const std::string& name) {
  std::vector<Document> out(1);
  int line = 0;
  for (std::size_t at = 0; at < text.size(); ++line) {
    const std::size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    const std::string_view row = text.substr(at, end - at);
    at = end;
    if (!row.starts_with("---")) {
      out.back().text += row;
      continue;
    }
    const std::size_t rest = row.find_first_not_of(" \t\r\n", 3);
    if (rest != std::string_view::npos && row[rest] != '#')
      return Error{Code::invalid, name + ":" + std::to_string(line + 1) +
                                      ":4: behind --- only a comment may stand in its line"};
    out.push_back({"", line + 1});
  }
  return out;
}

Result<std::vector<Value>> read_yaml(std::string_view text, const std::string& name,
                                     Dialect dialect, const Limits& limits) {
  std::vector<Value> out;
  std::vector<Document> documents{{std::string(text), 0}};
  if (dialect == Dialect::kubectl) documents = TRY(documents_of(text, name));
  for (const Document& document : documents)
    TRY(Reader(document.text, name, document.lines_before, dialect, limits).read(out));
  return out;
}

}  // namespace

const Value* Value::find(std::string_view key) const {
  for (const Entry& entry : entries)
    if (entry.key == key) return &entry.value;
  return nullptr;
}

Result<std::vector<Value>> read(std::string_view text, const std::string& name, Dialect dialect,
                                const Limits& limits) {
  if (text.size() > limits.bytes)
    return Error{Code::invalid, name + ": larger than " + std::to_string(limits.bytes >> 20) +
                                    " MiB; such files are small"};
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  const bool may_be_json =
      dialect == Dialect::kubectl && first != std::string_view::npos && text[first] == '{';
  if (!may_be_json) return read_yaml(text, name, dialect, limits);
  auto json = read_json(text, name, limits);
  if (json.ok() || name.ends_with(".json")) return json;
  return read_yaml(text, name, dialect, limits);  // a map in YAML's own flow style
}
}  // namespace kairo::yaml
