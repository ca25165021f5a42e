// agents/web/page_files.h - the page's files, bundled when kairo is built and embedded in it.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace kairo::web {
struct PageFile {
  std::string path;  // "/page.js"
  std::string type;  // its media type
  std::string etag;  // strong: quotes and the start of its SHA-256
  std::string_view bytes;
};
// Empty where kairo was built without the page.
const std::vector<PageFile>& page_files();
}  // namespace kairo::web
