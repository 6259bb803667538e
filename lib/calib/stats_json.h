// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <initializer_list>
#include <string_view>

#include "numerics/stats.h"
#include "support/json.h"

namespace qtool {

/// JSON forms of what a calibration table holds of a tensor. For use inside of this room. All
/// readers throw Error(input) that names the key.
Json to_json(const Range& range);
Json to_json(const TensorStats& stats);
Range range_from_json(const Json& json);
TensorStats stats_from_json(const Json& json);

/// A whole number from 0 to 2^64 - 1: neither -1 nor 1.5 turn into one.
uint64_t count_member(const Json& object, std::string_view key);

/// A key that nobody reads is a typing error of whoever edited the file.
void check_keys(const Json& object, std::initializer_list<std::string_view> known);

}  // namespace qtool
