// SPDX-License-Identifier: Apache-2.0
#include "quant/ranges.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "quant/widths.h"
#include "support/disjoint_sets.h"
#include "support/text.h"

namespace qtool {

namespace {

size_t at(NodeId id) { return static_cast<size_t>(id); }
size_t at(ValueId id) { return static_cast<size_t>(id); }

/// Values that share their parameters.
class Ties {
 public:
  explicit Ties(size_t count) : sets_(count) {}
  size_t root(ValueId id) { return sets_.root(at(id)); }
  void tie(ValueId a, ValueId b) { sets_.join(at(a), at(b)); }

 private:
  DisjointSets sets_;
};

/// Values with one set of parameters, and what their range comes from.
struct Class {
  std::vector<ValueId> members;     ///< by id
  std::vector<ValueId> sources;     ///< members that are not mere copies of others
  std::vector<Constant> constants;  ///< operands that are moved along with them
  std::vector<Range> kept;          ///< what the Relus and Clips that make members let through
};

bool shares(const PlanContext& context, const Selection& selection, NodeId id) {
  if (selection.moves[at(id)]) return true;
  return selection.computes[at(id)] && context.def(id)->quant.shares_params;
}

void tie_node(const PlanContext& context, const Selection& selection, NodeId id, Ties& ties) {
  const std::vector<ValueId> inputs = data_inputs(context, id);
  for (const ValueId input : inputs) ties.tie(inputs[0], input);
  if (selection.computes[at(id)]) {
    const ValueId result = result_of(context.graph, selection, id);
    if (selection.coded[at(result)]) ties.tie(inputs[0], result);
    return;
  }
  for (const ValueId output : context.graph.node(id).outputs) {
    if (output != ValueId::none) ties.tie(inputs[0], output);
  }
}

bool is_copy(const PlanContext& context, const Selection& selection, ValueId id) {
  const NodeId producer = context.graph.value(id).producer;
  return producer != NodeId::none && selection.moves[at(producer)] &&
         !adds_elements(context, producer);
}

std::map<size_t, Class> classes(const PlanContext& context, const Selection& selection) {
  Ties ties(context.graph.value_id_bound());
  const std::vector<NodeId> nodes = context.graph.nodes();
  for (const NodeId id : nodes) {
    if (shares(context, selection, id)) tie_node(context, selection, id, ties);
  }
  std::map<size_t, Class> found;
  for (const ValueId id : context.graph.values()) {
    if (!selection.coded[at(id)]) continue;
    Class& group = found[ties.root(id)];
    group.members.push_back(id);
    if (!is_copy(context, selection, id)) group.sources.push_back(id);
  }
  for (const NodeId id : nodes) {
    if (selection.moves[at(id)]) {
      Class& group = found.at(ties.root(data_inputs(context, id).at(0)));
      for (const Operand& operand : operands(context, id)) {
        if (operand.constant != nullptr) group.constants.push_back(operand.constant);
      }
    }
    if (const auto kept = kept_range(context, selection, id)) {
      const ValueId result = result_of(context.graph, selection, id);
      if (selection.coded[at(result)]) found.at(ties.root(result)).kept.push_back(*kept);
    }
  }
  return found;
}

std::optional<Range> fixed_range(const PlanContext& context, ValueId id) {
  const NodeId producer = context.graph.value(id).producer;
  if (producer == NodeId::none) return std::nullopt;
  const OpDef* def = context.def(producer);
  return def == nullptr ? std::nullopt : def->quant.fixed_output;
}

void include(std::optional<Range>& range, const Range& other) {
  range = range ? Range{std::min(range->low, other.low), std::max(range->high, other.high)} : other;
}

/// The range of one class, with the words for its reason.
class RangeOf {
 public:
  RangeOf(const PlanContext& context, const CalibrationTable& table, const QuantType& type,
          Scheme scheme, const RangeMethod& method, std::vector<std::string>& notes)
      : context_(context), table_(table), type_(type), scheme_(scheme), wished_(method),
        notes_(notes) {}

  std::pair<Range, std::string> operator()(const Class& group) {
    collect(group);
    if (by_hand_) return {*by_hand_, "written by hand"};
    std::optional<Range> range = known_;
    std::string reason = known_ ? "known from the op" : "constants";
    if (merged_.elements > 0) {
      const RangeMethod method = settled_method(merged_, type_, scheme_, wished_);
      include(range, select_range(merged_, type_, scheme_, method));
      reason = (method == wished_ ? "" : to_string(wished_) + ": ") + to_string(method);
    }
    for (const Constant& constant : group.constants)
      include(range, weight_ranges(*constant, std::nullopt)[0]);
    QTOOL_CHECK(range.has_value(),
                "\"" + context_.graph.value(group.members[0]).name + "\" has a range");
    return {*range, reason};
  }

 private:
  void collect(const Class& group) {
    for (const ValueId id : group.members) {
      const auto entry = table_.tensors.find(context_.graph.value(id).name);
      if (entry != table_.tensors.end() && entry->second.override_range) {
        include(by_hand_, *entry->second.override_range);
      }
    }
    for (const ValueId id : group.sources) {
      const auto entry = table_.tensors.find(context_.graph.value(id).name);
      const bool observed = entry != table_.tensors.end() && !entry->second.stats.empty();
      const auto fixed = fixed_range(context_, id);
      if (fixed && (context_.target.fixed_ranges || !observed)) {
        include(known_, *fixed);
      } else if (observed) {
        add(entry->second.stats, entry->first);
      }
    }
  }

  void add(TensorStats stats, const std::string& name) {
    if (const uint64_t bad = stats.nans + stats.infinities; bad > 0) {
      notes_.push_back(fmt::format(
          "\"{}\" held {} elements that were NaN or infinite; its range leaves them out", name,
          bad));
    }
    if (stats.range.low == stats.range.high) {
      notes_.push_back(stats.range == Range{} ? fmt::format("\"{}\" was zero in all samples", name)
                                              : fmt::format("\"{}\" was {} in all samples", name,
                                                            shortest(stats.range.low)));
    }
    stats.channel_axis.reset();
    stats.channel_ranges.clear();
    if (merged_.elements == 0) {
      merged_ = std::move(stats);
    } else {
      merged_.merge(stats);
    }
  }

  const PlanContext& context_;
  const CalibrationTable& table_;
  const QuantType& type_;
  Scheme scheme_;
  const RangeMethod& wished_;
  std::vector<std::string>& notes_;
  std::optional<Range> by_hand_;
  std::optional<Range> known_;
  TensorStats merged_;
};

std::optional<RangeMethod> found_method(const PlanContext& context,
                                        const std::vector<ValueId>& values) {
  for (const ValueId id : values) {
    const auto found = context.recipe.found_methods.find(context.graph.value(id).name);
    if (found != context.recipe.found_methods.end()) return found->second;
  }
  return std::nullopt;
}

bool inside(const Range& range, const Range& bounds) {
  return range.low >= bounds.low && range.high <= bounds.high;
}

/// Where the range lies in what is kept but rounding of the scale put the grid's end beyond it.
void fit(QuantParams& params, const Range& range, const Range& kept) {
  if (!inside({std::min(range.low, 0.0F), std::max(range.high, 0.0F)}, kept)) return;
  QuantParams fitted = params;
  for (int step = 0; step < 8 && !implies(fitted, kept); ++step) {
    fitted.scale[0] = std::nextafter(fitted.scale[0], 0.0F);
  }
  if (implies(fitted, kept) && fitted.scale[0] >= kMinScale) params = fitted;
}

}  // namespace

std::optional<Range> kept_range(const PlanContext& context, const Selection& selection, NodeId id) {
  const NodeId activation = selection.activation[at(id)];
  if (activation == NodeId::none) return std::nullopt;
  return context.def(activation)->quant.keeps(context.view(activation));
}

bool implies(const QuantParams& params, const Range& range) {
  return params.per_tensor() && inside(params.representable(), range);
}

Selection select_nodes(const PlanContext& context, const CalibrationTable& table) {
  return select_nodes(context, [&](ValueId id) {
    const auto entry = table.tensors.find(context.graph.value(id).name);
    return entry != table.tensors.end() &&
           (entry->second.override_range || !entry->second.stats.empty());
  });
}

std::vector<ValueId> range_sources(const PlanContext& context, const Selection& selection) {
  std::vector<ValueId> sources;
  for (const auto& [root, group] : classes(context, selection)) {
    sources.insert(sources.end(), group.sources.begin(), group.sources.end());
  }
  std::ranges::sort(sources);
  return sources;
}

std::vector<TiedParams> tied_params(const PlanContext& context, const Selection& selection,
                                    const CalibrationTable& table,
                                    std::vector<std::string>& notes) {
  std::vector<TiedParams> result;
  const Widths widths(context, selection);
  for (const auto& [root, group] : classes(context, selection)) {
    const QuantType type = widths.activation_type(group.members);
    const Wishes wishes = widths.rules().reading(group.members);
    const Scheme scheme = wishes.activation_scheme.value_or(context.target.activation_scheme);
    const auto searched = found_method(context, group.members);
    const RangeMethod wished = wishes.activation_method.value_or(
        searched.value_or(activation_method(context.recipe, type)));
    const auto [range, method] = RangeOf(context, table, type, scheme, wished, notes)(group);
    QuantParams params = choose_params(std::array{range}, type, scheme);
    if (scheme != Scheme::symmetric_power_of_two) {
      for (const Range& kept : group.kept) fit(params, range, kept);
    }
    std::string reason =
        fmt::format("[{}, {}] {}", shortest(range.low), shortest(range.high), method);
    if (searched && wished == *searched) reason += ", found by search";
    if (group.members.size() > 1)
      reason += fmt::format(", shared by {} tensors", group.members.size());
    result.push_back({group.members, {params, reason}});
  }
  return result;
}

std::map<ValueId, ValueParams> activation_params(const PlanContext& context,
                                                 const Selection& selection,
                                                 const CalibrationTable& table,
                                                 std::vector<std::string>& notes) {
  std::map<ValueId, ValueParams> result;
  for (const TiedParams& tied : tied_params(context, selection, table, notes)) {
    for (const ValueId id : tied.values) result.emplace(id, tied.chosen);
  }
  return result;
}

}  // namespace qtool
