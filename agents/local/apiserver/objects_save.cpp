// agents/local/apiserver/objects_save.cpp - rows, what is on disk of them, and how a write that
// could not be kept is taken back.
#include "agents/local/apiserver/objects.h"

namespace kairo::cluster {
namespace {
const std::string version_row = rows_prefix + "version";
const std::string objects_prefix = rows_prefix + "o/";
}  // namespace

std::string Objects::row_of(const Key& key) {
  return objects_prefix + key.group + "/" + key.plural + "/" + key.ns + "/" + key.name;
}

void Objects::abandon() {
  staged_.clear();
  staged_log_.clear();
  staged_version_ = version_;
}

void Objects::finish() {
  for (auto& [key, stored] : staged_) {
    std::optional<Stored> before;
    const auto there = objects_.find(key);
    if (there != objects_.end()) before = std::move(there->second);
    if (stored)
      objects_[key] = std::move(*stored);
    else if (there != objects_.end())
      objects_.erase(there);
    undo_.push_back({key, std::move(before)});
  }
  for (Change& change : staged_log_) log_.push_back(std::move(change));
  version_ = staged_version_;
  abandon();
}

Changes Objects::take_unsaved() {
  std::set<Key> keys;
  for (const Undo& undo : undo_) keys.insert(undo.key);
  Changes rows;
  for (const Key& key : keys) {
    const auto stored = objects_.find(key);
    if (stored == objects_.end()) {
      rows.emplace_back(row_of(key), std::nullopt);
      continue;
    }
    const Kind& k = stored->second.kind;
    const Json kind = {k.group, k.version, k.plural, k.kind, k.namespaced};
    rows.emplace_back(row_of(key), "{\"kind\":" + kind.dump() + ",\"managed\":" +
                                       stored->second.managed.dump(-1, ' ', false,
                                                                   Json::error_handler_t::replace) +
                                       ",\"object\":" + *stored->second.text + "}");
  }
  if (!rows.empty()) rows.emplace_back(version_row, std::to_string(version_));
  taken_undo_ = std::move(undo_);
  undo_.clear();
  taken_version_ = version_;
  return rows;
}
void Objects::saved() {
  taken_undo_.clear();
  saved_version_ = taken_version_;
  // Not before: an event that is not saved may have to go again.
  for (; log_.size() > events_max && log_.front().version <= saved_version_; log_.pop_front())
    oldest_ = log_.front().version;
}
void Objects::roll_back() {
  for (auto* undos : {&undo_, &taken_undo_}) {
    for (auto undo = undos->rbegin(); undo != undos->rend(); ++undo) {
      if (undo->before)
        objects_[undo->key] = std::move(*undo->before);
      else
        objects_.erase(undo->key);
    }
    undos->clear();
  }
  while (!log_.empty() && log_.back().version > saved_version_) log_.pop_back();
  version_ = saved_version_;
  abandon();
}

Status Objects::load(const std::vector<std::pair<std::string, std::string>>& rows) {
  for (const auto& [name, value] : rows) {
    const Error bad{Code::corrupt, "row " + name +
                                       " of the local cluster is damaged; restore the "
                                       "state directory, or remove it to start anew"};
    if (name == version_row) {
      version_ = std::strtoull(value.c_str(), nullptr, 10);
      if (version_ == 0) return bad;
      continue;
    }
    Json row = Json::parse(value, nullptr, false);
    const Json& kind = at(row, {"kind"});
    if (!kind.is_array() || kind.size() != 5 || !at(row, {"object", "metadata"}).is_object())
      return bad;
    Stored stored{{kind[0], kind[1], kind[2], kind[3], kind[4]}, row["object"], row["managed"]};
    stored.text = std::make_shared<const std::string>(stored.object.dump());
    const Key key = key_of(ref_of(stored));
    if (row_of(key) != name) return bad;
    objects_[key] = std::move(stored);
  }
  if (!objects_.empty() && version_ == 0)
    return Error{Code::corrupt, "the local cluster's rows lack their version"};
  staged_version_ = saved_version_ = oldest_ = version_;
  return ok();
}
}  // namespace kairo::cluster
