// agents/runtime/start_pages.h - memory that is held and not needed, given back.
#pragma once

namespace kairo::runtime {
// Unmaps the pages of this program and its libraries that are never written: code, constants,
// symbol tables. What is still needed comes back from the page cache when it is touched; what the
// start alone has read (relocations, registrations, parsers of options) is half of an agent that
// rests. Nothing that a thread can see changes. Any thread, any time; once is enough.
void let_go_of_start_pages();
// All threads share one heap. glibc gives many threads heaps of their own (eight for a core), and
// what is free in one no other may use: with many Workspaces a fifth of an agent's memory. These
// threads wait for others most of the time, not for the heap. Before any of them begins.
void share_one_heap();
// Pages of the heap on which nothing lies: after much work most of it is such pages.
void let_go_of_free_pages();
}  // namespace kairo::runtime
