// schemas/base/md5.h - MD5, for who sends one along: it proves nothing against a forger.
#pragma once
#include <memory>
#include <string>
#include <string_view>

namespace kairo {
class Md5 {  // incremental; one thread
 public:
  Md5();
  ~Md5();
  Md5(const Md5&) = delete;
  Md5& operator=(const Md5&) = delete;
  void update(std::string_view bytes);
  std::string hex();  // 32 lower-case digits; the object is spent afterwards

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};
}  // namespace kairo
