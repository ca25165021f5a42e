// agents/transfer/hub.cpp - listing, redirects without the token, Range, digests.
#include "agents/transfer/hub.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <thread>

#include "agents/transfer/http.h"
#include "agents/transfer/hub_listing.h"
#include "agents/transfer/part_file.h"
#include "agents/transfer/registry_status.h"
#include "schemas/base/clock.h"
#include "schemas/base/digest.h"
#include "schemas/base/log.h"

namespace kairo::transfer {
namespace {
namespace fs = std::filesystem;
constexpr int hub_hops_max = 10;
constexpr std::size_t small_file_max = 64 << 20;  // of one that is not in LFS

bool is_hub_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}
std::string escaped(const std::string& revision) {  // its slashes are no folders
  std::string out;
  for (const char c : revision) out += c == '/' ? "%2F" : std::string(1, c);
  return out;
}
std::string whole_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

class HubFetch {  // of one model; one thread
 public:
  HubFetch(const HubOptions& options, std::int64_t& retry_after_s)
      : o_(options),
        retry_after_s_(retry_after_s),
        http_(options.ca_file, options.stop),
        what_(options.base + "/" + options.id) {}
  Result<FetchedModel> run();

 private:
  Result<HubListing> list();
  Status fetch(const HubFile& file);
  Status attempt(const HubFile& file, Sha256& hash);
  Status check(const HubFile& file, const std::string& seen) const;
  Result<HttpAnswer> follow(HttpCall call);
  Error refused(const HttpAnswer& answer, const std::string& file);
  Status wait(std::int64_t ms) const;
  std::string path(const std::string& name) const { return o_.to + "/" + name; }
  std::string part(const std::string& name) const { return path("." + name + ".part"); }
  void tell() const {
    if (o_.watch.progress) o_.watch.progress(done_, total_);
  }
  Error other_bytes(const HubFile& file, const std::string& seen) const {
    return {Code::corrupt, what_ + ": " + file.name +
                               " came with other bytes than the hub lists (" + seen.substr(0, 12) +
                               "); it is thrown away and fetched again"};
  }

  const HubOptions& o_;
  std::int64_t& retry_after_s_;
  Http http_;
  const std::string what_;
  std::string token_, commit_, linked_sha256_;
  std::uint64_t done_ = 0, total_ = 0;
  PartFile part_;
};

Status HubFetch::wait(std::int64_t ms) const {
  for (; ms > 0; ms -= 20) {
    if (o_.stop != nullptr && *o_.stop) return Error{Code::conflict, what_ + ": stopped"};
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return ok();
}

Result<HttpAnswer> HubFetch::follow(HttpCall call) {
  const Url hub = TRY(parse_url(o_.base));
  const std::vector<std::string> headers = call.headers;
  linked_sha256_.clear();
  for (int hop = 0; hop < hub_hops_max; ++hop) {
    call.headers = headers;
    call.headers.emplace_back("User-Agent: kairo");
    if (!token_.empty() && is_same_origin(call.url, hub))
      call.headers.push_back("Authorization: Bearer " + token_);
    HttpAnswer answer = TRY(http_.perform(call));
    if (const std::string commit = answer.header("x-repo-commit");
        !commit.empty() && !commit_.empty() && commit != commit_)
      return Error{Code::unavailable, what_ + ": the hub answers with commit " +
                                          commit.substr(0, 12) + ", asked for was " +
                                          commit_.substr(0, 12)};
    if (const std::string linked = unquoted(answer.header("x-linked-etag")); linked.size() == 64)
      linked_sha256_ = linked;
    if (!is_hub_redirect(answer.status)) return answer;
    Url next = TRY(resolve_url(call.url, answer.header("location")));
    if (call.url.scheme == "https" && next.scheme != "https")
      return Error{Code::invalid, what_ + ": redirected from https to " + redacted(next) +
                                      ", which is not: refused"};
    call.url = std::move(next);
  }
  return Error{Code::unavailable, what_ + ": more than 10 redirects"};
}

Error HubFetch::refused(const HttpAnswer& answer, const std::string& file) {
  if (reaction_to(Step::start, answer.status) != Reaction::again)
    return error_of({answer.status, answer.header("x-error-code"), o_.base, o_.id,
                     commit_.empty() ? o_.revision : commit_, file, !token_.empty()});
  const std::int64_t asked =
      retry_after_s(answer.header("retry-after"), SystemClock().now_ms() / 1000);
  retry_after_s_ = std::max(retry_after_s_, asked);
  return {Code::unavailable,
          what_ + ": the hub answers " + described(answer.status, "") +
              (asked > 0 ? " and asks to wait " + std::to_string(asked) + " s" : "")};
}

// With each token in turn: of several Workspaces' some may be right.
Result<HubListing> HubFetch::list() {
  std::vector<std::string> tokens = o_.tokens;
  tokens.emplace_back();
  std::optional<Error> first;
  for (const std::string& token : tokens) {
    token_ = token;
    HttpCall call;
    call.url = TRY(parse_url(o_.base + "/api/models/" + o_.id + "/revision/" +
                             escaped(o_.revision) + "?blobs=true"));
    call.body_bytes_max = hub_listing_bytes_max;
    for (int asked = 1;; ++asked) {
      const auto answer = follow(call);
      const bool is_over = answer.ok() && answer.value().status < 500;
      if (!is_over && asked < o_.tries &&
          (answer.ok() || answer.error().code == Code::unavailable)) {
        TRY(wait(o_.backoff_ms << (asked - 1)));
        continue;
      }
      if (!answer.ok()) return answer.error();
      if (answer.value().status == 200) return parse_hub_listing(answer.value().body, what_);
      const Error no = refused(answer.value(), "");
      const bool is_about_token = answer.value().status == 401 || answer.value().status == 403;
      if (!is_about_token) return no;
      if (!first) first = no;
      break;
    }
  }
  return *first;
}

Status HubFetch::attempt(const HubFile& file, Sha256& hash) {
  HttpCall call;
  call.url = TRY(parse_url(o_.base + "/" + o_.id + "/resolve/" + commit_ + "/" + file.name));
  call.body_bytes_max = 64 << 10;
  const std::uint64_t from = part_.size();
  if (from > 0) call.headers = {"Range: bytes=" + std::to_string(from) + "-"};
  std::uint64_t skip = from;  // of a server that knows no ranges
  call.on_headers = [&](const HttpAnswer& answer) -> Status {
    const std::string range = answer.header("content-range");
    if (answer.status == 206 && !range.starts_with("bytes " + std::to_string(from) + "-"))
      return Error{Code::unavailable,
                   what_ + ": another range of " + file.name + " came than was asked for"};
    return ok();
  };
  call.sink = [&](int status, std::string_view bytes) -> Status {
    if (status == 200 && skip > 0) {
      const auto past = static_cast<std::size_t>(std::min<std::uint64_t>(skip, bytes.size()));
      bytes.remove_prefix(past);
      skip -= past;
    }
    if (file.bytes > 0 && part_.size() + bytes.size() > file.bytes)
      return Error{Code::corrupt, what_ + ": " + file.name + " is longer than the hub lists"};
    TRY(part_.append(bytes));
    hash.update(bytes);
    done_ += bytes.size();
    tell();
    return ok();
  };
  const HttpAnswer answer = TRY(follow(std::move(call)));
  if (answer.status == 416 && from > 0)
    return Error{Code::corrupt, what_ + ": " + file.name + " is shorter than what is here of it"};
  if (answer.status != 200 && answer.status != 206) return refused(answer, file.name);
  if (part_.size() < file.bytes)
    return Error{Code::unavailable, what_ + ": the transfer of " + file.name + " ended early"};
  return ok();
}

Status HubFetch::check(const HubFile& file, const std::string& seen) const {
  const std::string& wanted = file.sha256.empty() ? linked_sha256_ : file.sha256;
  if (!wanted.empty()) return seen == wanted ? ok() : Status(other_bytes(file, seen));
  if (file.blob.empty() || part_.size() > small_file_max) return ok();
  const std::string blob = git_blob_id(whole_file(part(file.name)));
  return blob == file.blob ? ok() : Status(other_bytes(file, blob));
}

Status HubFetch::fetch(const HubFile& file) {
  int again = 0;
  linked_sha256_.clear();
  for (int setbacks = 0;;) {
    TRY(part_.open_at(part(file.name), file.name));
    if (file.bytes > 0 && part_.size() > file.bytes) TRY(part_.restart());
    Sha256 hash;  // of what is here too: a hash cannot be kept
    std::ifstream here(part(file.name), std::ios::binary);
    std::string block(1 << 20, '\0');
    for (std::uint64_t left = part_.size(); left > 0 && here;
         left -= static_cast<std::uint64_t>(here.gcount())) {
      here.read(block.data(),
                static_cast<std::streamsize>(std::min<std::uint64_t>(left, block.size())));
      hash.update({block.data(), static_cast<std::size_t>(here.gcount())});
    }
    const std::uint64_t had = part_.size();
    Status done = file.bytes > 0 && had == file.bytes ? ok() : attempt(file, hash);
    std::string seen;
    if (done.ok()) {
      seen = hash.hex();
      done = check(file, seen);
    }
    if (done.ok()) {
      TRY(part_.sync());
      part_.close();
      return renamed(part(file.name), path(file.name));
    }
    const Code code = done.error().code;
    if (code == Code::corrupt) {
      done_ -= std::min(done_, part_.size());
      TRY(part_.restart());
      if (++again > 1) return done;
    } else {
      if (code != Code::unavailable || retry_after_s_ > 0) return done;
      if (part_.size() > had) setbacks = 0;
      if (++setbacks >= o_.tries) return done;
      TRY(wait(o_.backoff_ms << (setbacks - 1)));
    }
    log::warn("hub: trying again", {{"why", done.error().what}});
  }
}

Result<FetchedModel> HubFetch::run() {
  TRY(check_hub_id(o_.id));
  TRY(check_hub_revision(o_.revision));
  const HubListing listing = TRY(list());
  commit_ = listing.commit;
  if (o_.watch.pinned) TRY(o_.watch.pinned(commit_));
  std::error_code error;
  for (const HubFile& file : listing.files) {
    total_ += file.bytes;
    for (const std::string& name : {path(file.name), part(file.name)}) {
      const std::uintmax_t bytes = fs::file_size(name, error);
      if (!error) done_ += bytes;
    }
  }
  done_ = std::min(done_, total_);
  tell();
  if (o_.watch.room) TRY(o_.watch.room(total_ - done_));
  FetchedModel out{commit_, {}};
  for (const HubFile& file : listing.files) {
    const std::uintmax_t bytes = fs::file_size(path(file.name), error);
    if (error || (file.bytes > 0 && bytes != file.bytes)) TRY(fetch(file));
    out.files.push_back({file.name, fs::file_size(path(file.name), error), file.sha256});
  }
  return out;
}
}  // namespace

Result<FetchedModel> fetch_from_hub(const HubOptions& options, std::int64_t& retry_after_s) {
  retry_after_s = 0;
  HubFetch fetch(options, retry_after_s);
  return fetch.run();
}
}  // namespace kairo::transfer
