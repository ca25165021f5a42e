// gpu/kernels/wide.h - functions that are compiled twice: for the CPU that all need, and for
// AVX-512.
#pragma once

// Before a function without calls out of its file: the loader takes the version that the CPU can
// run. Sums in such a function differ in their last bits between the two. Not under sanitizers,
// whose instrumentation cannot run before the loader is done.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define KAIRO_WIDE __attribute__((target_clones("arch=x86-64-v4", "default")))
#else
#define KAIRO_WIDE
#endif
