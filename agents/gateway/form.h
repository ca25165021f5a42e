// agents/gateway/form.h - multipart/form-data (RFC 7578) as it arrives, in any order of parts and
// any cut of bytes; the bytes of a part are passed on, not kept. Pure; one thread.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "schemas/base/result.h"

namespace kairo::gateway {
struct FormPart {
  std::string name, filename;
  bool is_file = false;  // it has a filename, which may be empty
};
// The boundary that a Content-Type names. invalid: it is another type, or names none that RFC 2046
// allows.
Result<std::string> form_boundary(std::string_view content_type);

class FormReader {
 public:
  using OnPart = std::function<Status(const FormPart&)>;
  using OnBytes = std::function<Status(std::string_view)>;  // of the part that began last
  FormReader(const std::string& boundary, OnPart on_part, OnBytes on_bytes);
  // invalid: not a form, or more than 32 parts, or a part's head of more than 8 KiB; or what the
  // receivers say. After an error nothing more may be fed.
  Status feed(std::string_view bytes);
  bool is_whole() const { return state_ == State::end; }  // the closing boundary has come

 private:
  enum class State { preamble, after_boundary, head, body, end };
  Result<bool> step();
  Status begin_part(std::string_view head);
  const std::string delimiter_;  // CRLF, two dashes, boundary
  const OnPart on_part_;
  const OnBytes on_bytes_;
  State state_ = State::preamble;
  std::string buffer_ = "\r\n";  // the first boundary may stand at the very begin
  int parts_ = 0;
};
}  // namespace kairo::gateway
