// tests/gpu/engine/cgroup_test.cpp - the tightest group on the way up counts, in both versions and
// as containers see them.
#include "gpu/engine/cgroup.h"

#include <doctest/doctest.h>

#include <vector>

#include "gpu/formats/files.h"
#include "tests/gpu/support.h"

using namespace kairo::gpu;

TEST_CASE("cgroups: memory and cores that are left") {
  struct File {
    std::string path, text;
  };
  struct Case {
    std::string name, self;
    std::vector<File> files;
    std::int64_t free_bytes;
    double cores;
  };
  const Case cases[] = {
      {"no limits", "0::/\n", {{"memory.max", "max\n"}, {"cpu.max", "max 100000\n"}}, -1, 0},
      {"a container's view",
       "0::/\n",
       {{"memory.max", "1000\n"}, {"memory.current", "700\n"}, {"cpu.max", "150000 100000\n"}},
       300,
       1.5},
      {"file cache is free",
       "0::/\n",
       {{"memory.max", "1000\n"},
        {"memory.current", "700\n"},
        {"memory.stat", "anon 100\nfile 600\ninactive_file 500\n"}},
       800,
       0},
      {"an outer group is tighter",
       "0::/a/b\n",
       {{"a/b/memory.max", "1000\n"},
        {"a/b/memory.current", "100\n"},
        {"a/memory.max", "600\n"},
        {"a/memory.current", "550\n"},
        {"a/b/cpu.max", "400000 100000\n"},
        {"a/cpu.max", "200000 100000\n"}},
       50,
       2},
      {"version 1",
       "5:memory:/p\n4:cpu,cpuacct:/p\n",
       {{"memory/p/memory.limit_in_bytes", "1000\n"},
        {"memory/p/memory.usage_in_bytes", "400\n"},
        {"memory/p/memory.stat", "inactive_file 1\ntotal_inactive_file 100\n"},
        {"memory/memory.limit_in_bytes", "9223372036854771712\n"},
        {"memory/memory.usage_in_bytes", "5000\n"},
        {"cpu/p/cpu.cfs_quota_us", "300000\n"},
        {"cpu/p/cpu.cfs_period_us", "100000\n"},
        {"cpu/cpu.cfs_quota_us", "-1\n"},
        {"cpu/cpu.cfs_period_us", "100000\n"}},
       700,
       3},
      {"version 1 in a container",
       "5:memory:/docker/1f\n",
       {{"memory/memory.limit_in_bytes", "1000\n"}, {"memory/memory.usage_in_bytes", "400\n"}},
       600,
       0},
      {"used above the limit",
       "0::/\n",
       {{"memory.max", "10\n"}, {"memory.current", "70\n"}},
       0,
       0},
      {"nonsense", "x\n::\n0::\n", {{"memory.max", "a"}, {"cpu.max", "0 0"}}, -1, 0},
  };
  for (const auto& c : cases) {
    CAPTURE(c.name);
    const test::TempFolder folder;
    for (const auto& file : c.files) {
      const std::string path = folder.path() + "/" + file.path;
      REQUIRE(make_folders(path.substr(0, path.rfind('/'))).ok());
      REQUIRE(write_file(path, file.text).ok());
    }
    const auto limits = cgroup_limits(c.self, folder.path());
    CHECK(limits.free_bytes == c.free_bytes);
    CHECK(limits.cores == c.cores);
  }
}
