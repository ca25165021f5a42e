// What this proves: a kairo makes and removes its own folder and nobody else's, and finds servers
// where Debian puts them.
#include "agents/cli/home.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "agents/cli/find_program.h"
#include "agents/cli/ready.h"
#include "tests/support/servers.h"

using namespace kairo;
using namespace kairo::cli;
namespace fs = std::filesystem;
namespace {
unsigned mode_of(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 ? info.st_mode & 0777U : 0;
}
}  // namespace

TEST_CASE("home: made, kept, removed") {
  const test::TempDir dir;
  const Home home{dir.path + "/home"};
  REQUIRE(prepare_home(home).ok());
  CHECK(mode_of(home.path) == 0700);
  const std::string token = read_secret(home, "admin.token").value();
  REQUIRE(prepare_home(home).ok());
  CHECK(read_secret(home, "admin.token").value() == token);
  std::ofstream(home / "notes.txt") << "mine";
  REQUIRE(prepare_home(home).ok());  // a kairo's home stays one
  REQUIRE(purge_home(home).ok());
  CHECK(fs::exists(home / "notes.txt"));
  CHECK_FALSE(fs::exists(home / "secrets"));
  fs::remove(home / "notes.txt");
  REQUIRE(prepare_home(home).ok());
  REQUIRE(purge_home(home).ok());
  CHECK_FALSE(fs::exists(home.path));
}
TEST_CASE("home: a folder with other things is neither used, nor closed to others, nor removed") {
  const test::TempDir dir;
  const Home home{dir.path};
  std::ofstream(home / "thesis.tex") << "mine";
  fs::create_directory(home / "state");
  chmod(home.path.c_str(), 0755);
  const Status made = prepare_home(home);
  REQUIRE_FALSE(made.ok());
  CHECK(made.error().what == home.path +
                                 " holds other things (thesis.tex) and no kairo; choose an empty "
                                 "folder or a new one with --home or KAIRO_HOME");
  CHECK(mode_of(home.path) == 0755);
  const Status purged = purge_home(home);
  REQUIRE_FALSE(purged.ok());
  CHECK(purged.error().what == home.path +
                                   " is no home of a kairo (it has no secrets/admin.token); "
                                   "nothing was removed");
  CHECK(fs::exists(home / "state"));
}
TEST_CASE("home: a relative path is made absolute once") {
  const std::string here = fs::current_path();
  CHECK(absolute({"a/../b/"}).value().path == here + "/b");
  CHECK(absolute({"/x//y"}).value().path == "/x/y");
  CHECK(absolute({""}).error().what == "--home is empty; name a folder, or leave it out");
}
TEST_CASE("programs are found in PATH, and where servers lie") {
  const test::TempDir dir;
  const std::string before = std::getenv("PATH");
  fs::create_directory(dir.path + "/folder");
  std::ofstream(dir.path + "/server") << "#!/bin/sh\n";
  std::ofstream(dir.path + "/plain") << "text\n";
  chmod((dir.path + "/server").c_str(), 0755);
  setenv("PATH", (dir.path + ":/usr/bin").c_str(), 1);
  CHECK(find_program("server") == dir.path + "/server");
  CHECK(find_program("plain").empty());
  CHECK(find_program("folder").empty());
  CHECK(find_program("no-such-program").empty());
  CHECK(find_program(dir.path + "/server") == dir.path + "/server");
  CHECK(find_program("chroot") == "/usr/sbin/chroot");  // coreutils, on every Debian
  setenv("PATH", before.c_str(), 1);
}
TEST_CASE("the last line of a log") {
  const test::TempDir dir;
  CHECK(last_line_of(dir.path + "/none").empty());
  std::ofstream(dir.path + "/log") << std::string(9000, 'x') << "\nbind: in use\n\n";
  CHECK(last_line_of(dir.path + "/log") == "bind: in use");
}
TEST_CASE("what does not start is named, with the last line of its log") {
  const test::TempDir dir;
  const Home home{dir.path + "/home"};
  REQUIRE(prepare_home(home).ok());
  const int port = free_port();
  REQUIRE(write_ports(home, {port, port, port}).ok());
  std::ofstream(home / "log/nats.log") << "[1] [FTL] no room\n";
  std::ofstream(home / "run/watcher.port") << port << "\n";
  forget_ports(home);
  CHECK_FALSE(fs::exists(home / "run/watcher.port"));
  std::atomic<bool> stop{false};
  const Context context{home, "default", stop, {}};
  const std::string logs = "; the logs are in " + (home / "log");
  CHECK(wait_until_ready(context, {{"nats", {}, home / "log/nats.log"}}, 1).error().what ==
        "kairo did not start: nats: it does not listen on port " + std::to_string(port) +
            "; its log ends with: [1] [FTL] no room" + logs);
  CHECK(wait_until_ready(context, {{"watcher", {}, home / "log/watcher.log"}}, 1).error().what ==
        "kairo did not start: watcher: not started" + logs);
  stop = true;
  CHECK(wait_until_ready(context, {{"registry", {}, ""}}, 60'000).error().what == "interrupted");
}
