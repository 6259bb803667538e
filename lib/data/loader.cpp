// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <thread>

#include "data/batch.h"

namespace qtool {

namespace {

/// Leaves a batch between two samples once the loader is going away.
class Interruptible : public Dataset {
 public:
  struct Stopped {};

  Interruptible(const Dataset& dataset, const std::atomic<bool>& stop)
      : dataset_(dataset), stop_(stop) {}
  size_t size() const override { return dataset_.size(); }
  bool labelled() const override { return dataset_.labelled(); }
  bool batched() const override { return dataset_.batched(); }
  Json provenance() const override { return dataset_.provenance(); }
  Sample get(size_t index) const override {
    if (stop_) throw Stopped{};
    return dataset_.get(index);
  }

 private:
  const Dataset& dataset_;
  const std::atomic<bool>& stop_;
};

}  // namespace

/// Workers claim batches in order, as long as they are less than `window` ahead of the consumer,
/// and leave them, or the exception, under the batch's number.
class Loader::Queue {
 public:
  Queue(const Dataset& dataset, Order order, Options options)
      : dataset_(dataset, stop_), order_(std::move(order)), options_(options) {
    QTOOL_CHECK(options.batch_size > 0 && options.workers >= 0, "a loader's options");
    if (dataset.batched()) options_.batch_size = 1;
    const size_t full = order_.size() / options_.batch_size;
    const bool rest = order_.size() % options_.batch_size != 0 && !options.drop_last;
    batches_ = full + (rest ? 1 : 0);
    samples_ = rest ? order_.size() : full * options_.batch_size;
    threads_ = std::min(static_cast<size_t>(options.workers), batches_);
    window_ = threads_ + std::max<size_t>(options.ahead, 1) - 1;
    try {
      for (size_t i = 0; i < threads_; ++i) workers_.emplace_back([this] { work(); });
    } catch (...) {
      end();
      throw;
    }
  }

  ~Queue() { end(); }
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  size_t batches() const { return batches_; }
  size_t samples() const { return samples_; }

  std::optional<Batch> next() {
    if (taken_ == batches_) return std::nullopt;
    Result result = threads_ == 0 ? make(taken_++) : wait_for(taken_);
    if (result.failure) {
      end();
      taken_ = batches_;
      std::rethrow_exception(result.failure);
    }
    return std::move(result.batch);
  }

 private:
  struct Result {
    Batch batch;
    std::exception_ptr failure;
  };

  Result make(size_t number) {
    const size_t first = number * options_.batch_size;
    const size_t count = std::min(options_.batch_size, order_.size() - first);
    try {
      return {make_batch(dataset_, std::span(order_).subspan(first, count), first), nullptr};
    } catch (...) {
      return {{}, std::current_exception()};
    }
  }

  Result wait_for(size_t number) {
    std::unique_lock lock(mutex_);
    made_.wait(lock, [&] { return results_.contains(number); });
    Result result = std::move(results_.extract(number).mapped());
    ++taken_;
    lock.unlock();
    wanted_.notify_all();
    return result;
  }

  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      wanted_.wait(lock,
                   [&] { return stop_ || claimed_ == batches_ || claimed_ < taken_ + window_; });
      if (stop_ || claimed_ == batches_) return;
      const size_t number = claimed_++;
      lock.unlock();
      Result result = make(number);
      lock.lock();
      results_.emplace(number, std::move(result));
      made_.notify_one();
    }
  }

  void end() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wanted_.notify_all();
    for (std::thread& worker : workers_) worker.join();
    workers_.clear();
  }

  std::atomic<bool> stop_ = false;
  const Interruptible dataset_;
  const Order order_;
  Options options_;
  size_t batches_ = 0;
  size_t samples_ = 0;
  size_t threads_ = 0;
  size_t window_ = 0;  ///< batches claimed but not taken

  std::mutex mutex_;
  std::condition_variable wanted_;
  std::condition_variable made_;
  std::map<size_t, Result> results_;
  size_t claimed_ = 0;
  size_t taken_ = 0;
  std::vector<std::thread> workers_;
};

Loader::Loader(const Dataset& dataset, Order order, Options options)
    : queue_(std::make_unique<Queue>(dataset, std::move(order), options)) {}
Loader::~Loader() = default;
size_t Loader::batches() const { return queue_->batches(); }
size_t Loader::samples() const { return queue_->samples(); }
std::optional<Batch> Loader::next() { return queue_->next(); }

}  // namespace qtool
