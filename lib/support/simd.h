// SPDX-License-Identifier: Apache-2.0
#pragma once

/// Put before a function whose loops the compiler vectorises: it is compiled for several levels
/// of x86-64 and the best one that the CPU has is taken at load time. All give the same numbers
/// (no contraction, no reassociation). Not under sanitizers, which run after load-time resolvers.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define QTOOL_SIMD __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define QTOOL_SIMD
#endif

/// Before a loop whose iterations do not depend on each other, whatever overlaps.
#if defined(__clang__)
#define QTOOL_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define QTOOL_INDEPENDENT _Pragma("GCC ivdep")
#endif
