// agents/pusher/effects.cpp - Secret -> push -> fact.
#include "agents/pusher/effects.h"

#include <nlohmann/json.hpp>

#include "agents/cluster/kinds.h"
#include "schemas/base/base64.h"

namespace kairo::pusher {
namespace {
constexpr std::int64_t progress_every_ms = 1'000;
}

Status PusherEffects::perform(const wire::CommandT& command) {
  if (command.body.type == wire::CommandBody::PushImage) return push(command);
  if (const wire::CheckPushT* check = command.body.AsCheckPush()) {
    TRY(credentials(command.ns, check->workspace->tuning->output->image_push_secret));
    return ok();
  }
  return Error{Code::invalid, "the pusher does not perform this command"};
}

Result<std::string> PusherEffects::credentials(const std::string& ns, const std::string& secret) {
  if (secret.empty()) return std::string();
  const auto object = cluster_.get({cluster::secrets, ns, secret});
  if (!object.ok()) {
    if (object.error().code != Code::not_found) return object.error();
    return Error{Code::not_found, "Secret '" + secret +
                                      "' specified in 'output.imagePushSecret' not found in "
                                      "namespace '" +
                                      ns + "'; create it, the push goes on then"};
  }
  const auto json = nlohmann::json::parse(object.value(), nullptr, false);
  if (json.is_object() && json.contains("data"))
    for (const char* key : {".dockerconfigjson", ".dockercfg"})
      if (json["data"].contains(key) && json["data"][key].is_string())
        return base64_decode(json["data"][key].get<std::string>());
  return Error{Code::not_found, "Secret '" + secret +
                                    "' has no key .dockerconfigjson; make it with: kubectl create "
                                    "secret docker-registry " +
                                    secret};
}

void PusherEffects::tell(const wire::CommandT& command, wire::PushT push) {
  push.revision = command.revision;
  push.node = command.body.AsPushImage()->artifact->node;
  push.image = command.body.AsPushImage()->workspace->tuning->output->image;
  observe_(runtime::fact_about(command, std::move(push)));
}

Status PusherEffects::push(const wire::CommandT& command) {
  const wire::PushImageT& body = *command.body.AsPushImage();
  const wire::TuningT& tuning = *body.workspace->tuning;
  PushRequest request;
  request.reference = tuning.output->image;
  request.directory = body.artifact->path;
  request.model_name = tuning.preset;
  request.docker_config_json = TRY(credentials(command.ns, tuning.output->image_push_secret));
  std::int64_t told_ms = 0;
  const auto progress = [&](std::uint64_t done, std::uint64_t total) {
    const std::int64_t now = clock_.monotonic_ms();
    if (now - told_ms < progress_every_ms) return;
    told_ms = now;
    wire::PushT push;
    push.state = wire::PushState::Pushing;
    push.done = done;
    push.bytes = total;
    tell(command, std::move(push));
  };
  const auto done = uploader_.push(request, progress);
  if (!done.ok() && done.error().code == Code::not_found)  // of the adapter, not of the Secret
    return Error{Code::conflict, done.error().what};
  const PushResult& result = TRY(done);
  wire::PushT pushed;
  pushed.state = wire::PushState::Pushed;
  pushed.digest = result.digest;
  pushed.bytes = pushed.done = result.bytes;
  pushed.sent = result.sent;
  tell(command, std::move(pushed));
  return ok();
}
}  // namespace kairo::pusher
