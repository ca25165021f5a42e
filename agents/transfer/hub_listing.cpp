// agents/transfer/hub_listing.cpp - JSON within limits; refusals in words.
#include "agents/transfer/hub_listing.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agents/transfer/model_files.h"
#include "agents/transfer/text.h"

namespace kairo::transfer {
namespace {
using Json = nlohmann::json;
constexpr std::uint64_t hub_file_bytes_max = 1ULL << 42;

bool is_hex(const std::string& text, std::size_t digits) {
  return text.size() == digits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}
bool is_word(std::string_view text) {
  constexpr std::size_t word_max = 96;
  return !text.empty() && text.size() <= word_max && text.front() != '.' && text.front() != '-' &&
         text.find("..") == std::string_view::npos &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '-' || c == '_';
         });
}
std::uint64_t number_at(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_number_unsigned() ? it->get<std::uint64_t>() : 0;
}
Result<HubFile> hub_file(const Json& sibling, const std::string& what) {
  HubFile out{string_at(sibling, "rfilename"), number_at(sibling, "size"), "",
              string_at(sibling, "blobId")};
  if (const auto lfs = sibling.find("lfs"); lfs != sibling.end() && lfs->is_object()) {
    out.sha256 = string_at(*lfs, "sha256");
    if (out.sha256.empty()) out.sha256 = string_at(*lfs, "oid");
    out.bytes = number_at(*lfs, "size");
    if (!is_hex(out.sha256, 64))
      return Error{Code::corrupt, what + ": the sha256 of " + out.name + " is none"};
  }
  if (!out.blob.empty() && !is_hex(out.blob, 40)) out.blob.clear();
  if (out.bytes > hub_file_bytes_max)
    return Error{Code::corrupt, what + ": " + out.name + " has more than 4 TiB"};
  return out;
}
}  // namespace

Result<HubListing> parse_hub_listing(const std::string& json, const std::string& what) {
  if (json.size() > hub_listing_bytes_max)
    return Error{Code::corrupt, what + ": its list of files has more than 8 MiB"};
  const Json answer = Json::parse(json, nullptr, false);
  const auto siblings = answer.is_object() ? answer.find("siblings") : answer.end();
  if (!answer.is_object() || siblings == answer.end() || !siblings->is_array())
    return Error{
        Code::corrupt,
        what + ": the answer is no list of files (\"siblings\"); is the hub's address right?"};
  HubListing out;
  out.commit = string_at(answer, "sha");
  if (!is_hex(out.commit, 40))
    return Error{Code::corrupt, what + ": the answer names no commit (\"sha\")"};
  if (siblings->size() > hub_files_max)
    return Error{Code::invalid, what + ": more than " + std::to_string(hub_files_max) + " files"};
  std::vector<std::string> names;
  for (const Json& sibling : *siblings) {
    if (!sibling.is_object() || !is_model_file(string_at(sibling, "rfilename"))) continue;
    HubFile file = TRY(hub_file(sibling, what));
    if (std::find(names.begin(), names.end(), file.name) != names.end())
      return Error{Code::corrupt, what + ": it lists " + file.name + " twice"};
    names.push_back(file.name);
    out.files.push_back(std::move(file));
  }
  const auto is_first_copy = [](const HubFile& file) {
    return file.name.ends_with(".safetensors") && !is_second_copy(file.name);
  };
  if (std::any_of(out.files.begin(), out.files.end(), is_first_copy))
    std::erase_if(out.files, [](const HubFile& file) { return is_second_copy(file.name); });
  TRY(check_is_whole(names, what));
  return out;
}

Status check_hub_id(const std::string& id) {
  const std::size_t slash = id.find('/');
  const bool is_id = slash == std::string::npos
                         ? is_word(id)
                         : is_word(id.substr(0, slash)) && is_word(id.substr(slash + 1));
  if (is_id) return ok();
  return Error{Code::invalid, "\"" + id.substr(0, 100) + "\" is no model of a hub: use owner/name"};
}
Status check_hub_revision(const std::string& revision) {
  bool is_revision = !revision.empty() && revision.size() <= 200;
  for (std::size_t from = 0; is_revision && from <= revision.size();) {
    const std::size_t to = std::min(revision.find('/', from), revision.size());
    is_revision = is_word(std::string_view(revision).substr(from, to - from));
    from = to + 1;
  }
  if (is_revision) return ok();
  return Error{Code::invalid, "\"" + revision.substr(0, 100) +
                                  "\" is no revision: use a branch, a tag or a commit"};
}
std::string unquoted(const std::string& etag) {
  std::string out = etag.starts_with("W/") ? etag.substr(2) : etag;
  if (out.size() >= 2 && out.front() == '"' && out.back() == '"')
    out = out.substr(1, out.size() - 2);
  return out;
}

Error error_of(const HubRefusal& r) {
  const std::string page = r.hub + "/" + r.id;
  const std::string said =
      std::to_string(r.status) + (r.code.empty() ? "" : " " + r.code.substr(0, 60));
  const std::string secret =
      "kubectl create secret generic hf-token --from-literal=HF_TOKEN=... in the Workspace's "
      "namespace, and name it in preset.presetOptions.modelAccessSecret (or set hub-token-file)";
  if (r.code == "GatedRepo" || (r.status == 403 && r.code.empty()))
    return {Code::invalid,
            r.id + " is gated (" + said + "): accept its licence at " + page +
                (r.has_token ? " with the account whose token was used; it may read no gated model "
                               "otherwise"
                             : ", then " + secret)};
  if (r.status == 401 || r.status == 403)
    return {Code::invalid,
            page + " is not there, or is private or gated (" + said + "): " +
                (r.has_token ? "check the token: it is wrong, has ended, or may not read this model"
                             : secret)};
  if (r.status == 404 && !r.file.empty())
    return {Code::invalid, page + " has no " + r.file + " at " + r.revision + " (" + said + ")"};
  if (r.status == 404)
    return {Code::invalid, page + " is not there, or has no revision " + r.revision + " (" + said +
                               "): check the model's id and the hub's address"};
  return {Code::invalid, page + ": the hub refuses (" + said + ")"};
}
}  // namespace kairo::transfer
