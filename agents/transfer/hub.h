// agents/transfer/hub.h - a model's files from a Hugging Face style hub into a folder.
#pragma once
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "agents/transfer/model_files.h"
#include "schemas/base/result.h"

namespace kairo::transfer {
struct HubOptions {
  std::string base;                 // "https://huggingface.co"
  std::string id;                   // "owner/name"
  std::string revision = "main";    // branch, tag or commit
  std::string to;                   // an existing folder of ours; what a fetch left is gone on with
  std::vector<std::string> tokens;  // tried in order, then none; never logged
  std::string ca_file;              // PEM; "" = the system's
  int tries = 3;                    // of one file without a new byte
  std::int64_t backoff_ms = 1'000;  // before the second try; doubles
  const std::atomic<bool>* stop = nullptr;
  ModelWatch watch;
};
// Lists the repository, pins its commit, fetches what the engine reads. A file has its name when it
// is whole and is what the listing says (LFS: SHA-256; others: git's name of their bytes).
// Redirects are followed, to a CDN too; the token goes to the hub's own origin alone. The hub is
// the operator's choice, so the addresses it names are not judged. Proxies of the environment are
// used. retry_after_s: what a 429 or 503 asked for; 0 = nothing. invalid: refused, for whom and
// what to do. corrupt: other bytes than the listing says. unavailable: network, 5xx, 429, disk.
// conflict: stopped.
Result<FetchedModel> fetch_from_hub(const HubOptions& options, std::int64_t& retry_after_s);
}  // namespace kairo::transfer
