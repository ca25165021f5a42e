// agents/web/no_page.cpp - in the page's place where it was not built (-DKAIRO_PAGE=OFF, or its
// packages are not there).
#include "agents/web/page_files.h"

namespace kairo::web {
const std::vector<PageFile>& page_files() {
  static const std::vector<PageFile> none;
  return none;
}
}  // namespace kairo::web
