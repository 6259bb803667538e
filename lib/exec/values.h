// SPDX-License-Identifier: Apache-2.0
// Internal to this room: where the values of a graph in compilation lie.
#pragma once

#include <set>
#include <vector>

#include "exec/program.h"

namespace qtool {

/// Each value's buffers, one for each layout in which it is held so far, and what is known of its
/// elements. Buffers, conversion steps and taps go into the program.
class Values {
 public:
  Values(const Graph& graph, const OpRegistry& ops, Session::Program& program, Facts facts,
         std::set<ValueId> kept);

  const Facts& facts() const { return facts_; }
  Facts take_facts() { return std::move(facts_); }
  const std::set<ValueId>& kept() const { return kept_; }

  /// The places that hold the value, in the order in which they were made.
  std::vector<Stored>& places(ValueId value) { return stored_[static_cast<size_t>(value)]; }

  /// The elements if known; dequantizes constant codes on demand.
  Constant known_constant(ValueId value);

  /// The layout that it has, or will have once a lazy DequantizeLinear makes it.
  Layout layout(ValueId value) const;

  /// A feed's place, from the caller's memory; checks that its type is one that can be fed.
  void add_feed(ValueId value);

  /// A place for the value in that layout, to be written by a step; its buffer.
  int add_result(ValueId value, Layout layout);

  /// A place with its known elements.
  void add_constant(ValueId value, const Constant& elements);

  /// A place that holds the value in this layout: one that there is, or the result of a conversion,
  /// which becomes a step. There is one in some layout.
  Stored in_layout(ValueId value, Layout layout);

  /// The value's latest place is shown to taps by whoever holds this list, if it is kept.
  void add_tap(ValueId value, std::vector<TapPoint>& taps);

 private:
  Stored convert(ValueId value, const Shape& shape, Layout layout);
  int add_buffer(Buffer buffer);

  const Graph& graph_;
  const OpRegistry& ops_;
  Session::Program& program_;
  Facts facts_;
  std::set<ValueId> kept_;
  std::vector<std::vector<Stored>> stored_;
};

}  // namespace qtool
