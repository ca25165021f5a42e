// agents/node/gpu/xids.cpp - the table, and the reader of its form.
#include "agents/node/gpu/xids.h"

#include <algorithm>
#include <charconv>

namespace kairo::node {
namespace {
constexpr unsigned number_max = 9'999;
constexpr std::size_t meaning_max = 120;

constexpr const char* table = R"(
8     program  the GPU stopped: a kernel ran too long
11    program  a command of the program is not valid
13    program  an exception of a kernel: it read or wrote where nothing is
14    news     unused
25    program  an invalid method of the program
31    program  a page fault of the program's memory
32    program  a corrupted push buffer
37-38 news     the driver's firmware or a video unit
39-41 program  a copy engine's exception
43    news     the program's channel stopped; the GPU goes on
44    news     a fault of the graphics engine in a context switch
45    echo     a channel was removed after another error
46    reset    the GPU stopped processing
48    reset    a memory error of two bits, which cannot be corrected
54    reboot   the auxiliary power is not connected
60    program  a video processor's exception
62    reset    the GPU's power management unit has halted
63    news     a row of memory is to be replaced at the next reset
64    reset    a row of memory could not be replaced
66-67 news     the driver was stopped in an operation
68-72 program  an exception of a video unit or a copy engine
74    reboot   an error of an NVLink
75-77 program  an exception of a copy engine
78    reboot   the virtual GPU did not start
79    reboot   the GPU has fallen off the bus
80    program  corrupted data were sent to the GPU
81    reboot   the VGA subsystem's error
82-86 program  an exception of a video unit or a copy engine
88-89 program  an exception of a video unit
92    news     many memory errors of one bit, which were corrected
93    news     the InfoROM could not be written
94    program  a memory error that touched one program, and was contained
95    reset    a memory error that was not contained: all programs are touched
96-105 program an exception of a video unit
106-107 news   a video unit's notice
109   reset    a context switch took too long
110   reset    a security fault
119   reset    the GPU's system processor does not answer
120   reset    the GPU's system processor has failed
121   news     an error of the chip-to-chip link, which was corrected
126-135 program an exception of a video unit
136   reset    the event of an ended link
137   news     a fault of the NVLink's translation, of a program
139   program  an exception of the optical flow engine
140   reset    a memory error that no unit could recover from
141   news     a notice of the driver
143   reset    the GPU could not be initialised
144-150 reboot an error of an NVLink
151   reboot   a key's rotation failed: the virtual machine must be restarted
152-153 news   a notice of the driver
154   news     the driver has another advice by now, which is read
155-156 reset  an error of the GPU's link or memory
157   news     a notice of the driver
158   reset    the GPU's timer has failed
160-161 news   a notice of the driver
)";

struct ClassName {
  const char* name;
  XidClass kind;
};
constexpr ClassName classes[] = {{"program", XidClass::program},
                             {"news", XidClass::news},
                             {"echo", XidClass::echo},
                             {"reset", XidClass::reset},
                             {"reboot", XidClass::reboot}};

std::string_view word(std::string_view& line) {
  const std::size_t from = line.find_first_not_of(" \t\r");
  if (from == std::string_view::npos) return line = {};
  line.remove_prefix(from);
  const std::string_view out = line.substr(0, line.find_first_of(" \t\r"));
  line.remove_prefix(out.size());
  return out;
}
bool read_range(std::string_view text, unsigned& first, unsigned& last) {
  const char* end = text.data() + text.size();
  auto [rest, error] = std::from_chars(text.data(), end, first);
  last = first;
  if (error == std::errc() && rest != end && *rest == '-')
    std::tie(rest, error) = [&] {
      const auto got = std::from_chars(rest + 1, end, last);
      return std::pair(got.ptr, got.ec);
    }();
  return error == std::errc() && rest == end && first <= last && last <= number_max;
}
}  // namespace

Status amend(Xids& out, std::string_view text) {
  Xids read;
  for (unsigned number = 1; !text.empty(); ++number) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    line = line.substr(0, line.find('#'));
    const std::string_view range = word(line);
    if (range.empty()) continue;
    unsigned first = 0, last = 0;
    const std::string_view kind = word(line);
    const auto* named = std::find_if(std::begin(classes), std::end(classes),
                                     [&](const ClassName& c) { return c.name == kind; });
    const std::size_t begins = std::min(line.find_first_not_of(" \t"), line.size());
    std::string meaning(line.substr(begins, line.find_last_not_of(" \t\r") + 1 - begins));
    if (!read_range(range, first, last) || named == std::end(classes) || meaning.empty() ||
        meaning.size() > meaning_max)
      return Error{Code::invalid, "xid-table: line " + std::to_string(number) +
                                      ": write NUMBER or FIRST-LAST, then program, news, echo, "
                                      "reset or reboot, then what it means"};
    for (unsigned n = first; n <= last; ++n) read[n] = {named->kind, meaning};
  }
  read.merge(out);
  out = std::move(read);
  return ok();
}

const Xids& known_xids() {
  static const Xids known = [] {
    Xids out;
    (void)amend(out, table);
    return out;
  }();
  return known;
}
bool is_fatal(const Xids& xids, unsigned number) {
  const auto found = xids.find(number);
  return found != xids.end() &&
         (found->second.kind == XidClass::reset || found->second.kind == XidClass::reboot);
}
std::string remedy_of(XidClass kind) {
  switch (kind) {
    case XidClass::reset:
      return "drain the node and reset the GPU (nvidia-smi --gpu-reset), or restart the node";
    case XidClass::reboot:
      return "restart the node; if it comes again, have its hardware looked at";
    case XidClass::program:
    case XidClass::news:
    case XidClass::echo:
      break;
  }
  return "nothing need be done";
}
std::string words_of(const Xids& xids, unsigned number) {
  const auto found = xids.find(number);
  const XidEntry entry = found == xids.end() ? XidEntry{{}, "not in the table"} : found->second;
  return "Xid " + std::to_string(number) + " (" + entry.meaning + "): " + remedy_of(entry.kind);
}
}  // namespace kairo::node
