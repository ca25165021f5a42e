// agents/cluster/credentials.h - whom one is at the API server, and whom one expects there, kept up
// to date: others replace the files, and what a plugin says expires. Private to cluster/.
#pragma once
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "agents/cluster/exec_credential.h"
#include "agents/cluster/http.h"
#include "agents/cluster/kube_config.h"
#include "schemas/base/clock.h"
#include "schemas/base/result.h"

namespace kairo::cluster {
struct Identity {
  std::string header;  // "Authorization: Bearer ...", or ""
  HttpPeer peer;
};
// Files are read again after 50 s and after a 401, a plugin is run again when what it said has
// expired and after a 401. What cannot be read stays as it was, when it was ever there. A plugin
// that failed is left in peace for 5 s.
class Credentials {  // thread-safe
 public:
  Credentials(const KubeConfig& config, const Clock& clock);  // both outlive it
  // invalid: a person must change something. unavailable: a file or a plugin may do better later.
  Result<std::shared_ptr<const Identity>> now();
  void forget(const std::shared_ptr<const Identity>& refused);

 private:
  Result<Identity> read();
  Status read_plugin(Identity& out);
  const KubeConfig& config_;
  const Clock& clock_;
  std::mutex mutex_;
  std::shared_ptr<const Identity> known_;  // all that follows: guarded by mutex_
  std::int64_t read_at_ms_ = 0;            // 0 = read now
  ExecCredential said_;                    // by the plugin
  bool must_ask_ = true;                   // it
  std::optional<Error> failed_;            // what it said last, when it failed
  std::int64_t failed_at_ms_ = 0;
};
}  // namespace kairo::cluster
