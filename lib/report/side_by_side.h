// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "report/sections.h"

namespace qtool {

/// One column for the float model, two for each candidate: its value and its distance to float.
/// Without title and notes.
Section side_by_side(const ReportedModel& reference, std::span<const Candidate> candidates);

}  // namespace qtool
