// agents/runtime/start_pages.cpp - see start_pages.h.
#include "agents/runtime/start_pages.h"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

namespace kairo::runtime {
namespace {
// Segments that may be written hold relocated pointers, also where they are read-only by now
// (RELRO): those are in no file and stay.
int let_go(dl_phdr_info* object, std::size_t, void* page_bytes) {
  const auto page = *static_cast<const std::uintptr_t*>(page_bytes);
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = object->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
    const std::uintptr_t begin = object->dlpi_addr + segment.p_vaddr;
    const std::uintptr_t first = (begin + page - 1) / page * page;
    const std::uintptr_t end = (begin + segment.p_memsz) / page * page;
    // NOLINTNEXTLINE(performance-no-int-to-ptr): the loader gives numbers
    if (first < end) (void)madvise(reinterpret_cast<void*>(first), end - first, MADV_DONTNEED);
  }
  return 0;
}
}  // namespace

void let_go_of_start_pages() {
  auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  dl_iterate_phdr(let_go, &page);
}
void share_one_heap() {
  mallopt(M_ARENA_MAX, 1);
}
void let_go_of_free_pages() {
  malloc_trim(0);
}
}  // namespace kairo::runtime
