// agents/local/apiserver/local_server.h - the subset of Kubernetes' REST interface over a
// MemoryCluster.
//
// On loopback only, with bearer tokens. GET, LIST, WATCH (JSON lines, bookmarks), server-side
// apply, merge patch, PUT, POST, DELETE, /status, pod logs, discovery. A write is durable before
// it is answered (the MemoryCluster's `persist`). Bounds: bodies of 3 MiB, 256 connections at a
// time, one minute between bookmarks.
#pragma once
#include <memory>
#include <string>

#include "agents/local/apiserver/memory_cluster.h"

namespace kairo::cluster {
class LocalServer {
 public:
  // Serves from its own threads until destroyed; `cluster` must outlive it. port 0: any free one.
  // invalid: the tokens file (see rights.h). unavailable: the port is taken.
  static Result<std::unique_ptr<LocalServer>> start(MemoryCluster& cluster,
                                                    const std::string& tokens_file, int port);
  ~LocalServer();
  LocalServer(const LocalServer&) = delete;
  LocalServer& operator=(const LocalServer&) = delete;
  int port() const;

 private:
  struct Impl;
  explicit LocalServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};
}  // namespace kairo::cluster
