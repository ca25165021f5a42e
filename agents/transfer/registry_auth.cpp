// agents/transfer/registry_auth.cpp - challenges, token exchange, renewal.
#include "agents/transfer/registry_auth.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agents/transfer/registry_status.h"
#include "agents/transfer/text.h"
#include "schemas/base/base64.h"

namespace kairo::transfer {
namespace {
using Json = nlohmann::json;
constexpr std::size_t token_bytes_max = 128 * 1024;
constexpr std::int64_t life_s = 60, life_max_s = 24 * 3600;  // expires_in: default, bound

struct Cursor {  // over a header's text
  const std::string& text;
  std::size_t at = 0;
  bool is_end() const { return at >= text.size(); }
  void skip(const char* set) { at = std::min(text.find_first_not_of(set, at), text.size()); }
  std::string word() {
    const std::size_t end = std::min(text.find_first_of(" \t,=\"", at), text.size());
    std::string out = text.substr(at, end - at);
    at = end;
    return out;
  }
  std::string quoted() {  // at the opening quote
    std::string out;
    for (++at; at < text.size() && text[at] != '"'; ++at) {
      if (text[at] == '\\' && at + 1 < text.size()) ++at;
      out.push_back(text[at]);
    }
    ++at;
    return out;
  }
};
std::string encoded(const std::string& text) {  // of a query or form value
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || c == '-' || c == '.' || c == '_' || c == '~') {
      out.push_back(c);
      continue;
    }
    out.push_back('%');
    out.push_back("0123456789ABCDEF"[byte >> 4]);
    out.push_back("0123456789ABCDEF"[byte & 15]);
  }
  return out;
}
std::string basic(const Credential& c) {
  return "Basic " + base64_encode(c.username + ":" + c.password);
}
std::string value_of(const Challenge& challenge, const char* name) {
  const auto it = challenge.values.find(name);
  return it == challenge.values.end() ? "" : it->second;
}
// Token servers of before OAuth2 know only GET; containerd takes the same answers for it.
bool refuses_post(int status) {
  return status == 400 || status == 401 || status == 404 || status == 405;
}
const Challenge* find(const std::vector<Challenge>& all, const char* scheme) {
  for (const Challenge& c : all)
    if (c.scheme == scheme) return &c;
  return nullptr;
}
}  // namespace

std::vector<Challenge> parse_challenges(const std::string& header) {
  constexpr std::size_t challenges_max = 16, values_max = 32;
  std::vector<Challenge> out;
  Cursor in{header};
  for (in.skip(" \t,"); !in.is_end() && out.size() <= challenges_max; in.skip(" \t,")) {
    const std::size_t before = in.at;
    const std::string word = in.word();
    in.skip(" \t");
    if (word.empty()) {
      in.at = std::max(in.at, before + 1);  // a stray sign
      continue;
    }
    if (in.is_end() || in.text[in.at] != '=') {
      out.push_back({lower(word), {}});
      continue;
    }
    ++in.at;
    in.skip(" \t");
    const bool is_quoted = !in.is_end() && in.text[in.at] == '"';
    std::string value = is_quoted ? in.quoted() : in.word();
    if (!out.empty() && out.back().values.size() < values_max)
      out.back().values.emplace(lower(word), std::move(value));
  }
  return out;
}

Result<std::string> RegistryAuth::header() {
  if (is_token_ && renew_at_ms_ != 0 && clock_.monotonic_ms() >= renew_at_ms_)
    TRY(exchange(current_));
  return value_;
}
Result<bool> RegistryAuth::learn(const HttpAnswer& refusal) {
  if (refusal.status == 401) {
    challenges_.clear();
    if (const auto it = refusal.headers.find("www-authenticate"); it != refusal.headers.end())
      for (const std::string& line : it->second)
        for (Challenge& c : parse_challenges(line)) challenges_.push_back(std::move(c));
  }
  if (is_accepted_) {  // it worked before: only a token's age can be the reason
    if (!is_token_ || refusal.status != 401) return false;
    is_accepted_ = false;
    return exchange(current_);
  }
  if (challenges_.empty()) return false;
  if (credentials_.empty() && !tried_anonymous_token_) {
    tried_anonymous_token_ = true;
    return find(challenges_, "bearer") != nullptr ? exchange(nullptr) : Result<bool>(false);
  }
  while (next_ < credentials_.size()) {
    const bool is_ready = TRY(prepare(&credentials_[next_++]));
    if (is_ready) return true;
  }
  return false;
}
Result<bool> RegistryAuth::prepare(const Credential* credential) {
  current_ = credential;
  is_token_ = false;
  renew_at_ms_ = 0;
  if (!credential->registry_token.empty()) {
    value_ = "Bearer " + credential->registry_token;
    return true;
  }
  if (find(challenges_, "bearer") != nullptr) return exchange(credential);
  if (find(challenges_, "basic") == nullptr || credential->username.empty()) return false;
  value_ = basic(*credential);
  return true;
}
Result<bool> RegistryAuth::exchange(const Credential* credential) {
  const Challenge* bearer = find(challenges_, "bearer");
  if (bearer == nullptr) return false;
  HttpCall call;
  call.url = TRY(resolve_url(registry_, value_of(*bearer, "realm")));
  call.body_bytes_max = token_bytes_max;
  const bool is_foreign = call.url.host != registry_.host;
  if (call.url.scheme != "https" && (is_foreign || registry_.scheme == "https"))
    return Error{Code::invalid, "registry " + registry_.host + " names the token server " +
                                    redacted(call.url) + ", which is not https: refused"};
  if (is_foreign) call.reach = Reach::internet;
  const std::string service = value_of(*bearer, "service");
  current_ = credential;
  if (credential != nullptr && !credential->identity_token.empty()) {
    HttpCall post = call;
    post.method = "POST";
    post.headers = {"Content-Type: application/x-www-form-urlencoded"};
    post.body = "grant_type=refresh_token&client_id=kairo&service=" + encoded(service) +
                "&scope=" + encoded(scope_) +
                "&refresh_token=" + encoded(credential->identity_token);
    const HttpAnswer answer = TRY(http_.perform(post));
    const bool has_password = !credential->username.empty() && !credential->password.empty();
    if (!has_password || !refuses_post(answer.status)) return read_token(answer);
  }
  const char* glue = call.url.text.find('?') == std::string::npos ? "?" : "&";
  const std::string query =
      std::string(glue) + "service=" + encoded(service) + "&scope=" + encoded(scope_);
  call.url = TRY(parse_url(call.url.text + query));
  if (credential != nullptr && !credential->username.empty())
    call.headers = {"Authorization: " + basic(*credential)};
  const HttpAnswer answer = TRY(http_.perform(call));
  return read_token(answer);
}
Result<bool> RegistryAuth::read_token(const HttpAnswer& answer) {
  if (answer.status == 429 || answer.status >= 500)
    return Error{Code::unavailable, "the token server of registry " + registry_.host + " answers " +
                                        described(answer.status, answer.body)};
  if (answer.status != 200) {
    token_refusal_ = described(answer.status, answer.body);
    return false;
  }
  const Json json = Json::parse(answer.body, nullptr, false);
  const auto text = [&](const char* key) {
    return json.is_object() && json.contains(key) && json[key].is_string()
               ? json[key].get<std::string>()
               : std::string();
  };
  std::string token = text("token");
  if (token.empty()) token = text("access_token");
  if (token.empty() || token.find_first_of("\r\n") != std::string::npos) {
    token_refusal_ = "the token server's answer holds no token";
    return false;
  }
  std::int64_t seconds = life_s;
  if (json.contains("expires_in") && json["expires_in"].is_number_integer())
    seconds = std::clamp<std::int64_t>(json["expires_in"].get<std::int64_t>(), 1, life_max_s);
  value_ = "Bearer " + token;
  is_token_ = true;
  renew_at_ms_ = clock_.monotonic_ms() + seconds * 750;
  return true;
}
}  // namespace kairo::transfer
