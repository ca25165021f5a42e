// agents/runtime/start_pages.h - memory that is held and not needed, given back.
#pragma once

namespace kairo::runtime {
// Unmaps the pages of this program and its libraries that are never written: code, constants,
// symbol tables. What is still needed comes back from the page cache when it is touched; what the
// start alone has read (relocations, registrations, parsers of options) is half of an agent that
// rests. Nothing that a thread can see changes. Any thread, any time; once is enough.
void let_go_of_start_pages();
// Pages of the heap on which nothing lies: after much work most of it is such pages.
void let_go_of_free_pages();
}  // namespace kairo::runtime
