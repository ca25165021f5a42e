// agents/transfer/upload_log.cpp - one row per blob: "<offset> <location>".
#include "agents/transfer/upload_log.h"

#include <charconv>

namespace kairo::transfer {
namespace {
std::string key_of(const std::string& repository, const std::string& digest) {
  return "upload/" + repository + "/" + digest;
}
}  // namespace

Result<std::optional<UploadMark>> UploadLog::load(const std::string& repository,
                                                  const std::string& digest) const {
  const auto row = TRY(store_.get(key_of(repository, digest)));
  if (!row) return std::optional<UploadMark>();
  UploadMark mark;
  const char* end = row->data() + row->size();
  const auto [rest, error] = std::from_chars(row->data(), end, mark.offset);
  if (error != std::errc() || rest == end || *rest != ' ') return std::optional<UploadMark>();
  mark.location.assign(rest + 1, end);
  return std::optional<UploadMark>(std::move(mark));
}
Status UploadLog::save(const std::string& repository, const std::string& digest,
                       const UploadMark& mark) {
  state::Batch batch;
  batch.put(key_of(repository, digest), std::to_string(mark.offset) + " " + mark.location);
  return store_.commit(batch);
}
Status UploadLog::forget(const std::string& repository, const std::string& digest) {
  state::Batch batch;
  batch.erase(key_of(repository, digest));
  return store_.commit(batch);
}
}  // namespace kairo::transfer
