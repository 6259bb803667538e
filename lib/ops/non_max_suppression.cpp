// SPDX-License-Identifier: Apache-2.0
// NonMaxSuppression (10). Equal scores keep the order of the boxes.
#include <algorithm>
#include <numeric>

#include "ops/families.h"
#include "ops/shapes.h"
#include "support/text.h"

namespace qtool {

namespace {

void infer_non_max_suppression(InferContext& context) {
  const NodeView& node = context.node;
  const auto& boxes = node.input_type(0).shape;
  const auto& scores = node.input_type(1).shape;
  const int64_t center = node.attributes().integer("center_point_box", 0);
  if (center != 0 && center != 1) throw input_error(fmt::format("center_point_box is {}", center));
  if ((boxes && (boxes->size() != 3 || (*boxes)[2].value.value_or(4) != 4)) ||
      (scores && scores->size() != 3)) {
    throw input_error(fmt::format("boxes {} and scores {}, expected [N, B, 4] and [N, C, B]",
                                  to_string(node.input_type(0)), to_string(node.input_type(1))));
  }
  const auto differ = [](const Dim& a, const Dim& b) {
    return a.value && b.value && *a.value != *b.value;
  };
  if (boxes && scores && (differ((*boxes)[0], (*scores)[0]) || differ((*boxes)[1], (*scores)[2]))) {
    throw input_error(fmt::format("boxes {} do not go with scores {}",
                                  to_string(node.input_type(0)), to_string(node.input_type(1))));
  }
  for (size_t i = 2; i < node.input_count(); ++i) {
    if (node.has_input(i)) check_single(node, i, "a limit");
  }
  context.set_output(0, {DType::int64, std::vector<Dim>{{}, {3, {}}}});
}

struct Box {
  float top, left, bottom, right;

  float area() const { return (bottom - top) * (right - left); }
};

/// Two corners in any order, or (x, y, width, height) of the centre.
Box box_of(std::span<const float> numbers, bool center) {
  if (center) {
    const float half_width = numbers[2] / 2;
    const float half_height = numbers[3] / 2;
    return {numbers[1] - half_height, numbers[0] - half_width, numbers[1] + half_height,
            numbers[0] + half_width};
  }
  const auto [top, bottom] = std::minmax(numbers[0], numbers[2]);
  const auto [left, right] = std::minmax(numbers[1], numbers[3]);
  return {top, left, bottom, right};
}

bool overlap(const Box& a, const Box& b, float threshold) {
  const float height = std::min(a.bottom, b.bottom) - std::max(a.top, b.top);
  const float width = std::min(a.right, b.right) - std::max(a.left, b.left);
  if (!(height > 0 && width > 0) || !(a.area() > 0) || !(b.area() > 0)) return false;
  const float shared = height * width;
  return shared / (a.area() + b.area() - shared) > threshold;
}

float single(const ReferenceCall& call, size_t slot, float otherwise) {
  return call.has(slot) ? to_floats(call.input(slot)).at(0) : otherwise;
}

/// Boxes of one class, the best first; those that overlap a better one are left out.
std::vector<int64_t> kept_boxes(const std::vector<Box>& boxes, std::span<const float> scores,
                                int64_t most, float iou_threshold,
                                std::optional<float> score_threshold) {
  std::vector<int64_t> order;
  for (size_t b = 0; b < boxes.size(); ++b) {
    if (!score_threshold || scores[b] > *score_threshold) order.push_back(static_cast<int64_t>(b));
  }
  const auto score = [&](int64_t b) { return scores[static_cast<size_t>(b)]; };
  // NaN has no place in an order: it stands last.
  std::ranges::stable_sort(order, [&](int64_t a, int64_t b) {
    return score(a) > score(b) || (score(a) == score(a) && score(b) != score(b));
  });
  std::vector<int64_t> kept;
  for (const int64_t candidate : order) {
    if (static_cast<int64_t>(kept.size()) >= most) break;
    const Box& box = boxes[static_cast<size_t>(candidate)];
    const bool hidden = std::ranges::any_of(kept, [&](int64_t better) {
      return overlap(box, boxes[static_cast<size_t>(better)], iou_threshold);
    });
    if (!hidden) kept.push_back(candidate);
  }
  return kept;
}

std::vector<Tensor> non_max_suppression_reference(const ReferenceCall& call) {
  const Tensor& boxes = float_input(call, 0);
  const Tensor& scores = float_input(call, 1);
  const bool center = call.node.attributes().integer("center_point_box", 0) != 0;
  const int64_t most = call.has(2) ? to_int64s(call.input(2)).at(0) : 0;
  const float iou_threshold = single(call, 3, 0);
  if (!(iou_threshold >= 0 && iou_threshold <= 1))
    throw input_error(fmt::format("an iou_threshold of {}", iou_threshold));
  std::optional<float> score_threshold;
  if (call.has(4)) score_threshold = single(call, 4, 0);
  const auto count = static_cast<size_t>(boxes.shape()[1]);
  const int64_t classes = scores.shape()[1];
  std::vector<int64_t> selected;
  for (int64_t n = 0; n < boxes.shape()[0] && count > 0; ++n) {
    std::vector<Box> batch;
    for (size_t b = 0; b < count; ++b) {
      const size_t at = (static_cast<size_t>(n) * count + b) * 4;
      batch.push_back(box_of(boxes.data<float>().subspan(at, 4), center));
    }
    for (int64_t c = 0; c < classes; ++c) {
      const auto own =
          scores.data<float>().subspan(static_cast<size_t>(n * classes + c) * count, count);
      for (const int64_t b : kept_boxes(batch, own, most, iou_threshold, score_threshold)) {
        selected.insert(selected.end(), {n, c, b});
      }
    }
  }
  return one_result(Tensor::of<int64_t>({static_cast<int64_t>(selected.size() / 3), 3}, selected));
}

}  // namespace

void register_non_max_suppression(OpRegistry& ops) {
  ops.add({.key = {"", "NonMaxSuppression"},
           .since_version = 10,
           .inputs = {2, 5},
           .outputs = {1, 1},
           .infer = infer_non_max_suppression,
           .reference = non_max_suppression_reference});
}

}  // namespace qtool
