// agents/transfer/fetch.h - a data set's URLs into a folder (the Job's init container).
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "schemas/base/result.h"

namespace kairo::transfer {
struct FetchOptions {
  std::vector<std::string> urls;  // http or https
  std::string to;                 // folder; made when missing
  // Local mode: a URL that names localhost, 127.0.0.0/8 or [::1] itself may be on this machine, and
  // redirect there. Private and link-local addresses stay refused.
  bool allow_loopback = false;
  // The gateway of this cluster, as its operator has named it to the launcher: what has its very
  // scheme, host and port may be at a private address; a redirect from it to elsewhere may not.
  std::string gateway;
  std::uint64_t bytes_max = 20ULL << 30;    // of one file
  int tries = 3;                            // of one file; broken transfers go on where they broke
  std::int64_t backoff_ms = 2'000;          // before the second try; doubles
  std::string ca_file;                      // PEM; "" = the system's
  const std::atomic<bool>* stop = nullptr;  // becomes true to give up; may be null
  // total: 0 when the server does not say.
  std::function<void(const std::string& url, std::uint64_t done, std::uint64_t total)> progress;
};
// One file per URL, named by its last path segment ("data" when there is none; a second one of a
// name becomes name-2.ext). A file appears under its name only when it is whole; one that is there
// already from the same URL is kept. Redirects are followed, each hop's address is checked after
// the name was resolved. Proxies are not used. Messages show URLs without user and query. invalid:
// not http(s), a refused address, larger than bytes_max, empty, a final status (4xx). unavailable:
// network, 5xx, disk. conflict: stopped.
Status fetch(const FetchOptions& options);
// The names that fetch() gives, in the order of the URLs.
std::vector<std::string> file_names_of(const std::vector<std::string>& urls);
}  // namespace kairo::transfer
