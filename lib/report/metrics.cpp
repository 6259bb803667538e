// SPDX-License-Identifier: Apache-2.0
#include "report/metrics.h"

#include <cmath>

#include "support/checked.h"

namespace qtool {

namespace {

template <class T>
std::optional<int64_t> largest(std::span<const T> scores) {
  std::optional<int64_t> best;
  for (size_t i = 0; i < scores.size(); ++i) {
    if (std::isnan(scores[i])) continue;
    if (!best || scores[i] > scores[static_cast<size_t>(*best)]) best = static_cast<int64_t>(i);
  }
  return best;
}

struct Placing {
  size_t better = 0;  ///< classes ahead of the label
  bool nan = false;   ///< among the scores
};

template <class T>
Placing place(std::span<const T> scores, size_t label) {
  Placing result;
  const T own = scores[label];
  for (size_t i = 0; i < scores.size(); ++i) {
    if (std::isnan(scores[i])) result.nan = true;
    if (scores[i] > own || (scores[i] == own && i < label)) ++result.better;
  }
  if (std::isnan(own)) result.better = scores.size();
  return result;
}

Error wrong_label(const std::string& id, int64_t label, int64_t classes) {
  return input_error("sample \"" + id + "\": its label " + std::to_string(label) +
                         " is not one of the model's " + std::to_string(classes) +
                         " classes (0 to " + std::to_string(classes - 1) + ")",
                     "The labels must be those that the model was trained with, counted from 0.");
}

}  // namespace

std::optional<ClassRows> class_rows(const Shape& shape) {
  if (shape.empty()) return std::nullopt;
  const int64_t samples = shape.size() == 1 ? 1 : shape[0];
  int64_t classes = 1;
  for (size_t axis = shape.size() == 1 ? 0 : 1; axis < shape.size(); ++axis) {
    if (shape[axis] != 1 && classes != 1) return std::nullopt;
    if (shape[axis] != 1) classes = shape[axis];
  }
  if (samples < 1 || classes < 2) return std::nullopt;
  return ClassRows{samples, classes};
}

std::optional<int64_t> top1(std::span<const float> scores) { return largest(scores); }
std::optional<int64_t> top1(std::span<const double> scores) { return largest(scores); }

void ClassificationMetrics::add(const Tensor& scores, std::span<const int64_t> labels,
                                std::span<const std::string> ids) {
  const auto rows = class_rows(scores.shape());
  if (!rows) {
    throw input_error("an output of shape " + to_string(scores.shape()) + " holds no class scores",
                      "Top-1 and top-5 need one score a class: an output of shape [N,C], C > 1.");
  }
  if (classes_ != 0 && rows->classes != classes_) {
    throw input_error("the number of classes changed from " + std::to_string(classes_) + " to " +
                      std::to_string(rows->classes) + " between two batches");
  }
  if (!std::in_range<int64_t>(labels.size()) ||
      static_cast<int64_t>(labels.size()) != rows->samples) {
    throw input_error("an output of shape " + to_string(scores.shape()) + " for " +
                          std::to_string(labels.size()) + " samples",
                      "The first axis of the output must be the batch.");
  }
  QTOOL_CHECK(ids.size() == labels.size(), "one id a label");
  const auto classes = narrow<size_t>(rows->classes);
  for (size_t n = 0; n < labels.size(); ++n) {
    if (labels[n] < 0 || labels[n] >= rows->classes)
      throw wrong_label(ids[n], labels[n], rows->classes);
  }

  const auto count = [&]<class T>(std::span<const T> elements) {
    for (size_t n = 0; n < labels.size(); ++n) {
      const Placing placing =
          place(elements.subspan(n * classes, classes), static_cast<size_t>(labels[n]));
      right_.push_back(placing.better == 0);
      top1_ += placing.better == 0;
      top5_ += placing.better < 5;
      nan_samples_ += placing.nan;
    }
  };
  if (scores.dtype() == DType::float32) {
    count(scores.data<float>());
  } else {
    const std::vector<double> converted = to_doubles(scores);
    count(std::span<const double>(converted));
  }
  classes_ = rows->classes;
}

Accuracy ClassificationMetrics::accuracy() const {
  Accuracy result;
  if (samples() == 0) return result;
  const auto total = static_cast<double>(samples());
  result.top1 = static_cast<double>(top1_) / total;
  if (classes_ > 5) result.top5 = static_cast<double>(top5_) / total;
  result.nan_samples = nan_samples_;
  return result;
}

PairedOutcome compare_outcomes(const ClassificationMetrics& first,
                               const ClassificationMetrics& second) {
  QTOOL_CHECK(first.samples() == second.samples(), "outcomes of different samples");
  PairedOutcome result;
  for (size_t i = 0; i < first.right().size(); ++i) {
    result.lost += first.right()[i] && !second.right()[i];
    result.gained += !first.right()[i] && second.right()[i];
  }
  return result;
}

}  // namespace qtool
