// agents/transfer/blob_upload.cpp - POST, PATCH with Content-Range, PUT; trusting Location and
// Range.
#include "agents/transfer/blob_upload.h"

#include <algorithm>
#include <charconv>

namespace kairo::transfer {
namespace {
constexpr std::uint64_t chunk_bytes_least = 4 << 20;
const char* const octets = "Content-Type: application/octet-stream";

std::string with_digest(const std::string& url, const std::string& digest) {
  return url + (url.find('?') == std::string::npos ? "?" : "&") + "digest=" + digest;
}
std::uint64_t number_in(const std::string& header) {  // 0: none
  std::uint64_t out = 0;
  std::from_chars(header.data(), header.data() + header.size(), out);
  return out;
}
}  // namespace

BlobUpload::BlobUpload(RegistrySession& session, UploadLog& log, const Blob& blob,
                       const RegistryOptions& options, Progress progress)
    : session_(session),
      log_(log),
      blob_(blob),
      progress_(std::move(progress)),
      reader_(blob),
      chunk_bytes_(std::max<std::uint64_t>(1, options.chunk_bytes)),
      is_whole_(blob.size <= options.chunk_bytes || !takes_chunks(session.base().host)),
      setbacks_max_(std::max(1, options.tries)),
      backoff_ms_(options.backoff_ms) {}

Status BlobUpload::run() {
  const bool is_known = TRY(is_there());
  if (is_known) {
    progress_(blob_.size);
    return log_.forget(session_.name(), blob_.digest);
  }
  if (!is_whole_) TRY(resume());
  for (;;) {
    if (!location_) TRY(start());
    if (!is_whole_) TRY(send_chunks());
    if (!location_) continue;  // the session was lost on the way
    const Reaction reaction = TRY(send_rest(is_whole_ ? 0 : offset_));
    if (reaction == Reaction::done) break;
    TRY(recover(reaction));
  }
  progress_(blob_.size);
  return log_.forget(session_.name(), blob_.digest);
}
Result<bool> BlobUpload::is_there() {
  HttpCall call;
  call.method = "HEAD";
  call.url = TRY(resolve_url(session_.base(), "blobs/" + blob_.digest));
  const HttpAnswer answer = TRY(session_.call(call, true));
  switch (reaction_to(Step::head, answer.status)) {
    case Reaction::done:
      return true;
    case Reaction::absent:
      return false;
    case Reaction::again:
      return session_.busy(answer);
    case Reaction::redirect:
    case Reaction::authenticate:
    case Reaction::refused:
    case Reaction::ask_offset:
    case Reaction::new_session:
    case Reaction::smaller_chunks:
    case Reaction::whole_blob:
      return session_.refusal(answer);
  }
  return false;
}
Status BlobUpload::keep(const HttpAnswer& answer, std::uint64_t offset) {
  const std::string location = answer.header("location");
  if (!location.empty()) {
    Url next = TRY(resolve_url(session_.base(), location));
    TRY(session_.check_scheme(next, "its upload Location"));
    location_ = std::move(next);
  }
  if (!location_)
    return Error{Code::invalid, session_.name() + ": the registry named no upload Location"};
  offset_ = offset;
  if (is_whole_) return ok();
  return log_.save(session_.name(), blob_.digest, {location_->text, offset_});
}
Status BlobUpload::start() {
  HttpCall call;
  call.method = "POST";
  call.url = TRY(resolve_url(session_.base(), "blobs/uploads/"));
  call.headers = {octets};
  const HttpAnswer answer = TRY(session_.call(call, true));
  if (reaction_to(Step::start, answer.status) != Reaction::done) return session_.refusal(answer);
  chunk_bytes_min_ = number_in(answer.header("oci-chunk-min-length"));
  chunk_bytes_ = std::max(chunk_bytes_, chunk_bytes_min_);
  return keep(answer, 0);
}
Status BlobUpload::resume() {
  const auto mark = TRY(log_.load(session_.name(), blob_.digest));
  if (!mark || mark->offset == 0 || mark->offset > blob_.size) return ok();
  auto location = parse_url(mark->location);
  if (!location.ok() || !session_.check_scheme(location.value(), "its upload Location").ok())
    return ok();
  location_ = std::move(location).value();
  offset_ = mark->offset;
  return ask();
}
Status BlobUpload::ask() {
  HttpCall call;
  call.url = *location_;
  const HttpAnswer answer = TRY(session_.call(call, true));
  const std::int64_t next = reaction_to(Step::ask, answer.status) == Reaction::done
                                ? next_offset(answer.header("range"), offset_)
                                : -1;
  if (next < 0 || static_cast<std::uint64_t>(next) > blob_.size) {
    location_.reset();
    return ok();
  }
  return keep(answer, static_cast<std::uint64_t>(next));
}
HttpCall BlobUpload::with_bytes(const char* method, Url url, std::uint64_t offset,
                                std::uint64_t size) {
  HttpCall call;
  call.method = method;
  call.url = std::move(url);
  call.headers = {octets};
  call.source_bytes = size;
  call.source = [this, offset, size](std::uint64_t at, char* into, std::size_t room) {
    const std::uint64_t rest = size - at;
    return reader_.read(offset + at, into,
                        static_cast<std::size_t>(std::min<std::uint64_t>(room, rest)));
  };
  call.on_sent = [this, offset](std::uint64_t sent) { progress_(offset + sent); };
  return call;
}
bool BlobUpload::is_chunk_due() const {
  return !is_whole_ && offset_ < blob_.size && blob_.size - offset_ >= chunk_bytes_min_;
}
Status BlobUpload::send_chunks() {
  while (location_ && is_chunk_due()) {
    const Reaction reaction = TRY(send_chunk());
    if (reaction != Reaction::done) TRY(recover(reaction));
  }
  return ok();
}
Result<Reaction> BlobUpload::send_chunk() {
  const std::uint64_t size = std::min(chunk_bytes_, blob_.size - offset_);
  HttpCall call = with_bytes("PATCH", *location_, offset_, size);
  call.headers.push_back("Content-Range: " + std::to_string(offset_) + "-" +
                         std::to_string(offset_ + size - 1));
  auto answer = session_.call(call, false);
  if (!answer.ok()) {
    if (answer.error().code != Code::unavailable) return answer.error();
    trouble_ = answer.error().what;
    return Reaction::again;
  }
  const Reaction reaction = reaction_to(Step::patch, answer.value().status);
  trouble_ = session_.busy(answer.value()).what;
  if (reaction == Reaction::refused) return session_.refusal(answer.value());
  if (reaction != Reaction::done) return reaction;
  const std::string range = answer.value().header("range");
  const std::int64_t next = range.empty() ? static_cast<std::int64_t>(offset_ + size)
                                          : next_offset(range, offset_ + size);
  // It counts in a way of its own: what it has cannot be told, so nothing can be appended.
  if (next < 0 || static_cast<std::uint64_t>(next) <= offset_ ||
      static_cast<std::uint64_t>(next) > offset_ + size)
    return Reaction::whole_blob;
  setbacks_ = 0;
  TRY(keep(answer.value(), static_cast<std::uint64_t>(next)));
  return Reaction::done;
}
// Every setback counts until a chunk has arrived. Too many in a row end the call; a registry that
// is up and takes no chunk gets the blob whole before.
Status BlobUpload::recover(Reaction reaction) {
  const bool is_protocol = reaction == Reaction::ask_offset || reaction == Reaction::new_session;
  if (++setbacks_ > setbacks_max_) {
    if (is_whole_ || !is_protocol) return Error{Code::unavailable, trouble_};
    setbacks_ = 0;
    reaction = Reaction::whole_blob;
  }
  switch (reaction) {
    case Reaction::done:
    case Reaction::absent:
    case Reaction::redirect:
    case Reaction::authenticate:
    case Reaction::refused:
      return Error{Code::unavailable, trouble_};
    case Reaction::again:
      TRY(session_.wait(backoff_ms_ << (setbacks_ - 1)));
      return is_whole_ ? (location_.reset(), ok()) : ask();
    case Reaction::ask_offset:
      return is_whole_ ? (location_.reset(), ok()) : ask();
    case Reaction::new_session:
      location_.reset();
      return ok();
    case Reaction::smaller_chunks:
      if (chunk_bytes_ <= std::max(chunk_bytes_least, chunk_bytes_min_))
        return Error{Code::invalid, trouble_ + "; chunks of " + std::to_string(chunk_bytes_ >> 20) +
                                        " MiB are too large for it too"};
      chunk_bytes_ = std::max({chunk_bytes_ / 2, chunk_bytes_least, chunk_bytes_min_});
      --setbacks_;  // bounded by the halving
      return ask();
    case Reaction::whole_blob:
      is_whole_ = true;
      location_.reset();
      return log_.forget(session_.name(), blob_.digest);
  }
  return ok();
}
Result<Reaction> BlobUpload::send_rest(std::uint64_t offset) {
  Url url = TRY(parse_url(with_digest(location_->text, blob_.digest)));
  auto answer =
      session_.call(with_bytes("PUT", std::move(url), offset, blob_.size - offset), false);
  if (!answer.ok()) {
    if (answer.error().code != Code::unavailable) return answer.error();
    trouble_ = answer.error().what;
    return Reaction::again;
  }
  const Reaction reaction = reaction_to(Step::finish, answer.value().status);
  trouble_ = session_.busy(answer.value()).what;
  if (reaction == Reaction::refused) return session_.refusal(answer.value());
  return reaction;
}
}  // namespace kairo::transfer
