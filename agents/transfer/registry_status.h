// agents/transfer/registry_status.h - what a registry's answer asks the client to do (pure).
#pragma once
#include <cstdint>
#include <string>

namespace kairo::transfer {
enum class Step : std::uint8_t { head, start, patch, ask, finish, manifest };
enum class Reaction : std::uint8_t {
  done,
  absent,          // of a HEAD: not there yet
  redirect,        // go to Location, with the same method
  authenticate,    // 401
  refused,         // final: rights, quota, names
  again,           // transient: wait, then repeat or ask for the offset
  ask_offset,      // the offset was wrong: GET Location
  new_session,     // the upload session is gone: POST again, offset 0
  smaller_chunks,  // a body limit on the way
  whole_blob,      // the registry takes no chunks: one PUT
};
Reaction reaction_to(Step step, int status);
// "401 UNAUTHORIZED: authentication required" of an OCI error body, else "502 Bad Gateway"-like;
// never fails, at most ~300 characters, printable.
std::string described(int status, const std::string& body);
// Seconds of a Retry-After header (delta or HTTP date, `now_s` is Unix time); -1 = none.
std::int64_t retry_after_s(const std::string& header, std::int64_t now_s);
// The next offset by a Range header "0-<last>"; "0-0" also stands for nothing stored, so `known`
// decides there. -1 = not readable.
std::int64_t next_offset(const std::string& range, std::uint64_t known);
// Registries that break chunked uploads or restrict them, by host.
bool takes_chunks(const std::string& host);
}  // namespace kairo::transfer
