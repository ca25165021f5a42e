// gpu/tune_status_post.cpp - the only file of the trainer that knows an HTTP library.
#include "gpu/tune_status_post.h"

#include <httplib.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>

#include "gpu/formats/files.h"
#include "schemas/base/log.h"

namespace kairo::gpu {
namespace {
using nlohmann::ordered_json;
using wire::RunPhase;
constexpr const char *url_variable = "KUBEFLOW_TRAINER_SERVER_URL",
                     *ca_variable = "KUBEFLOW_TRAINER_SERVER_CA_CERT",
                     *token_variable = "KUBEFLOW_TRAINER_SERVER_TOKEN";
constexpr std::int64_t token_bytes_max = 64 << 10;
constexpr std::size_t answer_shown = 200;

std::string digits(double value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, static_cast<float>(value));
  return {text, end.ptr};
}
std::int64_t percent_of(const wire::ProgressT& line) {
  if (line.phase == RunPhase::Done) return 100;
  if (line.total_steps == 0) return 0;
  return std::min<std::int64_t>(99, std::int64_t{line.step} * 100 / line.total_steps);
}

struct Address {
  std::string host, path;  // "https://host:port", "/apis/..."
};
std::optional<Address> address_of(const std::string& url) {
  const std::string scheme = "https://";
  if (!url.starts_with(scheme)) return std::nullopt;
  const std::size_t slash = url.find('/', scheme.size());
  if (slash == scheme.size() || slash == url.npos) return std::nullopt;
  return Address{url.substr(0, slash), url.substr(slash)};
}
std::string without(std::string text, const std::string& secret) {
  for (std::size_t at; !secret.empty() && (at = text.find(secret)) != text.npos;)
    text.replace(at, secret.size(), "...");
  return text;
}
Status post_to(const Address& address, const std::string& ca_file, const std::string& token_file,
               const std::string& body) {
  std::string token = TRY(read_file(token_file, token_bytes_max));  // it is exchanged meanwhile
  while (!token.empty() && std::isspace(static_cast<unsigned char>(token.back())) != 0)
    token.pop_back();
  httplib::Client client(address.host);
  client.set_ca_cert_path(ca_file);
  client.enable_server_certificate_verification(true);
  client.set_connection_timeout(3, 0);
  client.set_read_timeout(5, 0);
  client.set_write_timeout(5, 0);
  const auto reply =
      client.Post(address.path, {{"Authorization", "Bearer " + token}}, body, "application/json");
  if (!reply) return Error{Code::unavailable, httplib::to_string(reply.error())};
  if (reply->status >= 200 && reply->status < 300) return ok();
  return Error{Code::unavailable, "it answers " + std::to_string(reply->status) + ": " +
                                      without(reply->body, token).substr(0, answer_shown)};
}
}  // namespace

std::string trainer_status_json(const wire::ProgressT& line) {
  const bool is_early = line.phase == RunPhase::Starting || line.phase == RunPhase::Loading ||
                        line.phase == RunPhase::Tokenizing;
  if (is_early) return "";
  ordered_json status = {{"progressPercentage", percent_of(line)}};
  const std::int64_t eta_ms = line.phase == RunPhase::Done ? 0 : line.eta_ms;
  if (eta_ms >= 0)
    status["estimatedRemainingSeconds"] =
        std::min<std::int64_t>((eta_ms + 999) / 1000, std::numeric_limits<std::int32_t>::max());
  ordered_json metrics = ordered_json::array();
  const auto add = [&](const char* name, double value) {
    if (std::isfinite(value)) metrics.push_back({{"name", name}, {"value", digits(value)}});
  };
  metrics.push_back({{"name", "step"}, {"value", std::to_string(line.step)}});
  add("epoch", static_cast<double>(line.epoch));
  if (line.step > line.resumed_from) {  // the first line of an attempt has no loss yet
    add("loss", static_cast<double>(line.loss));
    add("learning_rate", static_cast<double>(line.learning_rate));
    add("grad_norm", static_cast<double>(line.grad_norm));
    add("tokens_per_second", static_cast<double>(line.tokens_per_second));
  }
  if (line.eval_loss > 0) add("eval_loss", static_cast<double>(line.eval_loss));
  status["metrics"] = metrics;
  status["lastUpdatedTime"] = rfc3339(line.at_ms);
  return ordered_json({{"trainerStatus", status}}).dump();
}

StatusPost::StatusPost(Post post, std::int64_t apart_ms)
    : post_(std::move(post)), apart_ms_(apart_ms), thread_([this] { work(); }) {}
StatusPost::~StatusPost() {
  {
    const std::lock_guard lock(mutex_);
    is_over_ = true;
  }
  changed_.notify_all();
  thread_.join();
}
void StatusPost::take(const wire::ProgressT& line) {
  std::string body = trainer_status_json(line);
  if (body.empty()) return;
  {
    const std::lock_guard lock(mutex_);
    next_ = std::move(body);
  }
  changed_.notify_all();
}
void StatusPost::work() {
  for (;;) {
    std::string body;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return is_over_ || next_.has_value(); });
      if (!next_) return;
      body = std::move(*next_);
      next_.reset();
    }
    send(body);
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::milliseconds(apart_ms_), [this] { return is_over_; });
  }
}
void StatusPost::send(const std::string& body) {
  const Status done = post_(body);
  if (!done.ok() && !has_failed_)
    log::warn("the TrainJob's status is not told; the training goes on",
              {{"why", done.error().what}});
  if (done.ok() && has_failed_) log::info("the TrainJob's status is told again");
  has_failed_ = !done.ok();
}

std::unique_ptr<StatusPost> status_post_of(
    const std::function<std::string(const char* name)>& variable) {
  const std::string url = variable(url_variable), ca = variable(ca_variable),
                    token = variable(token_variable);
  if (url.empty()) return nullptr;
  const auto address = address_of(url);
  if (!address || ca.empty() || token.empty()) {
    log::warn("the TrainJob's status is not told",
              {{"why", !address ? std::string(url_variable) + " is no https:// URL with a path"
                                : std::string(ca.empty() ? ca_variable : token_variable) +
                                      " is not set; it names a file"}});
    return nullptr;
  }
  log::info("tells a TrainJob's status to", {{"url", url}});
  return std::make_unique<StatusPost>([address = *address, ca, token](const std::string& body) {
    return post_to(address, ca, token, body);
  });
}
}  // namespace kairo::gpu
