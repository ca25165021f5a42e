// What this proves: a run's curve has every step once, whatever was resumed, lost or torn; it stays
// small, keeps each spike, and is said again only when it is worth it.
#include "agents/node/curve.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "agents/node/curves.h"
#include "agents/node/progress.h"
#include "schemas/base/codec.h"
#include "tests/support/fake_clock.h"

namespace kairo::node {
namespace {
wire::ProgressT at(std::uint32_t step, float loss, std::uint32_t attempt = 1,
                   std::uint32_t resumed_from = 0) {
  wire::ProgressT out;
  out.phase = wire::RunPhase::Training;
  out.step = step;
  out.loss = loss;
  out.attempt = attempt;
  out.resumed_from = resumed_from;
  out.tokens = step * 100;
  out.at_ms = 1'764'000'000'000 + step;
  return out;
}
using Steps = std::vector<std::uint32_t>;

TEST_CASE("each step once: lines that come twice, evaluations, what a resume does again") {
  CurveBuilder b;
  for (std::uint32_t step = 1; step <= 6; ++step) b.take(at(step, 6 - static_cast<float>(step)));
  wire::ProgressT saving = at(6, 0);
  saving.eval_step = 6;
  saving.eval_loss = 0.5F;
  b.take(saving);
  CHECK(b.curve().last == Steps{1, 2, 3, 4, 5, 6});
  CHECK(b.curve().evals.size() == 1);
  b.take(at(0, 0, 2, 4));  // the second attempt begins at the checkpoint of step 4
  CHECK(b.curve().last == Steps{1, 2, 3, 4});
  CHECK(b.curve().evals.empty());
  b.take(at(5, 7, 2, 4));
  b.take(at(9, 9, 1));  // a late line of the first
  const auto c = b.curve();
  CHECK(c.last == Steps{1, 2, 3, 4, 5});
  CHECK(c.mean == std::vector<float>{5, 4, 3, 2, 7});
  REQUIRE(c.attempts.size() == 2);
  CHECK(c.attempts[1]->attempt == 2);
  CHECK(c.attempts[1]->from_step == 4);
}
// What a process says before it trains has no step, nor the one that it goes on from.
TEST_CASE("a resume as kairo-tune says it keeps what was before") {
  CurveBuilder b;
  for (std::uint32_t step = 1; step <= 6; ++step) b.take(at(step, 1));
  wire::ProgressT starting = at(0, 0, 2);
  starting.phase = wire::RunPhase::Starting;
  b.take(starting);
  CHECK(b.curve().last == Steps{1, 2, 3, 4, 5, 6});
  wire::ProgressT begins = at(4, 0, 2, 4);  // its first line of training: no loss yet
  begins.settings = R"({"r":8})";
  b.take(begins);
  b.take(at(5, 7, 2, 4));
  const auto c = b.curve();
  CHECK(c.last == Steps{1, 2, 3, 4, 5});
  CHECK(c.mean.back() == 7);
  CHECK(c.settings == R"({"r":8})");
  wire::ProgressT done = at(5, 7, 3);  // a third one finds that all is done
  done.phase = wire::RunPhase::Done;
  b.take(done);
  CHECK(b.curve().last == Steps{1, 2, 3, 4, 5});
}
TEST_CASE("settings are a flat object of a page at most") {
  const auto settings_of = [](const std::string& said) {
    return last_progress(R"({"phase":"Training","settings":)" + said + "}\n").value().settings;
  };
  CHECK(settings_of(R"({"r":8,"method":"lora"})") == R"({"method":"lora","r":8})");
  CHECK(settings_of(R"({"r":{"deep":1}})").empty());
  CHECK(settings_of(R"([8])").empty());
  CHECK(settings_of(R"({"long":")" + std::string(5'000, 'x') + R"("})").empty());
}
TEST_CASE("a checkpoint from elsewhere: the step that it goes on from has no loss here") {
  CurveBuilder b;
  b.take(at(400, 0, 1, 400));
  b.take(at(401, 2, 1, 400));
  CHECK(b.curve().last == Steps{401});
  CHECK(b.curve().mean == std::vector<float>{2});
}
TEST_CASE("small: neighbours become one, and their least and most stay") {
  CurveBuilder b;
  for (std::uint32_t step = 1; step <= 5; ++step) b.take(at(step, step == 3 ? 100.F : 1.F));
  const auto c = b.curve(3);
  CHECK(c.first == Steps{1, 3, 5});
  CHECK(c.last == Steps{2, 4, 5});
  CHECK(c.max == std::vector<float>{1, 100, 1});
  CHECK(c.min == std::vector<float>{1, 1, 1});
  CHECK(c.mean == std::vector<float>{1, 50.5F, 1});
  CHECK(c.tokens == std::vector<std::uint64_t>{200, 400, 500});
  CurveBuilder many(4'000);
  for (std::uint32_t step = 1; step <= 50'000; ++step) many.take(at(step, 1));
  const auto all = many.curve();
  CHECK(all.last.size() <= 1'000);
  CHECK(all.last.size() > 400);
  CHECK(all.first.front() == 1);
  CHECK(all.last.back() == 50'000);
  CHECK(encode(all, wire::CurveIdentifier()).size() < 64'000);
}
TEST_CASE("when it is worth saying again") {
  CurveBuilder b;
  const CurveSaid never;
  CHECK_FALSE(never.is_due(b, false, 1'000));
  for (std::uint32_t step = 1; step <= 1'000; ++step) b.take(at(step, 1));
  CHECK(never.is_due(b, false, 1'000));
  CHECK_FALSE(CurveSaid{1'000, 1, 1'000}.is_due(b, true, 99'000));  // nothing new
  CHECK_FALSE(CurveSaid{980, 1, 1'000}.is_due(b, false, 2'999));    // too soon
  CHECK(CurveSaid{980, 1, 1'000}.is_due(b, false, 3'000));          // 20 of 980 more
  CHECK_FALSE(CurveSaid{995, 1, 1'000}.is_due(b, false, 9'000));    // a hundredth is 9
  CHECK(CurveSaid{995, 1, 1'000}.is_due(b, true, 1'001));           // it is over
}

struct Dirs final : RunDirs {
  std::string file;
  Result<std::string> prepare(const RunKey&) override { return std::string(); }
  std::string volume(const RunKey&) override { return {}; }
  Status remove(const std::string&, const std::string&) override { return ok(); }
  Result<Adapter> adapter(const RunKey&) override { return Adapter{}; }
  Result<std::vector<RunKey>> list() override {
    return std::vector<RunKey>{{"u1", "d", "w", "r1", "p"}};
  }
  std::string progress_file(const RunKey&) override { return file; }
};
std::string line(int step, const char* phase = "Training") {
  return std::string(R"({"phase":")") + phase + R"(","step":)" + std::to_string(step) +
         R"(,"loss":1.5,"attempt":1,"at_ms":1764000000000})" + "\n";
}

TEST_CASE("the file is the truth: torn lines wait, a bus that lost all hears all again") {
  const auto folder =
      std::filesystem::temp_directory_path() / ("kairo-curve-" + std::to_string(getpid()));
  std::filesystem::create_directory(folder);
  Dirs dirs;
  dirs.file = folder / "progress.jsonl";
  test::FakeClock clock;
  std::vector<Steps> said;
  Status answer = ok();
  CurveSensor sensor(dirs, clock, [&](const std::string& subject, const std::string& bytes) {
    CHECK(subject == "kairo.curves.d.u1");
    if (answer.ok())
      said.push_back(decode<wire::CurveT>(bytes, wire::CurveIdentifier()).value().last);
    return answer;
  });
  const auto append = [&](const std::string& text) {
    std::ofstream(dirs.file, std::ios::app) << text;
    clock.advance(3'000);
  };
  sensor.look("1");
  CHECK(said.empty());  // not begun
  const std::string third = line(3);
  append(line(1) + line(2) + third.substr(0, 20));
  sensor.look("1");
  sensor.look("1");
  CHECK(said == std::vector<Steps>{{1, 2}});
  answer = Error{Code::unavailable, "bus"};
  append(third.substr(20));
  sensor.look("1");
  answer = ok();
  sensor.look("1");
  CHECK(said.back() == Steps{1, 2, 3});
  append(line(4, "Done"));
  sensor.look("1");
  CHECK(said.size() == 3);
  sensor.look("1");
  CHECK(said.size() == 3);
  sensor.look("2");  // another life of the bus
  CHECK(said.size() == 4);
  CHECK(said.back() == Steps{1, 2, 3, 4});
  std::filesystem::remove_all(folder);
}
}  // namespace
}  // namespace kairo::node
