// tests/gpu/cuda/emulator/fiber.cpp - the switch between two stacks: registers that a call keeps.
#include "fiber.h"

#ifndef __x86_64__
#error "the emulator's fibers are written for x86-64, as gpu/kernels is"
#endif

// Saves the caller's registers on its stack, whose pointer goes to *from, and goes on at `to`.
extern "C" void emulator_switch(void** from, void* to);
asm(R"(
.text
.type emulator_switch, @function
.hidden emulator_switch
.globl emulator_switch
emulator_switch:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  ret
.size emulator_switch, .-emulator_switch
)");

namespace emulator {
namespace {
Fiber* entering = nullptr;
}

void Fiber::start(void (*body)()) {
  if (!stack_) stack_ = std::make_unique_for_overwrite<std::byte[]>(stack_bytes);
  body_ = body;
  is_over_ = false;
  // Six registers and where to return; at its first instruction a function's stack is 8 off 16.
  auto* top = reinterpret_cast<std::uintptr_t*>(stack_.get() + stack_bytes) - 3;
  *--top = reinterpret_cast<std::uintptr_t>(&Fiber::first);
  for (int i = 0; i < 6; ++i) *--top = 0;
  at_ = top;
}

#ifdef __SANITIZE_ADDRESS__
__attribute__((no_sanitize_address))
#endif
void Fiber::first() {
  Fiber* self = entering;
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(nullptr, &self->caller_stack_, &self->caller_bytes_);
#endif
  self->body_();
  self->is_over_ = true;
  self->leave();
  __builtin_unreachable();
}

void Fiber::enter() {
  entering = this;
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(&caller_fake_, stack_.get(), stack_bytes);
#endif
  emulator_switch(&caller_, at_);
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(caller_fake_, nullptr, nullptr);
#endif
}

void Fiber::leave() {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(is_over_ ? nullptr : &fake_, caller_stack_, caller_bytes_);
#endif
  emulator_switch(&at_, caller_);
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(fake_, &caller_stack_, &caller_bytes_);
#endif
}
}  // namespace emulator
