// SPDX-License-Identifier: Apache-2.0
#include "kernels/host/copy.h"

#include <algorithm>
#include <cstring>
#include <utility>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "support/parallel.h"

namespace qtool {

namespace {

constexpr int64_t kTile = 16;
constexpr int64_t kParallelElements = int64_t{1} << 16;

struct Axis {
  int64_t extent;
  int64_t from;
  int64_t to;
};

/// Outer axes to loop over and at most two inner ones that a specialised loop handles.
struct Plan {
  std::vector<Axis> outer;
  Axis middle{1, 0, 0};
  Axis inner{1, 1, 1};
  int64_t from_offset = 0;
  int64_t to_offset = 0;
  int input = 0;
  int output = 0;
};

Plan plan(const StridedCopy& copy) {
  std::vector<Axis> axes;
  for (size_t i = 0; i < copy.extents.size(); ++i) {
    if (copy.extents[i] != 1) {
      axes.push_back({copy.extents[i], copy.from_strides[i], copy.to_strides[i]});
    }
  }
  // Outermost in the output first, so that writes are as sequential as they can be.
  std::ranges::stable_sort(axes, [](const Axis& a, const Axis& b) { return a.to > b.to; });
  std::vector<Axis> merged;
  for (const Axis& axis : axes) {
    if (!merged.empty() && merged.back().from == axis.from * axis.extent &&
        merged.back().to == axis.to * axis.extent) {
      merged.back() = {merged.back().extent * axis.extent, axis.from, axis.to};
    } else {
      merged.push_back(axis);
    }
  }
  Plan result;
  result.from_offset = copy.from_offset;
  result.to_offset = copy.to_offset;
  result.input = copy.input;
  result.output = copy.output;
  if (merged.empty()) return result;
  result.inner = merged.back();
  merged.pop_back();
  // A transpose: the axis that is sequential in the source becomes the middle one.
  if (result.inner.from != 1) {
    const auto sequential = std::ranges::find_if(merged, [](const Axis& a) { return a.from == 1; });
    if (sequential != merged.end()) {
      result.middle = *sequential;
      merged.erase(sequential);
    }
  }
  if (result.middle.extent == 1 && !merged.empty()) {
    result.middle = merged.back();
    merged.pop_back();
  }
  result.outer = std::move(merged);
  return result;
}

/// Short runs, for which a call takes longer than moving their bytes.
constexpr size_t kChunk = 16;
constexpr size_t kFewChunks = 8;

/// `bytes` are some chunks.
inline void copy_chunks(const void* from, void* to, size_t bytes) {
  for (size_t at = 0; at < bytes; at += kChunk) {
    std::memcpy(static_cast<std::byte*>(to) + at, static_cast<const std::byte*>(from) + at, kChunk);
  }
}

template <class T>
void copy_rows(const T* from, T* to, const Axis& middle, const Axis& inner) {
  const size_t bytes = static_cast<size_t>(inner.extent) * sizeof(T);
  const bool in_chunks = bytes % kChunk == 0 && bytes <= kFewChunks * kChunk;
  for (int64_t m = 0; m < middle.extent; ++m) {
    const T* source = from + m * middle.from;
    T* target = to + m * middle.to;
    if (inner.from == 1 && inner.to == 1) {
      in_chunks ? copy_chunks(source, target, bytes)
                : static_cast<void>(std::memcpy(target, source, bytes));
    } else {
      for (int64_t i = 0; i < inner.extent; ++i) target[i * inner.to] = source[i * inner.from];
    }
  }
}

/// Few channels: whole pixels are written one after the other, reading a few planes in step.
template <class T, int kChannels>
void interleave(const T* from, T* to, int64_t count, int64_t plane) {
  for (int64_t i = 0; i < count; ++i) {
    for (int c = 0; c < kChannels; ++c) to[i * kChannels + c] = from[i + c * plane];
  }
}

#ifdef __SSE2__

/// 16 rows of 16 bytes to 16 columns. Interleaving each row with the eighth behind it, four times,
/// is a transposition.
void transpose_bytes(const uint8_t* from, int64_t from_stride, uint8_t* to, int64_t to_stride) {
  __m128i rows[kTile];
  __m128i mixed[kTile];
  for (int64_t i = 0; i < kTile; ++i) {
    rows[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i * from_stride));
  }
  for (int round = 0; round < 4; ++round) {
    for (int64_t i = 0; i < kTile / 2; ++i) {
      mixed[2 * i] = _mm_unpacklo_epi8(rows[i], rows[i + kTile / 2]);
      mixed[2 * i + 1] = _mm_unpackhi_epi8(rows[i], rows[i + kTile / 2]);
    }
    std::swap(rows, mixed);
  }
  for (int64_t i = 0; i < kTile; ++i) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i * to_stride), rows[i]);
  }
}

/// Whether the tile could be done so.
bool transpose_tile(const uint8_t* from, uint8_t* to, const Axis& middle, const Axis& inner) {
  if (middle.from != 1 || inner.to != 1) return false;
  transpose_bytes(from, inner.from, to, middle.to);
  return true;
}

#endif

template <class T>
bool transpose_tile(const T*, T*, const Axis&, const Axis&) {
  return false;
}

template <class T>
void transpose(const T* from, T* to, const Axis& middle, const Axis& inner) {
  if (middle.from == 1 && inner.to == 1 && middle.to == inner.extent && inner.extent <= 4) {
    switch (inner.extent) {
      case 2: return interleave<T, 2>(from, to, middle.extent, inner.from);
      case 3: return interleave<T, 3>(from, to, middle.extent, inner.from);
      case 4: return interleave<T, 4>(from, to, middle.extent, inner.from);
      default: break;
    }
  }
  for (int64_t m0 = 0; m0 < middle.extent; m0 += kTile) {
    const int64_t m1 = std::min(middle.extent, m0 + kTile);
    for (int64_t i0 = 0; i0 < inner.extent; i0 += kTile) {
      const int64_t i1 = std::min(inner.extent, i0 + kTile);
      if (m1 - m0 == kTile && i1 - i0 == kTile &&
          transpose_tile(from + m0 * middle.from + i0 * inner.from,
                         to + m0 * middle.to + i0 * inner.to, middle, inner)) {
        continue;
      }
      for (int64_t m = m0; m < m1; ++m) {
        for (int64_t i = i0; i < i1; ++i) {
          to[m * middle.to + i * inner.to] = from[m * middle.from + i * inner.from];
        }
      }
    }
  }
}

template <class T>
void run_plan(const Plan& plan, const T* from, T* to) {
  int64_t outer_count = 1;
  for (const Axis& axis : plan.outer) outer_count *= axis.extent;
  const int64_t inside = plan.middle.extent * plan.inner.extent;
  if (outer_count == 0 || inside == 0) return;
  const bool transposing = plan.inner.from != 1 && plan.middle.from == 1;
  const int64_t grain = std::max<int64_t>(1, kParallelElements / inside);
  parallel_for(outer_count, grain, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const T* source = from + plan.from_offset;
      T* target = to + plan.to_offset;
      int64_t rest = block;
      for (size_t d = plan.outer.size(); d-- > 0;) {
        const Axis& axis = plan.outer[d];
        source += rest % axis.extent * axis.from;
        target += rest % axis.extent * axis.to;
        rest /= axis.extent;
      }
      if (transposing) {
        transpose(source, target, plan.middle, plan.inner);
      } else {
        copy_rows(source, target, plan.middle, plan.inner);
      }
    }
  });
}

template <class T>
class CopyKernel final : public Kernel {
 public:
  explicit CopyKernel(const CopySpec& spec)
      : output_elements_(spec.output_elements), fill_first_(spec.fill_first) {
    std::memcpy(&fill_, &spec.fill, sizeof(T));
    for (const StridedCopy& copy : spec.copies) plans_.push_back(plan(copy));
  }
  void run(const KernelArgs& args) override {
    if (fill_first_) std::fill_n(static_cast<T*>(args.outputs[0]), output_elements_, fill_);
    for (const Plan& step : plans_) {
      T* to = static_cast<T*>(args.outputs[static_cast<size_t>(step.output)]);
      if (to == nullptr) continue;
      run_plan(step, static_cast<const T*>(args.inputs[static_cast<size_t>(step.input)]), to);
    }
  }
  std::string description() const override { return "host copy"; }

 private:
  std::vector<Plan> plans_;
  int64_t output_elements_;
  bool fill_first_;
  T fill_;
};

}  // namespace

KernelPtr make_copy(CopySpec spec) {
  switch (spec.element_bytes) {
    case 1: return std::make_unique<CopyKernel<uint8_t>>(spec);
    case 2: return std::make_unique<CopyKernel<uint16_t>>(spec);
    case 4: return std::make_unique<CopyKernel<uint32_t>>(spec);
    case 8: return std::make_unique<CopyKernel<uint64_t>>(spec);
    default: QTOOL_CHECK(false, std::to_string(spec.element_bytes) + " bytes an element");
  }
  return nullptr;
}

KernelPtr make_layout_conversion(const Shape& shape, size_t element_bytes, Layout from, Layout to) {
  CopySpec spec;
  spec.element_bytes = element_bytes;
  spec.output_elements = element_count(shape);
  spec.copies.push_back({shape, strides(shape, from), strides(shape, to), 0, 0, 0});
  return make_copy(std::move(spec));
}

}  // namespace qtool
