// agents/cli/page_door.cpp - kubectl as a child that ends with us.
#include "agents/cli/page_door.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "agents/cli/find_program.h"

namespace kairo::cli {
namespace {
constexpr int reach_ms = 15'000;
constexpr std::size_t words_max = 64 << 10;
struct Child {
  pid_t pid = -1;
  int out = -1;  // what it prints, errors too
};

Child start(const std::string& program, std::vector<std::string> words) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return {};
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(1);
    const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    dup2(nothing, STDIN_FILENO);
    dup2(ends[1], STDOUT_FILENO);
    dup2(ends[1], STDERR_FILENO);
    words.insert(words.begin(), program);
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    execv(program.c_str(), arguments.data());
    _exit(127);
  }
  ::close(ends[1]);
  return {pid, ends[0]};
}
// What it prints until `is_enough` says so, it ends, or the time is over.
std::string heard(const Child& child, const std::function<bool(const std::string&)>& is_enough,
                  const std::atomic<bool>& stop) {
  constexpr int slice_ms = 100;
  std::string text;
  for (int waited = 0; waited < reach_ms && !stop && !is_enough(text);) {
    pollfd ready{child.out, POLLIN, 0};
    if (poll(&ready, 1, slice_ms) == 0) {
      waited += slice_ms;
      continue;
    }
    char block[4096];
    const ssize_t got = read(child.out, block, sizeof block);
    if (got <= 0) break;
    text.append(block, static_cast<std::size_t>(got));
    if (text.size() > words_max) break;
  }
  return text;
}
int end(pid_t pid, bool at_once) {
  if (at_once) kill(pid, SIGTERM);
  int status = 0;
  waitpid(pid, &status, 0);
  return status;
}
std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  while (text.ends_with(' ')) text.pop_back();
  return text;
}
std::vector<std::string> with_target(const Context& context, std::vector<std::string> words) {
  for (const auto& [flag, value] : {std::pair{"--kubeconfig", context.kubeconfig},
                                    std::pair{"--context", context.kube_context}})
    if (!value.empty()) words.insert(words.end(), {flag, value});
  words.insert(words.end(), {"-n", context.system_ns});
  return words;
}
// A token that lives for an hour; one of the user's own choice comes first.
Result<std::string> viewer_token(const Context& context, const std::string& kubectl) {
  const char* own = std::getenv("KAIRO_PAGE_TOKEN");  // NOLINT(concurrency-mt-unsafe): nobody sets
  if (own != nullptr && *own != '\0') return std::string(own);
  const Child asked = start(kubectl, with_target(context, {"create", "token", "kairo-viewer"}));
  const std::string said = heard(
      asked, [](const std::string&) { return false; }, context.stop);
  ::close(asked.out);
  const int status = end(asked.pid, false);
  if (status != 0)
    return Error{Code::unavailable, "kubectl create token kairo-viewer -n " + context.system_ns +
                                        ": " + one_line(said) +
                                        "; put a token that may list Workspaces into "
                                        "KAIRO_PAGE_TOKEN"};
  const std::string words = one_line(said);  // warnings come before it
  return words.substr(words.rfind(' ') + 1);
}
}  // namespace

Result<std::unique_ptr<PageDoor>> PageDoor::open(const Context& context) {
  auto door = std::unique_ptr<PageDoor>(new PageDoor());
  if (context.is_local) {
    TRY(must_run(context));
    door->base_ = "http://127.0.0.1:" + std::to_string(TRY(read_ports(context.home)).web);
    door->token_ = TRY(read_secret(context.home, "page"));
    return door;
  }
  const std::string kubectl = find_program("kubectl");
  if (kubectl.empty())
    return Error{Code::not_found,
                 "kubectl is not on PATH; it opens the way to the page's Service (a port-forward)"};
  door->token_ = TRY(viewer_token(context, kubectl));
  const Child child = start(kubectl, with_target(context, {"port-forward", "svc/kairo-web", ":80",
                                                           "--address", "127.0.0.1"}));
  door->forward_ = child.pid;
  door->words_ = child.out;
  const std::string mark = "Forwarding from 127.0.0.1:";
  const std::string said = heard(
      child,
      [&](const std::string& text) {
        return text.find(mark) != text.npos && text.find(" -> ", text.find(mark)) != text.npos;
      },
      context.stop);
  fcntl(child.out, F_SETFL, O_NONBLOCK);
  const std::size_t at = said.find(mark);
  if (at == said.npos)
    return Error{Code::unavailable,
                 "kubectl port-forward svc/kairo-web -n " + context.system_ns + ": " +
                     (said.empty() ? "no answer within 15 s" : one_line(said)) +
                     "; is the page installed (the chart's web.enabled), and in this namespace "
                     "(--kairo-namespace)?"};
  door->base_ = "http://127.0.0.1:" + std::to_string(std::atoi(said.c_str() + at + mark.size()));
  return door;
}
PageDoor::~PageDoor() {
  if (forward_ > 0) end(forward_, true);
  if (words_ >= 0) ::close(words_);
}
bool PageDoor::is_open() const {
  char block[4096];
  while (words_ >= 0 && read(words_, block, sizeof block) > 0) {  // a line for each connection
  }
  siginfo_t gone{};
  return forward_ == 0 ||
         (waitid(P_PID, static_cast<id_t>(forward_), &gone, WEXITED | WNOHANG | WNOWAIT) == 0 &&
          gone.si_pid == 0);
}
}  // namespace kairo::cli
