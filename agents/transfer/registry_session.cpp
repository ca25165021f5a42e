// agents/transfer/registry_session.cpp - authorisation, redirects and patience around one request.
#include "agents/transfer/registry_session.h"

#include <algorithm>
#include <chrono>
#include <thread>

namespace kairo::transfer {
namespace {
constexpr int hops_max = 5, proofs_max = 8;

bool is_redirect(const HttpCall& request, int status) {
  if (status == 307 || status == 308) return true;
  return (status == 301 || status == 302 || status == 303) &&
         (request.method == "GET" || request.method == "HEAD");
}
std::string scheme_of(const std::string& host, const RegistryOptions& options) {
  const bool is_named = std::find(options.plain_http_hosts.begin(), options.plain_http_hosts.end(),
                                  host) != options.plain_http_hosts.end();
  return is_named || (options.allow_http_loopback && is_loopback_host(host)) ? "http" : "https";
}
}  // namespace

RegistrySession::RegistrySession(Reference reference, Access access, const RegistryOptions& options)
    : reference_(std::move(reference)),
      access_(std::move(access)),
      options_(options),
      name_(reference_.domain + "/" + reference_.repository),
      http_(options.ca_file, options.stop) {}

Status RegistrySession::open() {
  const std::string host = api_host_of(reference_);
  base_ = TRY(
      parse_url(scheme_of(host, options_) + "://" + host + "/v2/" + reference_.repository + "/"));
  auth_ = std::make_unique<RegistryAuth>(
      http_, clock_, base_, "repository:" + reference_.repository + ":" + access_.actions,
      access_.credentials);
  return ok();
}
Status RegistrySession::wait(std::int64_t ms) const {
  constexpr std::int64_t slice_ms = 20;
  for (; ms > 0; ms -= slice_ms) {
    if (options_.stop != nullptr && *options_.stop)
      return Error{Code::conflict, name_ + ": stopped"};
    std::this_thread::sleep_for(std::chrono::milliseconds(std::min(ms, slice_ms)));
  }
  return ok();
}
Status RegistrySession::check_scheme(const Url& url, const std::string& what) const {
  if (base_.scheme != "https" || url.scheme == "https") return ok();
  return Error{Code::invalid,
               name_ + ": the registry is https, " + what + " " + redacted(url) +
                   " is not: refused; its proxy must tell it (X-Forwarded-Proto: https)"};
}
Error RegistrySession::refusal(const HttpAnswer& answer) const {
  const std::string said = described(answer.status, answer.body);
  if (answer.status == 401 || answer.status == 403) {
    const std::string token = auth_->token_refusal();
    const std::string what =
        auth_->has_credentials() ? "refused the credentials for" : "wants credentials for";
    return {Code::invalid, "registry " + reference_.domain + " " + what + " repository " +
                               reference_.repository + " (" + said +
                               (token.empty() ? "" : "; its token server: " + token) + "); " +
                               access_.remedy};
  }
  return {Code::invalid, "registry " + reference_.domain + " refused repository " +
                             reference_.repository + " (" + said + ")"};
}
Error RegistrySession::busy(const HttpAnswer& answer) const {
  return {Code::unavailable, "registry " + reference_.domain + " answers " +
                                 described(answer.status, answer.body) + " for repository " +
                                 reference_.repository};
}
// A HEAD's refusal has no body: the same question by GET brings the registry's words.
HttpAnswer RegistrySession::in_words(HttpCall request, HttpAnswer answer) {
  if (request.method != "HEAD") return answer;
  request.method = "GET";
  auto spoken = http_.perform(request);
  if (!spoken.ok() || spoken.value().status != answer.status) return answer;
  return std::move(spoken).value();
}
Result<HttpAnswer> RegistrySession::authorized(const HttpCall& request) {
  for (int proof = 0; proof < proofs_max; ++proof) {
    HttpCall shown = request;
    const bool is_ours = is_same_origin(request.url, base_);
    if (is_ours) {
      const std::string value = TRY(auth_->header());
      if (!value.empty()) shown.headers.push_back("Authorization: " + value);
    } else if (request.url.host != base_.host) {
      shown.reach = Reach::internet;  // a host that the registry chose
    }
    HttpAnswer answer = TRY(http_.perform(shown));
    sent_ += answer.sent;
    if (!is_ours || (answer.status != 401 && answer.status != 403)) {
      if (is_ours && answer.status < 500) auth_->accept();
      return answer;
    }
    const bool has_more = TRY(auth_->learn(answer));
    if (!has_more) return refusal(in_words(std::move(shown), std::move(answer)));
  }
  return Error{Code::invalid,
               name_ + ": the registry keeps asking for other credentials; " + access_.remedy};
}
Result<HttpAnswer> RegistrySession::follow(HttpCall request) {
  for (int hop = 0; hop < hops_max; ++hop) {
    HttpAnswer answer = TRY(authorized(request));
    if (!is_redirect(request, answer.status)) return answer;
    Url next = TRY(resolve_url(request.url, answer.header("location")));
    if (request.url.scheme == "https" && next.scheme != "https")
      return Error{Code::invalid, name_ + ": redirected from https to " + redacted(next) +
                                      ", which is not: refused"};
    TRY(check_scheme(next, "its redirect"));
    request.url = std::move(next);
  }
  return Error{Code::unavailable, name_ + ": more than 5 redirects"};
}
Result<HttpAnswer> RegistrySession::call(const HttpCall& request, bool is_repeatable) {
  std::int64_t pause_ms = options_.backoff_ms;
  const int tries = is_repeatable ? std::max(1, options_.tries) : 1;
  for (int attempt = 1;; ++attempt) {
    auto answer = follow(request);
    const bool is_broken = !answer.ok() && answer.error().code == Code::unavailable;
    const bool is_busy =
        answer.ok() && reaction_to(Step::head, answer.value().status) == Reaction::again;
    if (!is_broken && !is_busy) return answer;
    std::int64_t wait_ms = pause_ms;
    if (is_busy) {
      const std::int64_t asked_s =
          retry_after_s(answer.value().header("retry-after"), clock_.now_ms() / 1000);
      wait_ms = std::max(wait_ms, asked_s * 1000);
      if (wait_ms > options_.wait_max_ms || (is_repeatable && attempt >= tries))
        return busy(answer.value());
    }
    if (attempt >= tries) return answer;
    TRY(wait(wait_ms));
    pause_ms *= 2;
  }
}
}  // namespace kairo::transfer
