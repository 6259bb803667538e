// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "tensor/tensor.h"

namespace qtool {

/// Ids are indices: stable for the life of a graph, never reused, and preserved by copying, so
/// that a graph and its edited copy agree on every value that both still have.
enum class ValueId : uint32_t { none = UINT32_MAX };
enum class NodeId : uint32_t { none = UINT32_MAX };

/// One extent: known, named ("N") or neither.
struct Dim {
  std::optional<int64_t> value;
  std::string symbol;
  friend bool operator==(const Dim&, const Dim&) = default;
};

/// What is known of a value. No shape means unknown rank; undefined dtype means unknown.
struct TensorType {
  DType dtype = DType::undefined;
  std::optional<std::vector<Dim>> shape;

  TensorType() = default;
  TensorType(DType type, std::optional<std::vector<Dim>> dims)
      : dtype(type), shape(std::move(dims)) {}
  TensorType(DType type, const Shape& concrete);

  /// The shape if every extent is known.
  std::optional<Shape> concrete_shape() const;
  friend bool operator==(const TensorType&, const TensorType&) = default;
};

/// "float[N,3,32,32]", "int64[?]", "float[...]" for an unknown rank.
std::string to_string(const TensorType& type);

struct OpKey {
  std::string domain;  ///< "" is ai.onnx
  std::string type;
  friend auto operator<=>(const OpKey&, const OpKey&) = default;
};

/// "Conv", "com.microsoft.MatMulNBits".
std::string to_string(const OpKey& key);

class Graph;

/// A tensor as an attribute; `name` and `residue` are what the file had beside the elements.
struct TensorAttribute {
  Constant tensor;
  std::string name;
  std::string residue;
};

/// An attribute the IR has no form for (sparse tensors, type protos, references in function
/// bodies): kept as onnx_io wrote it.
struct OpaqueAttribute {
  std::string bytes;
};

using SubgraphPtr = std::shared_ptr<const Graph>;
using Attribute =
    std::variant<int64_t, float, std::string, std::vector<int64_t>, std::vector<float>,
                 std::vector<std::string>, TensorAttribute, std::vector<TensorAttribute>,
                 SubgraphPtr, std::vector<SubgraphPtr>, OpaqueAttribute>;

/// Attributes by name, in file order. Getters throw Error(input) when the type differs.
class Attributes {
 public:
  struct Entry {
    std::string name;
    Attribute value;
    std::string residue;  ///< doc string and unknown fields, as onnx_io wrote them
  };

  bool has(std::string_view name) const { return find(name) != nullptr; }
  const Attribute* find(std::string_view name) const;
  void set(std::string name, Attribute value);
  void erase(std::string_view name);
  void append(Entry entry) { entries_.push_back(std::move(entry)); }
  std::span<const Entry> entries() const { return entries_; }

  int64_t integer(std::string_view name, int64_t otherwise) const;
  float real(std::string_view name, float otherwise) const;
  std::string text(std::string_view name, std::string_view otherwise) const;
  std::vector<int64_t> integers(std::string_view name, std::vector<int64_t> otherwise = {}) const;
  std::vector<float> reals(std::string_view name, std::vector<float> otherwise = {}) const;

  /// Null where absent.
  Constant tensor(std::string_view name) const;
  SubgraphPtr subgraph(std::string_view name) const;

 private:
  std::vector<Entry> entries_;
};

/// A place where a value is read. Slots count the node's inputs; kCaptureSlot + i is its i-th
/// capture, a value of this graph that the node's subgraphs read by name.
struct Use {
  NodeId node = NodeId::none;
  int slot = 0;
  friend bool operator==(const Use&, const Use&) = default;
};
inline constexpr int kCaptureSlot = 1 << 20;

struct Value {
  std::string name;                ///< unique in its graph, never empty
  TensorType type;                 ///< as declared; inference results live elsewhere
  NodeId producer = NodeId::none;  ///< none: graph input, constant, or captured from outside
  int producer_slot = 0;
  std::vector<Use> uses;         ///< in no particular order; graph outputs are not uses
  Constant constant;             ///< initializer; null unless known. It may also be a graph input.
  bool listed = false;           ///< has an entry in the file's value_info
  bool captured = false;         ///< subgraphs only: belongs to an outer graph
  std::string type_residue;      ///< what the type in the file has beyond `type` (see onnx_io)
  std::string constant_residue;  ///< what the initializer in the file has beyond its elements;
                                 ///< all of it if it is sparse: then `constant` is null
};

/// A value of this graph that one of the node's subgraphs reads.
struct Capture {
  std::string attribute;  ///< the attribute that holds the subgraph
  int index = 0;          ///< which of several, for a list of graphs
  ValueId inner = ValueId::none;
  ValueId outer = ValueId::none;
};

struct Node {
  std::string name;  ///< may be empty or shared: files have such
  OpKey op;
  Attributes attributes;
  std::vector<ValueId> inputs;   ///< none: an absent optional input
  std::vector<ValueId> outputs;  ///< none: an absent optional output
  std::vector<Capture> captures;
  std::string residue;  ///< doc string, overload, unknown fields
};

/// What an ONNX file says besides its main graph.
struct ModelInfo {
  int64_t ir_version = 8;
  std::map<std::string, int64_t> opsets;  ///< by domain; "" is ai.onnx
  std::vector<std::pair<std::string, std::string>> metadata;
  std::string residue;  ///< producer, functions, training info, doc string, unknown fields

  int64_t opset(std::string_view domain = "") const;  ///< 0 where not imported
};

/// A dataflow graph in ONNX's vocabulary. Only its methods edit it, so that producers and uses
/// always agree. Copying is cheap in weights: constants are shared.
class Graph {
 public:
  std::string name;
  ModelInfo model;      ///< main graphs only
  std::string residue;  ///< doc string, annotations, unknown fields

  // Reading
  const Node& node(NodeId id) const;
  const Value& value(ValueId id) const;
  bool has(NodeId id) const;
  bool has(ValueId id) const;
  std::span<const ValueId> inputs() const { return inputs_; }  ///< as listed in the file
  std::span<const ValueId> outputs() const { return outputs_; }
  std::vector<NodeId> nodes() const;    ///< by id
  std::vector<ValueId> values() const;  ///< by id
  size_t node_id_bound() const { return nodes_.size(); }
  size_t value_id_bound() const { return values_.size(); }
  size_t node_count() const { return live_nodes_; }
  std::optional<ValueId> find_value(std::string_view name) const;
  bool is_output(ValueId id) const;
  bool is_input(ValueId id) const;

  /// The elements if they cannot change at run time: an initializer that is not an input, or one
  /// that is while IR < 4 (where every initializer had to be listed). Null otherwise.
  Constant constant(ValueId id) const;

  /// Inputs that must be fed: listed inputs without a constant() behind them.
  std::vector<ValueId> required_inputs() const;

  /// Producers before consumers, otherwise near the order of ids (the file's order); a node that
  /// was added later stands right before its first consumer. Errors (input): a cycle.
  std::vector<NodeId> topological_order() const;

  /// Node name, or "Conv producing x" where the file gave it none.
  std::string describe(NodeId id) const;

  // Editing
  ValueId add_value(std::string name, TensorType type = {});
  ValueId add_constant(std::string name, Constant tensor);
  NodeId add_node(Node node);
  void add_input(ValueId id);
  void add_output(ValueId id);
  void drop_input(ValueId id);  ///< it is no longer listed; what it feeds stays
  void set_input(NodeId id, int slot, ValueId value);   ///< grows the list with absent inputs
  void set_output(NodeId id, int slot, ValueId value);  ///< the value must have no producer
  void set_graph_output(size_t index, ValueId value);
  void set_constant(ValueId id, Constant tensor);  ///< also removes: null
  void set_type(ValueId id, TensorType type);

  /// Editing of what edges do not depend on: attributes, names, op key.
  Attributes& attributes(NodeId id);
  void set_op(NodeId id, OpKey op);
  void set_node_name(NodeId id, std::string name);

  /// Parts of a value that no edge depends on, for readers of files.
  Value& annotations(ValueId id);

  /// Node inputs that read `from` read `to` afterwards; graph outputs stay.
  void replace_uses(ValueId from, ValueId to);
  void replace_uses(ValueId from, ValueId to, std::span<const Use> only);

  /// The node's outputs lose their producer; erase or reuse them. They may still have uses.
  void erase(NodeId id);
  /// The value must have no producer and no use, and be no graph input or output.
  void erase(ValueId id);

  /// Erases nodes whose results nobody reads, and values that nothing mentions; graph inputs and
  /// outputs stay. Returns the number of nodes erased.
  size_t erase_dead();

  /// `stem`, or stem_1, stem_2 ... : a name that no value or node of this graph or of its
  /// subgraphs has.
  std::string unique_name(std::string_view stem) const;

 private:
  Node& mutable_node(NodeId id);
  Value& mutable_value(ValueId id);
  void drop_use(ValueId id, const Use& use);

  struct NodeSlot {
    Node node;
    bool alive = true;
  };
  struct ValueSlot {
    Value value;
    bool alive = true;
  };
  std::vector<NodeSlot> nodes_;
  std::vector<ValueSlot> values_;
  std::vector<ValueId> inputs_;
  std::vector<ValueId> outputs_;
  std::map<std::string, ValueId, std::less<>> by_name_;
  size_t live_nodes_ = 0;
};

/// Every defect of the graph's structure, in sentences; empty when it is sound. Checks edges both
/// ways, single producers, acyclicity, unique names, declared outputs, subgraphs' captures.
std::vector<std::string> verify(const Graph& graph);

/// One line a node: `%out = Conv(%x, %w) {strides=[1,1]} "name"`, with inputs, constants (type and
/// shape) and outputs above and below.
std::string to_text(const Graph& graph);

}  // namespace qtool
