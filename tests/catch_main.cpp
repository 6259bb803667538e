// SPDX-License-Identifier: Apache-2.0
// Catch2 2 wants one translation unit with its main; Catch2 3 brings its own.
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
