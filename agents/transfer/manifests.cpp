// agents/transfer/manifests.cpp - HEAD, PUT, DELETE.
#include "agents/transfer/manifests.h"

namespace kairo::transfer {
namespace {
constexpr const char* manifest_type = "application/vnd.oci.image.manifest.v1+json";
constexpr std::size_t tag_chars_max = 128;
}  // namespace

Result<Named> look_up(RegistrySession& session, const std::string& tag_or_digest) {
  HttpCall call;
  call.method = "HEAD";
  call.url = TRY(resolve_url(session.base(), "manifests/" + tag_or_digest));
  call.headers = {std::string("Accept: ") + manifest_type};
  const HttpAnswer answer = TRY(session.call(call, true));
  if (answer.status == 200) return Named{true, answer.header("docker-content-digest")};
  if (answer.status == 404) return Named{};
  return session.refusal(answer);
}
Status put_manifest(RegistrySession& session, const Image& image,
                    const std::string& tag_or_digest) {
  HttpCall call;
  call.method = "PUT";
  call.url = TRY(resolve_url(session.base(), "manifests/" + tag_or_digest));
  call.headers = {std::string("Content-Type: ") + manifest_type};
  call.body = image.manifest;
  const HttpAnswer answer = TRY(session.call(call, true));
  if (reaction_to(Step::manifest, answer.status) != Reaction::done) return session.refusal(answer);
  return ok();
}
Status delete_manifest(RegistrySession& session, const std::string& digest) {
  HttpCall call;
  call.method = "DELETE";
  call.url = TRY(resolve_url(session.base(), "manifests/" + digest));
  const HttpAnswer answer = TRY(session.call(call, true));
  if (answer.status == 202 || answer.status == 200 || answer.status == 204 || answer.status == 404)
    return ok();
  return session.refusal(answer);
}
Reference checkpoint_of(Reference output, const std::string& uid) {
  const std::string mark = "-checkpoint-" + uid;
  const std::size_t left = mark.size() < tag_chars_max ? tag_chars_max - mark.size() : 0;
  output.tag = output.tag.substr(0, left) + mark;
  output.digest.clear();
  return output;
}
}  // namespace kairo::transfer
