// agents/cli/dashboard.cpp - the page's address; in a cluster the way to it stays open meanwhile.
#include <unistd.h>

#include <chrono>
#include <iostream>
#include <thread>

#include "agents/cli/cli.h"
#include "agents/cli/find_program.h"
#include "agents/cli/page_door.h"

namespace kairo::cli {
namespace {
void open_in_browser(const std::string& address) {
  const std::string opener = isatty(STDOUT_FILENO) == 1 ? find_program("xdg-open") : "";
  if (opener.empty()) return;
  const pid_t child = fork();  // it may go on in the foreground, as a browser's first window does
  if (child != 0) return;
  setsid();
  execl(opener.c_str(), "xdg-open", address.c_str(), nullptr);
  _exit(1);
}
}  // namespace

Status dashboard(Context& context) {
  const auto door = TRY(PageDoor::open(context));
  const std::string address = door->base() + "/#token=" + door->token();
  std::cout << address << "\n" << std::flush;
  open_in_browser(address);
  if (context.is_local) return ok();
  std::cerr << "the page is at this address until Ctrl-C\n" << std::flush;
  while (!context.stop && door->is_open())
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  if (context.stop) return ok();
  return Error{Code::unavailable,
               "kubectl has ended the port-forward; run `kairo dashboard` again"};
}
}  // namespace kairo::cli
