// agents/transfer/http.cpp - one libcurl easy handle, its callbacks and its limits.
#include "agents/transfer/http.h"

#include <curl/curl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>

#include "agents/transfer/address.h"
#include "schemas/base/assert.h"

namespace kairo::transfer {
namespace {
constexpr std::size_t header_bytes_max = 64 * 1024;
constexpr long connect_ms = 10'000, idle_s = 60, buffer_bytes = 1 << 20;

void start_curl() {
  static std::once_flag once;
  std::call_once(once, [] {
    KAIRO_ASSERT(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK, "libcurl starts");
  });
}
struct HeaderList {  // owns the list that curl borrows
  explicit HeaderList(const std::vector<std::string>& lines) {
    for (const std::string& line : lines) list = curl_slist_append(list, line.c_str());
    list = curl_slist_append(list, "Expect:");  // no 100-continue round trip
  }
  ~HeaderList() { curl_slist_free_all(list); }
  HeaderList(const HeaderList&) = delete;
  HeaderList& operator=(const HeaderList&) = delete;
  curl_slist* list = nullptr;
};
struct Transfer {  // what the callbacks of one request share
  const HttpCall& call;
  CURL* curl = nullptr;
  const std::atomic<bool>* stop = nullptr;
  HttpAnswer answer;
  std::size_t header_bytes = 0;
  std::uint64_t read_at = 0;
  Status failed = ok();

  bool fail(Error error) {
    failed = std::move(error);
    return false;
  }
  std::string what() const { return call.method + " " + redacted(call.url) + ": "; }
};
std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blank = " \t\r\n";
  const std::size_t first = text.find_first_not_of(blank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blank) - first + 1);
}
std::size_t on_header(char* data, std::size_t, std::size_t count, void* user) {
  Transfer& t = *static_cast<Transfer*>(user);
  t.header_bytes += count;
  if (t.header_bytes > header_bytes_max) {
    t.fail({Code::unavailable, t.what() + "more than 64 KiB of headers"});
    return 0;
  }
  const std::string_view line(data, count);
  if (line.starts_with("HTTP/")) t.answer.headers.clear();  // after a 100 or a proxy's answer
  if (trimmed(line).empty() && t.call.on_headers) {         // the end of the headers
    long status = 0;
    curl_easy_getinfo(t.curl, CURLINFO_RESPONSE_CODE, &status);
    t.answer.status = static_cast<int>(status);
    Status seen = t.call.on_headers(t.answer);
    return seen.ok() || t.fail(seen.error()) ? count : 0;
  }
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return count;
  std::string name(line.substr(0, colon));
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  t.answer.headers[name].emplace_back(trimmed(line.substr(colon + 1)));
  return count;
}
std::size_t on_bytes(char* data, std::size_t, std::size_t count, void* user) {
  Transfer& t = *static_cast<Transfer*>(user);
  long status = 0;
  curl_easy_getinfo(t.curl, CURLINFO_RESPONSE_CODE, &status);
  if (t.call.sink && (status == 200 || status == 206)) {
    Status taken = t.call.sink(static_cast<int>(status), {data, count});
    if (taken.ok()) return count;
    t.fail(taken.error());
    return 0;
  }
  if (t.answer.body.size() + count > t.call.body_bytes_max) {
    t.fail({Code::unavailable, t.what() + "the answer is larger than " +
                                   std::to_string(t.call.body_bytes_max) + " bytes"});
    return 0;
  }
  t.answer.body.append(data, count);
  return count;
}
std::size_t on_read(char* into, std::size_t, std::size_t room, void* user) {
  Transfer& t = *static_cast<Transfer*>(user);
  const std::size_t size =
      static_cast<std::size_t>(std::min<std::uint64_t>(room, t.call.source_bytes - t.read_at));
  if (size == 0) return 0;
  const auto got = t.call.source(t.read_at, into, size);
  if (!got.ok()) {
    t.fail(got.error());
    return CURL_READFUNC_ABORT;
  }
  t.read_at += got.value();
  if (t.call.on_sent) t.call.on_sent(t.read_at);
  return got.value();
}
int on_seek(void* user, curl_off_t offset, int origin) {
  if (origin != SEEK_SET) return CURL_SEEKFUNC_CANTSEEK;
  static_cast<Transfer*>(user)->read_at = static_cast<std::uint64_t>(offset);
  return CURL_SEEKFUNC_OK;
}
int on_progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  const Transfer& t = *static_cast<Transfer*>(user);
  return t.stop != nullptr && *t.stop ? 1 : 0;
}
bool is_allowed(Reach reach, const sockaddr& address) {
  switch (reach) {
    case Reach::anywhere:
      return true;
    case Reach::internet:
      return is_public_address(address);
    case Reach::internet_or_loopback:
      return is_public_address(address) || is_loopback_address(address);
    case Reach::internet_or_private:
      return is_public_address(address) || is_private_address(address);
  }
  return false;
}
curl_socket_t on_socket(void* user, curlsocktype, curl_sockaddr* address) {
  Transfer& t = *static_cast<Transfer*>(user);
  if (!is_allowed(t.call.reach, address->addr)) {
    t.fail({Code::invalid, t.what() + "the host " + t.call.url.host +
                               " has a loopback, private or link-local address, which is not "
                               "fetched from; use a public host"});
    return CURL_SOCKET_BAD;
  }
  return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}
void set_body(CURL* curl, const HttpCall& call, Transfer& t) {
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call.method.c_str());
  if (call.method == "HEAD") {
    curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
  } else if (call.source) {
    curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(call.source_bytes));
    curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(curl, CURLOPT_READDATA, &t);
    curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, on_seek);
    curl_easy_setopt(curl, CURLOPT_SEEKDATA, &t);
  } else if (call.method != "GET" && call.method != "DELETE") {
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(call.body.size()));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call.body.c_str());
  }
}
void set_limits(CURL* curl, const HttpCall& call, Transfer& t) {
  curl_easy_setopt(curl, CURLOPT_URL, call.url.text.c_str());
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, connect_ms);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, idle_s);
  curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, buffer_bytes);
  curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, 256L * 1024);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &t);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &t);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &t);
  // No proxy, ours or another machine's, is asked for what is on this one.
  std::string direct = "localhost,127.0.0.1,::1";
  for (const char* name : {"no_proxy", "NO_PROXY"})  // the option replaces what they say
    if (const char* more = std::getenv(name))        // NOLINT(concurrency-mt-unsafe): nobody sets
      direct += std::string(",") + more;
  curl_easy_setopt(curl, CURLOPT_NOPROXY, direct.c_str());
  if (call.reach == Reach::anywhere) return;
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, on_socket);
  curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, &t);
  curl_easy_setopt(curl, CURLOPT_PROXY, "");          // a proxy would hide the address
  curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, 1L);  // an open connection was not judged
}
}  // namespace

std::string HttpAnswer::header(const std::string& lower_name) const {
  const auto it = headers.find(lower_name);
  return it == headers.end() || it->second.empty() ? "" : it->second.front();
}

struct Http::Impl {
  std::string ca_file;
  const std::atomic<bool>* stop;
  CURL* curl;
};
Http::Http(std::string ca_file, const std::atomic<bool>* stop) {
  start_curl();
  impl_ = std::make_unique<Impl>(Impl{std::move(ca_file), stop, curl_easy_init()});
  KAIRO_ASSERT(impl_->curl != nullptr, "libcurl has memory for a handle");
}
Http::~Http() {
  curl_easy_cleanup(impl_->curl);
}
Result<HttpAnswer> Http::perform(const HttpCall& call) {
  CURL* curl = impl_->curl;
  curl_easy_reset(curl);  // options only: connections stay
  Transfer t{call, curl, impl_->stop, {}};
  const HeaderList headers(call.headers);
  set_limits(curl, call, t);
  set_body(curl, call, t);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.list);
  if (!impl_->ca_file.empty()) curl_easy_setopt(curl, CURLOPT_CAINFO, impl_->ca_file.c_str());
  const CURLcode done = curl_easy_perform(curl);
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  t.answer.status = static_cast<int>(status);
  t.answer.sent = call.source ? t.read_at : call.body.size();
  if (!t.failed.ok()) return t.failed.error();
  if (done == CURLE_ABORTED_BY_CALLBACK) return Error{Code::conflict, t.what() + "stopped"};
  // A server may refuse early and close while the body is still being sent: its answer counts.
  const bool is_refusal = done == CURLE_SEND_ERROR && status >= 400;
  if (done != CURLE_OK && !is_refusal)
    return Error{Code::unavailable, t.what() + curl_easy_strerror(done)};
  return std::move(t.answer);
}
}  // namespace kairo::transfer
