// agents/gateway/form.cpp - a small automaton over a buffer that never holds more than a piece.
#include "agents/gateway/form.h"

#include <algorithm>
#include <cctype>

namespace kairo::gateway {
namespace {
constexpr std::size_t head_bytes_max = 8 << 10, boundary_max = 70;
constexpr int parts_max = 32;

std::string lowered(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}
std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}
// The value of a parameter of a header: name="value" with \" and \\ taken out, or a bare word.
bool parameter_of(std::string_view header, std::string_view name, std::string& value) {
  std::size_t at = header.find(';');
  while (at < header.size()) {
    ++at;
    const std::size_t equals = header.find('=', at);
    if (equals == std::string_view::npos) return false;
    const std::string found = lowered(trimmed(header.substr(at, equals - at)));
    at = equals + 1;
    std::string text;
    if (at < header.size() && header[at] == '"') {
      for (++at; at < header.size() && header[at] != '"'; ++at) {
        const bool is_escape = header[at] == '\\' && at + 1 < header.size() &&
                               (header[at + 1] == '"' || header[at + 1] == '\\');
        if (is_escape) ++at;
        text += header[at];
      }
      at = std::min(header.find(';', at), header.size());
    } else {
      const std::size_t end = std::min(header.find(';', at), header.size());
      text = trimmed(header.substr(at, end - at));
      at = end;
    }
    if (found == name) {
      value = std::move(text);
      return true;
    }
  }
  return false;
}
Error not_a_form(const std::string& why) {
  return {Code::invalid, "the body is not multipart/form-data as its head says: " + why};
}
}  // namespace

Result<std::string> form_boundary(std::string_view content_type) {
  const std::string type = lowered(trimmed(content_type.substr(0, content_type.find(';'))));
  if (type != "multipart/form-data")
    return Error{Code::invalid, "Content-Type is \"" + type.substr(0, 100) +
                                    "\"; a file is sent as multipart/form-data"};
  std::string boundary;
  const bool is_named = parameter_of(content_type, "boundary", boundary);
  const bool is_good =
      is_named && !boundary.empty() && boundary.size() <= boundary_max &&
      std::all_of(boundary.begin(), boundary.end(), [](char c) { return c >= ' ' && c < 0x7f; });
  if (!is_good)
    return Error{Code::invalid,
                 "Content-Type multipart/form-data names no boundary of 1 to 70 "
                 "characters"};
  return boundary;
}

FormReader::FormReader(const std::string& boundary, OnPart on_part, OnBytes on_bytes)
    : delimiter_("\r\n--" + boundary),
      on_part_(std::move(on_part)),
      on_bytes_(std::move(on_bytes)) {}

Status FormReader::begin_part(std::string_view head) {
  if (++parts_ > parts_max)
    return not_a_form("it has more than " + std::to_string(parts_max) + " parts");
  FormPart part;
  bool is_named = false;
  while (!head.empty()) {
    const std::size_t end = std::min(head.find("\r\n"), head.size());
    const std::string_view line = head.substr(0, end);
    head.remove_prefix(std::min(head.size(), end + 2));
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return not_a_form("a part's head has a line without a :");
    if (lowered(trimmed(line.substr(0, colon))) != "content-disposition") continue;
    is_named = parameter_of(line, "name", part.name);
    part.is_file = parameter_of(line, "filename", part.filename);
  }
  if (!is_named) return not_a_form("a part has no name");
  return on_part_(part);
}

// One move of the automaton; false: more bytes are needed.
Result<bool> FormReader::step() {
  switch (state_) {
    case State::preamble:
    case State::body: {
      const std::size_t found = buffer_.find(delimiter_);
      const std::size_t kept = delimiter_.size() - 1;  // it may be the begin of a delimiter
      const std::size_t sure =
          found != std::string::npos ? found : buffer_.size() - std::min(buffer_.size(), kept);
      if (state_ == State::body && sure > 0)
        TRY(on_bytes_(std::string_view(buffer_).substr(0, sure)));
      if (found == std::string::npos) {
        buffer_.erase(0, sure);
        return false;
      }
      buffer_.erase(0, found + delimiter_.size());
      state_ = State::after_boundary;
      return true;
    }
    case State::after_boundary: {
      const std::size_t end = buffer_.find_first_not_of(" \t");  // RFC 2046: blanks may follow
      if (end == std::string::npos || buffer_.size() < end + 2) {
        if (buffer_.size() > head_bytes_max) return not_a_form("a boundary's line is too long");
        return false;
      }
      if (buffer_.compare(end, 2, "--") == 0) {
        state_ = State::end;
        buffer_.clear();
        return false;
      }
      if (buffer_.compare(end, 2, "\r\n") != 0)
        return not_a_form("something else stands behind a boundary");
      buffer_.erase(0, end);  // the line end stays: a head may be empty
      state_ = State::head;
      return true;
    }
    case State::head: {
      const std::size_t end = buffer_.find("\r\n\r\n");
      if (end == std::string::npos ? buffer_.size() > head_bytes_max : end > head_bytes_max)
        return not_a_form("a part's head is longer than 8 KiB");
      if (end == std::string::npos) return false;
      const std::string head = end < 2 ? "" : buffer_.substr(2, end - 2);
      buffer_.erase(0, end + 4);
      TRY(begin_part(head));
      state_ = State::body;
      return true;
    }
    case State::end:
      return false;
  }
  return false;
}

Status FormReader::feed(std::string_view bytes) {
  constexpr std::size_t piece_max = 64 << 10;
  while (!bytes.empty() && state_ != State::end) {
    const std::string_view piece = bytes.substr(0, piece_max);
    bytes.remove_prefix(piece.size());
    buffer_.append(piece);
    while (TRY(step())) {
    }
  }
  return ok();  // what stands behind the end is nobody's
}
}  // namespace kairo::gateway
