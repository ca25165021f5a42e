// agents/cluster/credentials.cpp - read, trim, keep.
#include "agents/cluster/credentials.h"

#include <fstream>
#include <sstream>

namespace kairo::cluster {
namespace {
constexpr std::int64_t fresh_ms = 50'000, peace_ms = 5'000;
constexpr std::size_t file_bytes_max = 1 << 20;

std::string trimmed(const std::string& text) {
  const auto from = text.find_first_not_of(" \t\r\n");
  if (from == std::string::npos) return "";
  return text.substr(from, text.find_last_not_of(" \t\r\n") - from + 1);
}
// What is in the file now, else what was there before, else `otherwise`.
Status read_file(const std::string& what, const std::string& path, const std::string& otherwise,
                 std::string& out) {
  if (path.empty()) {
    out = otherwise;
    return ok();
  }
  std::ifstream file(path, std::ios::binary);
  std::string text(file_bytes_max + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > file_bytes_max)
    return Error{Code::invalid,
                 what + " " + path + ": larger than " + std::to_string(file_bytes_max) + " bytes"};
  const bool is_there = file.is_open();
  if (std::string found = trimmed(text); !found.empty())
    out = std::move(found);
  else if (out.empty())
    out = otherwise;
  if (!out.empty()) return ok();
  return Error{Code::unavailable,
               what + " " + path + ": " + (is_there ? "is empty" : "cannot be read")};
}
}  // namespace

Credentials::Credentials(const KubeConfig& config, const Clock& clock)
    : config_(config), clock_(clock) {}

Status Credentials::read_plugin(Identity& out) {
  const bool is_over = said_.expires_ms != 0 && clock_.now_ms() >= said_.expires_ms;
  if (must_ask_ || is_over) {
    if (failed_ && clock_.monotonic_ms() - failed_at_ms_ < peace_ms) return *failed_;
    const auto printed = run_exec_plugin(*config_.exec, config_, out.peer.ca);
    auto said = printed.ok() ? parse_exec_credential(printed.value(), *config_.exec)
                             : Result<ExecCredential>(printed.error());
    failed_ = said.ok() ? std::nullopt : std::optional(said.error());
    failed_at_ms_ = clock_.monotonic_ms();
    said_ = TRY(std::move(said));
    must_ask_ = false;
  }
  if (!said_.token.empty()) out.header = "Authorization: Bearer " + said_.token;
  if (!said_.cert.empty()) out.peer.cert = said_.cert;
  if (!said_.key.empty()) out.peer.key = said_.key;
  return ok();
}

Result<Identity> Credentials::read() {
  Identity out = known_ ? *known_ : Identity{};
  HttpPeer& peer = out.peer;
  peer.server_name = config_.server_name;
  peer.proxy = config_.proxy;
  peer.is_insecure = config_.is_insecure;
  TRY(read_file("CA file", config_.ca_file, config_.ca_pem, peer.ca));
  TRY(read_file("client certificate", config_.cert_file, config_.cert_pem, peer.cert));
  TRY(read_file("client key", config_.key_file, config_.key_pem, peer.key));
  constexpr std::string_view bearer = "Authorization: Bearer ";
  std::string token = out.header.substr(std::min(out.header.size(), bearer.size()));
  TRY(read_file("token file", config_.token_file, config_.token, token));
  if (token.find_first_of("\r\n") != std::string::npos)
    return Error{Code::invalid, "token file " + config_.token_file + ": has several lines"};
  out.header = token.empty() ? "" : std::string(bearer) + token;
  if (config_.exec) TRY(read_plugin(out));
  return out;
}

Result<std::shared_ptr<const Identity>> Credentials::now() {
  const std::lock_guard lock(mutex_);
  const std::int64_t now_ms = clock_.monotonic_ms();
  const bool is_over = said_.expires_ms != 0 && clock_.now_ms() >= said_.expires_ms;
  if (known_ && read_at_ms_ != 0 && now_ms - read_at_ms_ < fresh_ms && !is_over) return known_;
  known_ = std::make_shared<const Identity>(TRY(read()));
  read_at_ms_ = now_ms;
  return known_;
}

void Credentials::forget(const std::shared_ptr<const Identity>& refused) {
  const std::lock_guard lock(mutex_);
  if (refused != known_) return;  // another thread has read a newer one
  read_at_ms_ = 0;
  must_ask_ = true;
}
}  // namespace kairo::cluster
