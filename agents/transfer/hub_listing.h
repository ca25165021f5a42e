// agents/transfer/hub_listing.h - what a Hugging Face style hub answers, read and judged. Pure.
//
// GET /api/models/<owner>/<name>/revision/<revision>?blobs=true (huggingface.co/docs/hub/api).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "schemas/base/result.h"

namespace kairo::transfer {
constexpr std::size_t hub_listing_bytes_max = 8 << 20, hub_files_max = 20'000;
struct HubFile {
  std::string name;         // at the root: no folder
  std::uint64_t bytes = 0;  // 0: the hub does not say
  std::string sha256;       // of what lies in LFS; else ""
  std::string blob;         // git's name of its bytes (of the pointer, for LFS); "" = not said
};
struct HubListing {
  std::string commit;          // 40 hexadecimal digits: the files are of this one
  std::vector<HubFile> files;  // that the engine reads
};
// `what` is named in messages. corrupt: no such answer. invalid: it has no model that the engine
// reads.
Result<HubListing> parse_hub_listing(const std::string& json, const std::string& what);
// "owner/name", or "name" of the first models; revision: a branch, tag or commit. invalid: neither.
Status check_hub_id(const std::string& id);
Status check_hub_revision(const std::string& revision);
// An ETag's text without quotes and W/.
std::string unquoted(const std::string& etag);
struct HubRefusal {
  int status = 0;
  std::string code;  // X-Error-Code: "GatedRepo", "RepoNotFound", "RevisionNotFound" ...
  std::string hub, id, revision, file;
  bool has_token = false;
};
// For the person who must act: which Secret to make, where to accept a licence.
Error error_of(const HubRefusal& refusal);
}  // namespace kairo::transfer
