// agents/cluster/http.cpp - libcurl: easy handles from a pool, one multi handle per stream.
#include "agents/cluster/http.h"

#include <curl/curl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>

#include "schemas/base/assert.h"

namespace kairo::cluster {
namespace {
constexpr std::size_t stream_bytes_max = 8 << 20;
constexpr std::size_t idle_max = 16;

void start_curl() {
  static std::once_flag once;
  std::call_once(once, [] {
    KAIRO_ASSERT(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK, "libcurl starts");
  });
}
struct Headers {  // owns the list that curl borrows
  explicit Headers(const std::vector<std::string>& lines) {
    for (const std::string& line : lines) list = curl_slist_append(list, line.c_str());
    list = curl_slist_append(list, "Expect:");  // no 100-continue round trip
  }
  ~Headers() { curl_slist_free_all(list); }
  Headers(const Headers&) = delete;
  Headers& operator=(const Headers&) = delete;
  curl_slist* list = nullptr;
};
struct Body {
  const HttpRequest* request;
  std::string bytes;
  std::uint64_t skip;
  bool is_full = false, is_skipped = false;
  std::int64_t retry_after_s = -1;
};
std::size_t on_bytes(char* data, std::size_t, std::size_t count, void* user) {
  Body& body = *static_cast<Body*>(user);
  const std::size_t skipped = static_cast<std::size_t>(std::min<std::uint64_t>(body.skip, count));
  body.skip -= skipped;
  const std::size_t room = body.request->reply_bytes_max - body.bytes.size();
  const std::size_t taken = std::min(room, count - skipped);
  body.bytes.append(data + skipped, taken);
  body.is_full = taken < count - skipped;
  return body.is_full ? 0 : count;
}
// A header's value, without blanks; false: the line is another header's.
bool is_header(std::string_view line, const std::string& name, std::string_view& value) {
  if (name.empty() || line.size() <= name.size() || line[name.size()] != ':' ||
      strncasecmp(line.data(), name.c_str(), name.size()) != 0)
    return false;
  value = line.substr(name.size() + 1);
  const auto from = value.find_first_not_of(" \t");
  value = from == std::string_view::npos ? "" : value.substr(from);
  value = value.substr(0, value.find_last_not_of(" \t\r\n") + 1);
  return true;
}
// Seconds, as API servers say it; a date is nothing.
void read_retry_after(std::string_view line, std::int64_t& out) {
  std::string_view value;
  if (!is_header(line, "Retry-After", value)) return;
  std::uint32_t seconds = 0;
  const char* end = value.data() + value.size();
  if (const auto read = std::from_chars(value.data(), end, seconds);
      read.ec == std::errc() && read.ptr == end && !value.empty())
    out = seconds;
}
std::size_t on_header(char* data, std::size_t, std::size_t count, void* user) {
  Body& body = *static_cast<Body*>(user);
  const std::string_view line(data, count);  // "HTTP/1.1 404 Not Found": an error is read whole
  std::string_view value;
  if (line.starts_with("HTTP/") && line.size() > 9 && line[9] >= '4') body.skip = 0;
  if (is_header(line, body.request->skipped_by, value)) {
    body.skip = 0;
    body.is_skipped = true;
  }
  read_retry_after(line, body.retry_after_s);
  return count;
}
// Idle for 15 s: asked every 5 s, gone after three times. Sent and not acknowledged: the same 30 s.
int on_socket(void*, curl_socket_t socket, curlsocktype) {
  const int count = 3;
  const unsigned int unacknowledged_ms = static_cast<unsigned int>(half_open_ms);
  setsockopt(socket, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
  setsockopt(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged_ms, sizeof unacknowledged_ms);
  return CURL_SOCKOPT_OK;
}
curl_blob blob_of(const std::string& text) {  // curl copies it
  return {const_cast<char*>(text.data()), text.size(), CURL_BLOB_COPY};
}
// "https://HOST:PORT" as "HOST:PORT", an IPv6 address in brackets.
std::string authority_of(const std::string& url) {
  const std::size_t from = url.find("://") + 3;
  std::string out = url.substr(from, url.find_first_of("/?", from) - from);
  const std::size_t colon = out.rfind(':');
  const bool has_port = colon != std::string::npos && out.find(']', colon) == std::string::npos;
  return has_port ? out : out + (url.starts_with("http://") ? ":80" : ":443");
}
struct Route {  // owns the list that curl borrows
  ~Route() { curl_slist_free_all(list); }
  Route() = default;
  Route(const Route&) = delete;
  Route& operator=(const Route&) = delete;
  curl_slist* list = nullptr;
};
// Who is expected at the other end, and how it is reached. A certificate for another name: the URL
// gets that name, for TLS, and the connection goes where the URL led.
void set_peer(CURL* curl, const HttpRequest& request, const HttpPeer& peer, Headers& headers,
              Route& route) {
  curl_easy_setopt(curl, CURLOPT_PROXY, peer.proxy.c_str());
  curl_easy_setopt(curl, CURLOPT_NOPROXY, "");
  const auto set_blob = [&](CURLoption option, const std::string& text) {
    curl_blob blob = blob_of(text);
    if (!text.empty()) curl_easy_setopt(curl, option, &blob);
  };
  set_blob(CURLOPT_CAINFO_BLOB, peer.ca);
  set_blob(CURLOPT_SSLCERT_BLOB, peer.cert);
  set_blob(CURLOPT_SSLKEY_BLOB, peer.key);
  if (peer.is_insecure) {
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
  }
  if (peer.server_name.empty() || !request.url.starts_with("https://")) return;
  const std::string there = authority_of(request.url);
  const std::string port = there.substr(there.rfind(':'));
  const std::string rest = request.url.substr(request.url.find_first_of("/?", 8));
  headers.list = curl_slist_append(headers.list, ("Host: " + there).c_str());
  route.list = curl_slist_append(nullptr, (peer.server_name + port + ":" + there).c_str());
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.list);
  curl_easy_setopt(curl, CURLOPT_CONNECT_TO, route.list);
  curl_easy_setopt(curl, CURLOPT_URL, ("https://" + peer.server_name + port + rest).c_str());
}
void set_common(CURL* curl, const HttpRequest& request, Headers& headers, Route& route,
                const std::string& ca_file) {
  curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.list);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, 5000L);
  curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(curl, CURLOPT_TCP_KEEPIDLE, 15L);
  curl_easy_setopt(curl, CURLOPT_TCP_KEEPINTVL, 5L);
  curl_easy_setopt(curl, CURLOPT_SOCKOPTFUNCTION, on_socket);
  if (request.is_fresh) curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, 1L);
  static const HttpPeer nobody;
  set_peer(curl, request, request.peer ? *request.peer : nobody, headers, route);
  if (!ca_file.empty() && !request.peer) curl_easy_setopt(curl, CURLOPT_CAINFO, ca_file.c_str());
  if (!request.body.empty() || request.method == "POST" || request.method == "PATCH") {
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(request.body.size()));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.c_str());
  }
}
std::string without_query(const std::string& url) {
  return url.substr(0, url.find('?'));
}
Error no_answer(const HttpRequest& request, const std::string& why) {
  return {Code::unavailable, request.method + " " + without_query(request.url) + ": " + why};
}
}  // namespace

HttpClient::HttpClient(const std::string& ca_file) : ca_file_(ca_file) {
  start_curl();
}
HttpClient::~HttpClient() {
  for (void* curl : idle_) curl_easy_cleanup(curl);
}

Result<HttpReply> HttpClient::perform(const HttpRequest& request) {
  CURL* curl = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      curl = idle_.back();
      idle_.pop_back();
    }
  }
  if (curl == nullptr) curl = curl_easy_init();
  if (curl == nullptr) return no_answer(request, "libcurl has no memory");
  Headers headers(request.headers);
  Route route;
  Body body{&request, {}, request.skip_bytes};
  set_common(curl, request, headers, route, ca_file_);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(request.timeout_ms));
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &body);
  const CURLcode done = curl_easy_perform(curl);
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  curl_easy_reset(curl);  // options only: connections stay
  {
    const std::lock_guard lock(mutex_);
    if (idle_.size() < idle_max) {
      idle_.push_back(curl);
      curl = nullptr;
    }
  }
  if (curl != nullptr) curl_easy_cleanup(curl);
  const bool is_cut = done == CURLE_WRITE_ERROR && body.is_full && !request.skipped_by.empty();
  if (done != CURLE_OK && !is_cut)
    return no_answer(request, body.is_full ? "the answer is larger than " +
                                                 std::to_string(request.reply_bytes_max) + " bytes"
                                           : curl_easy_strerror(done));
  return HttpReply{static_cast<int>(status), std::move(body.bytes), body.retry_after_s,
                   body.is_skipped};
}

struct HttpStream::Impl {
  explicit Impl(const HttpRequest& r)
      : request(r), headers(r.headers), multi(curl_multi_init()), easy(curl_easy_init()) {
    KAIRO_ASSERT(multi != nullptr && easy != nullptr, "libcurl has memory");
    set_common(easy, request, headers, route, "");
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, this);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, this);
    curl_multi_add_handle(multi, easy);
  }
  ~Impl() {
    curl_multi_remove_handle(multi, easy);
    curl_easy_cleanup(easy);
    curl_multi_cleanup(multi);
  }
  static std::size_t take(char* data, std::size_t, std::size_t count, void* user) {
    Impl& self = *static_cast<Impl*>(user);
    if (self.buffer.size() + count > stream_bytes_max) return 0;
    self.buffer.append(data, count);
    self.has_news = true;
    return count;
  }
  static std::size_t take_header(char* data, std::size_t, std::size_t count, void* user) {
    read_retry_after({data, count}, static_cast<Impl*>(user)->retry_after_s);
    return count;
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  const HttpRequest request;
  Headers headers;
  Route route;
  CURLM* multi;
  CURL* easy;
  std::string buffer;
  bool has_news = false, is_ended = false;
  std::int64_t retry_after_s = -1;
};

HttpStream::HttpStream(const HttpRequest& request) {
  start_curl();
  impl_ = std::make_unique<Impl>(request);
}
HttpStream::~HttpStream() = default;

Status HttpStream::poll(std::int64_t wait_ms) {
  Impl& s = *impl_;
  s.has_news = false;
  for (int round = 0; !s.is_ended; ++round) {
    int running = 0;
    curl_multi_perform(s.multi, &running);
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(s.multi, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      if (message->data.result != CURLE_OK)
        return no_answer(s.request, curl_easy_strerror(message->data.result));
      s.is_ended = true;
    }
    if (s.has_news || s.is_ended || wait_ms <= 0) break;
    // Connecting takes several rounds of work: each may use what is left of the time.
    timespec before{}, after{};
    clock_gettime(CLOCK_MONOTONIC, &before);
    curl_multi_poll(s.multi, nullptr, 0, static_cast<int>(std::min<std::int64_t>(wait_ms, 60'000)),
                    nullptr);
    clock_gettime(CLOCK_MONOTONIC, &after);
    wait_ms -= std::max<std::int64_t>(
        (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1'000'000,
        round > 1000 ? 1 : 0);
  }
  return ok();
}
int HttpStream::status() const {
  long status = 0;
  curl_easy_getinfo(impl_->easy, CURLINFO_RESPONSE_CODE, &status);
  return static_cast<int>(status);
}
std::int64_t HttpStream::retry_after_s() const {
  return impl_->retry_after_s;
}
bool HttpStream::is_ended() const {
  return impl_->is_ended;
}
std::string& HttpStream::buffer() {
  return impl_->buffer;
}

std::string percent_encoded(const std::string& text) {
  static const char digits[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
        c == '.' || c == '_' || c == '~') {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += digits[byte >> 4];
    out += digits[byte & 15];
  }
  return out;
}
}  // namespace kairo::cluster
