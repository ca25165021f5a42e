// agents/cli/page_door.h - how a command reaches `kairo web`: on loopback in local mode, through
// kubectl's port-forward in a cluster.
#pragma once
#include <sys/types.h>

#include <memory>
#include <string>

#include "agents/cli/cli.h"

namespace kairo::cli {
class PageDoor {
 public:
  // unavailable: it cannot be reached. not_found: kairo, kubectl, or the Service is not there.
  static Result<std::unique_ptr<PageDoor>> open(const Context& context);
  ~PageDoor();
  PageDoor(const PageDoor&) = delete;
  PageDoor& operator=(const PageDoor&) = delete;
  const std::string& base() const { return base_; }    // "http://127.0.0.1:8471"
  const std::string& token() const { return token_; }  // never shown but in the page's address
  bool is_open() const;  // false: kubectl has ended. Ask now and then: it reads what that prints

 private:
  PageDoor() = default;
  std::string base_, token_;
  pid_t forward_ = 0;  // kubectl; 0 = local
  int words_ = -1;     // what it prints
};
}  // namespace kairo::cli
