// agents/gateway/rows.h - OpenAI's dialect of training rows (JSON lines), checked as OpenAI checks
// it: what is wrong is said by example and message, both from 1. Pure but for memory: one line at a
// time; one thread. The trainer's own reader (gpu/data/) takes whatever passes here.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace kairo::gateway {
enum class Dialect : std::uint8_t { none, chat, completions, preference, reinforcement };
const char* name_of(Dialect dialect);

struct RowsVerdict {
  std::int64_t rows = 0;
  Dialect dialect = Dialect::none;  // of the first row
  std::string wrong;                // the first row's that is wrong, with its reason; "" = none is
};
class RowsCheck {
 public:
  void feed(std::string_view bytes);
  RowsVerdict finish();

 private:
  void line(std::string_view text);
  RowsVerdict out_;
  std::string rest_;
  std::int64_t lines_ = 0;
};
// Whether a file with this verdict can be what `role` ("training", "validation") says of a job by
// `method` ("supervised"): the code and message of job.error, "" when it can.
struct FileFault {
  std::string code, message;
};
FileFault fault_of(const RowsVerdict& rows, const std::string& method, const std::string& role,
                   const std::string& file_id);
// What is wrong with one row; "" = nothing. dialect: which one it is of, when it is of one.
std::string wrong_row(std::string_view line, Dialect& dialect);
}  // namespace kairo::gateway
