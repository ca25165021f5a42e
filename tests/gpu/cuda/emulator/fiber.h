// tests/gpu/cuda/emulator/fiber.h - a stack of its own, entered and left by hand (x86-64).
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

namespace emulator {
class Fiber {  // does not move
 public:
  Fiber() = default;
  Fiber(const Fiber&) = delete;
  void start(void (*body)());  // enter() then runs body
  void enter();                // until it leaves or ends
  void leave();                // called within it

 private:
  static constexpr std::size_t stack_bytes = 128 << 10;
  static void first();
  std::unique_ptr<std::byte[]> stack_;
  void* at_ = nullptr;      // its stack pointer while it is left
  void* caller_ = nullptr;  // that of who entered it
  void (*body_)() = nullptr;
  bool is_over_ = false;
  // What the address sanitizer wants to know of stacks.
  void *fake_ = nullptr, *caller_fake_ = nullptr;
  const void* caller_stack_ = nullptr;
  std::size_t caller_bytes_ = 0;
};
}  // namespace emulator
