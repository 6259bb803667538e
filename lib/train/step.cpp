// SPDX-License-Identifier: Apache-2.0
#include "train/step.h"

#include <algorithm>
#include <atomic>
#include <map>

#include "exec/session.h"
#include "support/parallel.h"
#include "train/differentiate.h"

namespace qtool {

namespace {

/// The calling thread's parallel regions have one thread, until it ends.
class SingleThreaded {
 public:
  SingleThreaded() : before_(thread_count()) { set_thread_count(1); }
  ~SingleThreaded() { set_thread_count(before_); }
  SingleThreaded(const SingleThreaded&) = delete;
  SingleThreaded& operator=(const SingleThreaded&) = delete;

 private:
  int before_;
};

/// Some consecutive samples of a batch.
struct Shard {
  size_t first = 0;
  size_t size = 0;
};

TensorView part(const TensorView& batch, const Shard& shard) {
  TensorView view = batch;
  const int64_t rows = batch.shape.at(0);
  const size_t row_bytes = storage_bytes(batch.dtype, batch.size()) / static_cast<size_t>(rows);
  view.shape[0] = static_cast<int64_t>(shard.size);
  view.data = static_cast<const std::byte*>(batch.data) + shard.first * row_bytes;
  return view;
}

}  // namespace

class TrainingStep::Impl {
 public:
  Impl(const Graph& forward, const AttachedLoss& loss, std::span<const Parameter> parameters,
       std::shared_ptr<const Graph> teacher, const std::vector<TrainedNorm>& norms)
      : teacher_(std::move(teacher)), statistics_(parameters.size()) {
    std::vector<ValueId> ids;
    for (const Parameter& parameter : parameters) {
      const bool learned = parameter.kind != Parameter::Kind::statistic;
      if (learned && forward.is_input(parameter.id)) ids.push_back(parameter.id);
    }
    Differentiated made = differentiate(forward, training_ops(), loss.loss, ids);
    for (size_t p = 0; p < parameters.size(); ++p) {
      parameter_of_[forward.value(parameters[p].id).name] = p;
      gradients_.emplace_back();
      output_of_.emplace_back();
      const auto found = made.gradient_of.find(parameters[p].id);
      if (found == made.gradient_of.end()) continue;
      output_of_[p] = made.graph.outputs().size();
      made.graph.add_output(found->second);
      gradients_[p] = Tensor(DType::float32, parameters[p].value.shape());
    }
    for (const TrainedNorm& norm : norms) {
      if (norm.batch_mean != ValueId::none) observe(norm, parameters, made.graph);
    }
    graph_ = std::make_unique<Graph>(std::move(made.graph));
    if (loss.labels != ValueId::none) labels_ = forward.value(loss.labels).name;
    for (const auto& lesson : loss.teacher) lessons_.push_back(forward.value(lesson.input).name);
    QTOOL_CHECK(lessons_.empty() || teacher_ != nullptr, "lessons need a teacher");
  }

  double run(const TensorMap& inputs, std::span<const int64_t> labels,
             std::span<const Parameter> parameters) {
    std::map<std::string, TensorView> feeds;
    for (const auto& [name, tensor] : inputs) feeds.emplace(name, tensor.view());
    const auto samples = static_cast<size_t>(inputs.begin()->second.shape().at(0));
    if (!labels_.empty()) {
      QTOOL_CHECK(labels.size() == samples, "one label a sample");
      feeds[labels_] = {DType::int64, {static_cast<int64_t>(samples)}, labels.data()};
    }
    std::vector<Shard> shards;
    for (size_t first = 0; first < samples; first += kShard) {
      shards.push_back({first, std::min(kShard, samples - first)});
    }
    // Few samples have no statistics worth the name.
    if (!observed_.empty() && shards.size() > 1 && shards.back().size < kShard / 2) {
      const size_t rest = shards.back().size;
      shards.pop_back();
      shards.back().size += rest;
    }
    while (parts_.size() < shards.size()) parts_.push_back(fresh_parts());
    losses_.assign(shards.size(), 0);
    const auto most = std::min<int64_t>(thread_count(), static_cast<int64_t>(shards.size()));
    while (static_cast<int64_t>(workers_.size()) < most) workers_.emplace_back();
    std::atomic<size_t> next = 0;
    parallel_for(most, 1, [&](int64_t begin, int64_t) {
      const SingleThreaded alone;
      for (size_t s = next++; s < shards.size(); s = next++) {
        shard(workers_[static_cast<size_t>(begin)], shards[s], s, feeds, parameters);
      }
    });
    return combine(shards, samples);
  }

  std::span<const Tensor> gradients() const { return gradients_; }
  std::span<const Tensor> statistics() const { return statistics_; }

  size_t arena_bytes() const {
    size_t most = 0;
    for (const Worker& worker : workers_) {
      size_t bytes = 0;
      for (const auto& [size, session] : worker.training) bytes += session.arena_bytes();
      most = std::max(most, bytes);
    }
    return most;
  }

 private:
  struct Worker {
    std::map<size_t, Session> training;  ///< by samples
    std::map<size_t, Session> teaching;
  };

  /// Batch norms: indices of parameters, and of outputs that have the batch's.
  struct Observed {
    size_t mean;
    size_t variance;
    size_t mean_output;
    size_t variance_output;
  };

  void observe(const TrainedNorm& norm, std::span<const Parameter> parameters, Graph& graph) {
    const size_t next = graph.outputs().size();
    observed_.push_back({norm.mean, norm.variance, next, next + 1});
    graph.add_output(norm.batch_mean);
    graph.add_output(norm.batch_variance);
    for (const size_t p : {norm.mean, norm.variance}) {
      statistics_[p] = Tensor(DType::float32, parameters[p].value.shape());
    }
  }

  std::vector<Tensor> fresh_parts() const {
    std::vector<Tensor> all;
    for (size_t p = 0; p < gradients_.size(); ++p) {
      const bool learned = gradients_[p].dtype() != DType::undefined;
      const Tensor& like = learned ? gradients_[p] : statistics_[p];
      const bool any = like.dtype() != DType::undefined;
      all.push_back(any ? Tensor(DType::float32, like.shape()) : Tensor());
    }
    return all;
  }

  static Session& session_for(std::map<size_t, Session>& sessions, const Graph& graph,
                              const OpRegistry& ops, const Shard& shard,
                              const std::map<std::string, TensorView>& feeds) {
    const auto found = sessions.find(shard.size);
    if (found != sessions.end()) return found->second;
    SessionOptions options;
    for (const auto& [name, view] : feeds) {
      if (const auto id = graph.find_value(name); id && graph.is_input(*id)) {
        options.input_shapes.emplace(name, part(view, shard).shape);
      }
    }
    return sessions.emplace(shard.size, Session(graph, ops, std::move(options))).first->second;
  }

  void shard(Worker& worker, const Shard& shard, size_t number,
             std::map<std::string, TensorView> feeds, std::span<const Parameter> parameters) {
    if (!lessons_.empty()) {
      Session& teacher = session_for(worker.teaching, *teacher_, builtin_ops(), shard, feeds);
      std::vector<TensorView> views;
      for (const std::string& name : teacher.input_names()) {
        views.push_back(part(feeds.at(name), shard));
      }
      teacher.execute(views);
      for (size_t i = 0; i < lessons_.size(); ++i) feeds[lessons_[i]] = teacher.output(i);
    }
    std::map<std::string, TensorView> views;
    for (const auto& [name, view] : feeds) {
      const bool taught = std::ranges::find(lessons_, name) != lessons_.end();
      views.emplace(name, taught ? view : part(view, shard));
    }
    const Shard whole{0, shard.size};
    Session& session = session_for(worker.training, *graph_, training_ops(), whole, views);
    std::vector<TensorView> ordered;
    for (const std::string& name : session.input_names()) {
      const auto parameter = parameter_of_.find(name);
      ordered.push_back(parameter != parameter_of_.end()
                            ? parameters[parameter->second].value.view()
                            : views.at(name));
    }
    session.execute(ordered);
    losses_[number] = static_cast<double>(session.output(0).as<float>()[0]);
    for (size_t p = 0; p < output_of_.size(); ++p) {
      if (!output_of_[p]) continue;
      const TensorView view = session.output(*output_of_[p]);
      std::ranges::copy(view.as<float>(), parts_[number][p].data<float>().begin());
    }
    for (const Observed& norm : observed_) {
      for (const auto& [p, output] : {std::pair(norm.mean, norm.mean_output),
                                      std::pair(norm.variance, norm.variance_output)}) {
        const TensorView view = session.output(output);
        std::ranges::copy(view.as<float>(), parts_[number][p].data<float>().begin());
      }
    }
  }

  /// Mean and variance of the batch of those of its shards.
  void combine_statistics(const std::vector<float>& shares) {
    for (const Observed& norm : observed_) {
      const auto mean = statistics_[norm.mean].data<float>();
      const auto variance = statistics_[norm.variance].data<float>();
      for (size_t c = 0; c < mean.size(); ++c) {
        const auto of = [&](size_t s, size_t p) {
          return static_cast<double>(parts_[s][p].data<float>()[c]);
        };
        double centre = 0;
        double spread = 0;
        for (size_t s = 0; s < shares.size(); ++s) {
          centre += static_cast<double>(shares[s]) * of(s, norm.mean);
        }
        for (size_t s = 0; s < shares.size(); ++s) {
          const double apart = of(s, norm.mean) - centre;
          spread += static_cast<double>(shares[s]) * (of(s, norm.variance) + apart * apart);
        }
        mean[c] = static_cast<float>(centre);
        variance[c] = static_cast<float>(spread);
      }
    }
  }

  /// Means over shards, weighted by their samples, in the order of the shards.
  double combine(const std::vector<Shard>& shards, size_t samples) {
    double loss = 0;
    std::vector<float> shares;
    for (size_t s = 0; s < shards.size(); ++s) {
      const double share = static_cast<double>(shards[s].size) / static_cast<double>(samples);
      shares.push_back(static_cast<float>(share));
      loss += share * losses_[s];
    }
    combine_statistics(shares);
    for (size_t p = 0; p < gradients_.size(); ++p) {
      if (!output_of_[p]) continue;
      float* sum = gradients_[p].data<float>().data();
      parallel_for(gradients_[p].size(), int64_t{1} << 14, [&](int64_t begin, int64_t end) {
        for (size_t s = 0; s < shards.size(); ++s) {
          const float* from = parts_[s][p].data<float>().data();
          const float share = shares[s];
          for (int64_t i = begin; i < end; ++i) {
            sum[i] = s == 0 ? share * from[i] : sum[i] + share * from[i];
          }
        }
      });
    }
    return loss;
  }

  std::unique_ptr<Graph> graph_;  ///< outputs: the loss, then gradients
  std::shared_ptr<const Graph> teacher_;
  std::string labels_;
  std::vector<std::string> lessons_;  ///< by output of the teacher
  std::map<std::string, size_t> parameter_of_;
  std::vector<std::optional<size_t>> output_of_;  ///< by parameter
  std::vector<Tensor> gradients_;
  std::vector<Observed> observed_;
  std::vector<Tensor> statistics_;          ///< by parameter
  std::vector<std::vector<Tensor>> parts_;  ///< by shard: gradients, statistics
  std::vector<double> losses_;              ///< by shard
  std::vector<Worker> workers_;
};

TrainingStep::TrainingStep(const Graph& forward, const AttachedLoss& loss,
                           std::span<const Parameter> parameters,
                           std::shared_ptr<const Graph> teacher,
                           const std::vector<TrainedNorm>& norms)
    : impl_(std::make_unique<Impl>(forward, loss, parameters, std::move(teacher), norms)) {}
TrainingStep::~TrainingStep() = default;

double TrainingStep::run(const TensorMap& inputs, std::span<const int64_t> labels,
                         std::span<const Parameter> parameters) {
  return impl_->run(inputs, labels, parameters);
}
std::span<const Tensor> TrainingStep::gradients() const { return impl_->gradients(); }
std::span<const Tensor> TrainingStep::statistics() const { return impl_->statistics(); }
size_t TrainingStep::arena_bytes() const { return impl_->arena_bytes(); }

}  // namespace qtool
