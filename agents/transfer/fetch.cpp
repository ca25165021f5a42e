// agents/transfer/fetch.cpp - download to a part file, resume by Range, rename when whole.
#include "agents/transfer/fetch.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include "agents/transfer/http.h"
#include "agents/transfer/part_file.h"
#include "agents/transfer/reference.h"
#include "agents/transfer/registry_status.h"
#include "schemas/base/digest.h"
#include "schemas/base/log.h"

namespace kairo::transfer {
namespace {
namespace fs = std::filesystem;
constexpr int hops_max = 10;

bool is_plain(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '-' || c == '_';
}
std::string last_segment(const std::string& url) {
  const std::string path = url.substr(0, url.find_first_of("?#"));
  const std::size_t scheme = path.find("://");
  const std::size_t host = scheme == std::string::npos ? 0 : scheme + 3;
  const std::size_t slash = path.rfind('/');
  std::string name = slash == std::string::npos || slash < host ? "" : path.substr(slash + 1);
  for (char& c : name)
    if (!is_plain(c)) c = '_';
  constexpr std::size_t name_max = 120;
  if (name.size() > name_max) name = name.substr(name.size() - name_max);  // keeps the extension
  while (name.starts_with('.')) name.erase(0, 1);
  return name.empty() ? "data" : name;
}
// The side file of one URL: a digest of the URL (it may hold secrets), then the validator of the
// part file, then "whole" when the file is complete.
struct Note {
  std::string url_digest, validator;
  bool is_whole = false;
};
Note read_note(const std::string& path) {
  Note note;
  std::ifstream in(path);
  std::string whole;
  std::getline(in, note.url_digest);
  std::getline(in, note.validator);
  std::getline(in, whole);
  note.is_whole = whole == "whole";
  return note;
}
Status write_note(const std::string& path, const Note& note) {
  std::ofstream out(path + ".new", std::ios::trunc);
  out << note.url_digest << "\n"
      << note.validator << "\n"
      << (note.is_whole ? "whole" : "") << "\n";
  out.close();
  if (!out) return Error{Code::unavailable, "write " + path + ": the disk refuses"};
  return renamed(path + ".new", path);
}
std::uint64_t number_in(const std::string& text) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

class Download {  // of one URL; one thread
 public:
  Download(const FetchOptions& options, Http& http, const std::string& url, const std::string& name)
      : options_(options),
        http_(http),
        url_(url),
        file_(options.to + "/" + name),
        part_path_(options.to + "/." + name + ".part"),
        note_path_(options.to + "/." + name + ".note"),
        note_(read_note(note_path_)) {}
  Status run();

 private:
  Status attempt();
  Result<HttpAnswer> follow(HttpCall call);
  Reach reach_of(const Url& url) const;
  Status take(const HttpAnswer& answer);
  Status on_bytes(int status, std::string_view bytes);
  Error too_large(std::uint64_t bytes) const {
    return {Code::invalid, "GET " + redacted_text(url_) +
                               ": the file is larger than the limit of " +
                               std::to_string(options_.bytes_max) + " bytes (" +
                               std::to_string(bytes) + " so far)"};
  }

  const FetchOptions& options_;
  Http& http_;
  const std::string& url_;
  const std::string file_, part_path_, note_path_;
  Note note_;
  PartFile part_;
  bool is_first_piece_ = true;
};
Status Download::run() {
  const std::string own_digest = sha256_hex(url_);
  std::error_code ignored;
  const bool is_ours = note_.url_digest == own_digest;
  if (is_ours && note_.is_whole && fs::file_size(file_, ignored) > 0 && !ignored) return ok();
  if (!is_ours) fs::remove(part_path_, ignored);
  if (!is_ours || note_.is_whole) note_ = {own_digest, "", false};
  TRY(part_.open_at(part_path_, part_path_));
  std::int64_t pause_ms = options_.backoff_ms;
  for (int tried = 1;; ++tried) {
    const Status done = attempt();
    if (done.ok()) break;
    if (done.error().code != Code::unavailable) {
      fs::remove(part_path_, ignored);
      return done;
    }
    if (tried >= options_.tries) return done;
    log::warn("fetch: trying again", {{"url", redacted_text(url_)}, {"why", done.error().what}});
    for (std::int64_t waited = 0; waited < pause_ms; waited += 20) {
      if (options_.stop != nullptr && *options_.stop)
        return Error{Code::conflict, "fetch: stopped"};
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    pause_ms *= 2;
  }
  TRY(part_.sync());
  TRY(renamed(part_path_, file_));
  note_.is_whole = true;
  return write_note(note_path_, note_);
}
// Of this hop. Loopback is for who writes it: what redirects there was asked for by such a name.
Reach Download::reach_of(const Url& url) const {
  const auto first = parse_url(url_);
  if (options_.allow_loopback && first.ok() && is_loopback_host(first.value().host))
    return Reach::internet_or_loopback;
  const auto gateway = parse_url(options_.gateway);
  return gateway.ok() && is_same_origin(url, gateway.value()) ? Reach::internet_or_private
                                                              : Reach::internet;
}
Result<HttpAnswer> Download::follow(HttpCall call) {
  for (int hop = 0; hop < hops_max; ++hop) {
    call.reach = reach_of(call.url);
    HttpAnswer answer = TRY(http_.perform(call));
    const bool is_redirect = answer.status >= 301 && answer.status <= 308 && answer.status != 304 &&
                             answer.status != 305 && answer.status != 306;
    if (!is_redirect) return answer;
    call.url = TRY(resolve_url(call.url, answer.header("location")));
  }
  return Error{Code::invalid, "GET " + redacted_text(url_) + ": more than 10 redirects"};
}
Status Download::on_bytes(int status, std::string_view bytes) {
  if (is_first_piece_ && status == 200 && part_.size() > 0) TRY(part_.restart());
  is_first_piece_ = false;
  if (part_.size() + bytes.size() > options_.bytes_max)
    return too_large(part_.size() + bytes.size());
  TRY(part_.append(bytes));
  if (options_.progress) options_.progress(redacted_text(url_), part_.size(), 0);
  return ok();
}
Status Download::attempt() {
  HttpCall call;
  call.url = TRY(parse_url(url_));
  call.body_bytes_max = 64 << 10;
  if (note_.validator.empty() && part_.size() > 0) TRY(part_.restart());
  if (part_.size() > 0)
    call.headers = {"Range: bytes=" + std::to_string(part_.size()) + "-",
                    "If-Range: " + note_.validator};
  is_first_piece_ = true;
  std::string etag;
  std::uint64_t length = 0;
  call.on_headers = [&](const HttpAnswer& answer) -> Status {
    etag = answer.header("etag");
    if (etag.empty() || etag.starts_with("W/")) etag = answer.header("last-modified");
    length = number_in(answer.header("content-length"));
    if (answer.status != 200 && answer.status != 206) return ok();
    const std::uint64_t whole = length + (answer.status == 206 ? part_.size() : 0);
    if (whole > options_.bytes_max) return too_large(whole);
    const std::string expected = "bytes " + std::to_string(part_.size()) + "-";
    if (answer.status == 206 && !answer.header("content-range").starts_with(expected))
      return Error{Code::invalid, "GET " + redacted_text(url_) +
                                      ": the server answers another range than was asked for"};
    if (etag == note_.validator) return ok();
    note_.validator = etag;
    return write_note(note_path_, note_);
  };
  call.sink = [this](int status, std::string_view bytes) { return on_bytes(status, bytes); };
  const HttpAnswer answer = TRY(follow(std::move(call)));
  return take(answer);
}
Status Download::take(const HttpAnswer& answer) {
  const std::string what = "GET " + redacted_text(url_) + ": ";
  if (answer.status == 416) {  // the part does not fit the file any more
    TRY(part_.restart());
    return Error{Code::unavailable, what + described(answer.status, "")};
  }
  if (answer.status != 200 && answer.status != 206) {
    const bool is_final = reaction_to(Step::start, answer.status) != Reaction::again;
    return Error{is_final ? Code::invalid : Code::unavailable,
                 what + described(answer.status, "") +
                     (is_final ? "; check the URL, it must be readable without a login" : "")};
  }
  const bool has_bytes = !is_first_piece_ && part_.size() > 0;
  if (!has_bytes) return Error{Code::invalid, what + "the file is empty"};
  return ok();
}
}  // namespace

std::vector<std::string> file_names_of(const std::vector<std::string>& urls) {
  std::vector<std::string> out;
  std::set<std::string> taken;
  for (const std::string& url : urls) {
    const std::string first = last_segment(url);
    const std::size_t dot = first.rfind('.');
    std::string name = first;
    for (int n = 2; !taken.insert(name).second; ++n)
      name = first.substr(0, dot) + "-" + std::to_string(n) +
             (dot == std::string::npos ? "" : first.substr(dot));
    out.push_back(std::move(name));
  }
  return out;
}
Status fetch(const FetchOptions& options) {
  if (options.urls.empty()) return Error{Code::invalid, "fetch: no URL is given"};
  std::error_code error;
  fs::create_directories(options.to, error);
  if (error) return Error{Code::unavailable, "make folder " + options.to + ": " + error.message()};
  const std::vector<std::string> names = file_names_of(options.urls);
  Http http(options.ca_file, options.stop);
  for (std::size_t i = 0; i < options.urls.size(); ++i) {
    Download download(options, http, options.urls[i], names[i]);
    TRY(download.run());
  }
  return ok();
}
}  // namespace kairo::transfer
