// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "calib/table.h"
#include "quant/selection.h"

namespace qtool {

struct ValueParams {
  QuantParams params;
  std::string reason;
};

/// The nodes to quantize where the table says of which values there are ranges.
Selection select_nodes(const PlanContext& context, const CalibrationTable& table);

/// Values that nodes tie together, and their parameters.
struct TiedParams {
  std::vector<ValueId> values;  ///< by id
  ValueParams chosen;
};

/// Parameters of all coded values. Values that nodes tie together, because codes pass through
/// unchanged, have one set: of the range that a hand wrote for any of them, otherwise of their
/// merged statistics, known ranges and constants. Where a Relu or Clip makes the value, the scale
/// is lowered by the few units in the last place that keep the grid inside of what it lets
/// through. Warnings go to `notes`.
std::vector<TiedParams> tied_params(const PlanContext& context, const Selection& selection,
                                    const CalibrationTable& table, std::vector<std::string>& notes);

/// The same by value.
std::map<ValueId, ValueParams> activation_params(const PlanContext& context,
                                                 const Selection& selection,
                                                 const CalibrationTable& table,
                                                 std::vector<std::string>& notes);

/// The values whose statistics that reads.
std::vector<ValueId> range_sources(const PlanContext& context, const Selection& selection);

/// What the Relu or Clip behind a computing node leaves unchanged; nothing where there is none.
std::optional<Range> kept_range(const PlanContext& context, const Selection& selection, NodeId id);

/// Every value that the parameters (per tensor) can represent lies in the range.
bool implies(const QuantParams& params, const Range& range);

}  // namespace qtool
