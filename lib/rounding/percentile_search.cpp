// SPDX-License-Identifier: Apache-2.0
#include "rounding/percentile_search.h"

#include <algorithm>
#include <array>
#include <limits>
#include <set>

#include "exec/session_runner.h"
#include "quant/ranges.h"
#include "rounding/extract.h"

namespace qtool {

namespace {

constexpr std::array kPercentiles{99.0, 99.9, 99.99, 99.999, 100.0};

/// Of the wished range's error: clipping adds up over layers in a way that rounding does not, so
/// what wins less at one layer loses it at the outputs.
constexpr double kWorth = 0.8;

/// The node alone, from floats, and the errors of its results.
struct Reader {
  Graph graph;
  std::vector<ValueId> inputs;  ///< of the whole graph, that are not constant
  std::optional<Session> session = {};
  std::vector<Shape> shapes = {};  ///< that the session is made for
  std::vector<Tensor> wanted = {};
  double power = 0;
  std::vector<double> errors = {};  ///< by candidate
};

struct Candidate {
  RangeMethod method;
  QuantParams params;
};

struct Search {
  std::vector<ValueId> values;        ///< of one grid
  std::vector<Candidate> candidates;  ///< first the wished one
  std::vector<Reader> readers;
  std::vector<ValueId> results;  ///< values that the model gives
  double result_power = 0;
  std::vector<double> result_errors;

  bool has(ValueId id) const { return std::ranges::find(values, id) != values.end(); }
};

using Values = std::map<ValueId, const Tensor*>;

double squared(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const auto d = static_cast<double>(a[i] - b[i]);
    sum += d * d;
  }
  return sum;
}

double power(std::span<const float> a) {
  double sum = 0;
  for (const float x : a) sum += static_cast<double>(x) * static_cast<double>(x);
  return sum;
}

bool floats(const Facts& facts, ValueId id) {
  return id != ValueId::none && facts[id].type.dtype == DType::float32;
}

/// The whole search of one model: grids and candidates first, then samples.
class PercentileSearch {
 public:
  PercentileSearch(const Graph& graph, const OpRegistry& ops, const CalibrationTable& table,
                   const Target& target, const Recipe& recipe)
      : graph_(graph), ops_(ops), facts_(infer_facts(graph, ops)) {
    Recipe wished = recipe;
    wished.bias_correction = false;
    plan_ = plan_quantization(graph, ops, table, target, wished);
    add_candidates(table, target, wished);
    for (Search& search : searches_) add_readers(search);
    std::erase_if(searches_, [](const Search& search) {
      return search.candidates.size() < 2 || (search.readers.empty() && search.results.empty());
    });
  }

  void measure(const std::function<FeedSource()>& samples, uint64_t memory) {
    size_t first = 0;
    while (first < searches_.size()) {
      const FeedSource source = samples();
      auto batch = source();
      if (!batch) throw input_error("no samples to search percentiles with");
      const size_t end = first + fitting(first, *batch, memory);
      const std::span part(searches_.begin() + static_cast<std::ptrdiff_t>(first), end - first);
      const auto runner = open_session(std::make_shared<const Graph>(tapped(part)), ops_);
      for (; batch; batch = source()) {
        const TensorMap outputs = runner->run(batch->inputs);
        for (Search& search : part) look_at(search, outputs, batch->inputs);
      }
      for (Search& search : part) {
        for (Reader& reader : search.readers) reader.session.reset();
      }
      first = end;
    }
  }

  std::vector<SearchedRange> ranges() const {
    std::vector<SearchedRange> found;
    for (const Search& search : searches_) {
      const double before = error(search, 0);
      SearchedRange range{{}, search.candidates[0].method, before, before};
      for (const ValueId id : search.values) range.tensors.push_back(graph_.value(id).name);
      for (size_t c = 1; c < search.candidates.size(); ++c) {
        const double now = error(search, c);
        if (!(now < range.error && now < kWorth * before)) continue;
        range.error = now;
        range.method = search.candidates[c].method;
      }
      found.push_back(std::move(range));
    }
    return found;
  }

 private:
  /// By what each method makes of the table; those that make the same grid count once.
  void add_candidates(const CalibrationTable& table, const Target& target, Recipe recipe) {
    std::vector<std::string> ignored;
    const auto add = [&](std::optional<double> percentile) {
      if (percentile) {
        recipe.activation_method = Percentile{*percentile};
        recipe.found_methods.clear();
      }
      const PlanContext context{graph_, ops_, facts_, target, recipe};
      const auto tied = tied_params(context, select_nodes(context, table), table, ignored);
      searches_.resize(tied.size());
      for (size_t i = 0; i < tied.size(); ++i) {
        std::vector<Candidate>& known = searches_[i].candidates;
        const QuantParams& params = tied[i].chosen.params;
        searches_[i].values = tied[i].values;
        const bool same = std::ranges::any_of(
            known, [&](const Candidate& candidate) { return candidate.params == params; });
        if (same) continue;
        const RangeMethod method = percentile ? RangeMethod{Percentile{*percentile}}
                                              : activation_method(recipe, params.type);
        known.push_back({method, params});
      }
    };
    add(std::nullopt);
    for (const double percentile : kPercentiles) add(percentile);
  }

  /// As the plan has them: what reads codes, but for what hands them on.
  void add_readers(Search& search) {
    const std::set<NodeId> moved(plan_.moved.begin(), plan_.moved.end());
    std::set<NodeId> seen;
    for (const Placement& placement : plan_.placements) {
      if (placement.kind != Placement::Kind::activation || !search.has(placement.value)) continue;
      if (placement.output) search.results.push_back(placement.value);
      for (const Use& use : placement.uses) {
        if (!moved.contains(use.node) && seen.insert(use.node).second) add_reader(search, use.node);
      }
    }
    search.result_errors.assign(search.candidates.size(), 0);
  }

  void add_reader(Search& search, NodeId id) {
    const Node& node = graph_.node(id);
    std::vector<ValueId> outputs;
    for (const ValueId output : node.outputs) {
      if (floats(facts_, output) && !search.has(output)) outputs.push_back(output);
    }
    if (outputs.empty() || !node.captures.empty()) return;
    std::vector<ValueId> inputs;
    for (const ValueId input : node.inputs) {
      const bool constant = input == ValueId::none || graph_.constant(input) != nullptr;
      if (!constant && std::ranges::find(inputs, input) == inputs.end()) inputs.push_back(input);
    }
    Extract alone = extract(graph_, facts_, std::array{id}, inputs, outputs);
    search.readers.push_back({std::move(alone.graph), std::move(inputs)});
    search.readers.back().errors.assign(search.candidates.size(), 0);
  }

  std::set<ValueId> read_by(const Search& search) const {
    std::set<ValueId> values(search.results.begin(), search.results.end());
    for (const Reader& reader : search.readers)
      values.insert(reader.inputs.begin(), reader.inputs.end());
    return values;
  }

  /// How many searches from here on read no more than that; one at least.
  size_t fitting(size_t first, const FeedBatch& batch, uint64_t memory) const {
    std::map<std::string, Shape> shapes;
    for (const auto& [name, tensor] : batch.inputs) shapes.emplace(name, tensor.shape());
    const Facts facts = infer_facts(graph_, ops_, {shapes});
    std::set<ValueId> values;
    uint64_t bytes = 0;
    size_t count = 0;
    for (; first + count < searches_.size(); ++count) {
      for (const ValueId id : read_by(searches_[first + count])) {
        if (!values.insert(id).second) continue;
        const auto shape = facts[id].type.concrete_shape();
        bytes += shape ? 4 * static_cast<uint64_t>(element_count(*shape)) : memory;
      }
      if (count > 0 && bytes > memory) break;
    }
    return count;
  }

  Graph tapped(std::span<const Search> searches) const {
    Graph graph = graph_;
    for (const Search& search : searches) {
      for (const ValueId id : read_by(search)) {
        if (!graph.is_output(id) && !graph.is_input(id)) graph.add_output(id);
      }
    }
    return graph;
  }

  void look_at(Search& search, const TensorMap& outputs, const TensorMap& inputs) const {
    Values values;
    for (const ValueId id : read_by(search)) {
      const std::string& name = graph_.value(id).name;
      const auto made = outputs.find(name);
      values.emplace(id, made != outputs.end() ? &made->second : &inputs.at(name));
    }
    for (Reader& reader : search.readers) {
      compute(reader, values);
      for (size_t o = 0; o < reader.session->output_names().size(); ++o) {
        const TensorView made = reader.session->output(o);
        reader.wanted.push_back(Tensor::of<float>(made.shape, made.as<float>()));
        reader.power += power(reader.wanted.back().data<float>());
      }
    }
    for (const ValueId id : search.results)
      search.result_power += power(values.at(id)->data<float>());
    for (size_t c = 0; c < search.candidates.size(); ++c) try_out(search, c, values);
    for (Reader& reader : search.readers) reader.wanted.clear();
  }

  void try_out(Search& search, size_t c, Values values) const {
    std::map<ValueId, Tensor> rounded;
    for (auto& [id, tensor] : values) {
      if (!search.has(id)) continue;
      const auto made = rounded.emplace(id, fake_quantize(*tensor, search.candidates[c].params));
      if (std::ranges::find(search.results, id) != search.results.end()) {
        search.result_errors[c] += squared(tensor->data<float>(), made.first->second.data<float>());
      }
      tensor = &made.first->second;
    }
    for (Reader& reader : search.readers) {
      compute(reader, values);
      for (size_t o = 0; o < reader.wanted.size(); ++o) {
        reader.errors[c] +=
            squared(reader.wanted[o].data<float>(), reader.session->output(o).as<float>());
      }
    }
  }

  void compute(Reader& reader, const Values& values) const {
    std::vector<TensorView> feeds;
    std::vector<Shape> shapes;
    for (const ValueId id : reader.inputs) {
      feeds.push_back(values.at(id)->view());
      shapes.push_back(values.at(id)->shape());
    }
    if (!reader.session || reader.shapes != shapes) {
      SessionOptions options;
      for (size_t i = 0; i < shapes.size(); ++i)
        options.input_shapes.emplace(graph_.value(reader.inputs[i]).name, shapes[i]);
      reader.session.emplace(reader.graph, ops_, std::move(options));
      reader.shapes = std::move(shapes);
    }
    reader.session->execute(feeds);
  }

  static double error(const Search& search, size_t candidate) {
    double sum = 0;
    const auto add = [&](double error, double power) { sum += power > 0 ? error / power : 0; };
    for (const Reader& reader : search.readers) add(reader.errors[candidate], reader.power);
    add(search.result_errors[candidate], search.result_power);
    return sum;
  }

  const Graph& graph_;
  const OpRegistry& ops_;
  Facts facts_;
  QuantPlan plan_;
  std::vector<Search> searches_;
};

}  // namespace

std::vector<SearchedRange> search_percentiles(const Graph& graph, const OpRegistry& ops,
                                              const CalibrationTable& table, const Target& target,
                                              const Recipe& recipe,
                                              const std::function<FeedSource()>& samples,
                                              uint64_t memory) {
  PercentileSearch search(graph, ops, table, target, recipe);
  search.measure(samples, memory);
  return search.ranges();
}

std::map<std::string, RangeMethod> found_methods(const std::vector<SearchedRange>& ranges) {
  std::map<std::string, RangeMethod> methods;
  for (const SearchedRange& range : ranges) {
    if (range.error < range.error_before) methods.emplace(range.tensors[0], range.method);
  }
  return methods;
}

}  // namespace qtool
