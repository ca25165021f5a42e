// agents/node/curves.h - says the curve of each run of this node on the bus, and again when it has
// grown. The file is the truth: what the bus has lost is read and said anew.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "agents/node/curve.h"
#include "agents/node/run_dirs.h"
#include "schemas/base/clock.h"
#include "schemas/base/result.h"

namespace kairo::node {
class CurveSensor {  // one thread
 public:
  // publish: unavailable is tried again with the next look.
  using Publish = std::function<Status(const std::string& subject, const std::string& bytes)>;
  CurveSensor(RunDirs& dirs, const Clock& clock, Publish publish)
      : dirs_(dirs), clock_(clock), publish_(std::move(publish)) {}
  // incarnation: of the bus; another one than before: all is said again.
  void look(const std::string& incarnation);

 private:
  struct Run {
    std::string stamp;  // of the file as it was read
    LineFeed lines;
    CurveBuilder curve;
    CurveSaid said;
    bool is_over = false;
  };
  struct Known {
    std::unique_ptr<Run> run;  // null: over and said, as the file of this stamp has it
    std::string stamp;
  };
  Status say(const RunKey& key, const Run& run);
  RunDirs& dirs_;
  const Clock& clock_;
  const Publish publish_;
  std::string incarnation_;
  std::map<std::string, Known> known_;  // by file
};
}  // namespace kairo::node
