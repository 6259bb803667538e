// SPDX-License-Identifier: Apache-2.0
#include "kernels/reference/reference.h"

#include <cstring>

namespace qtool::reference {

namespace {

/// Steps through all index tuples below `extents`, last one fastest; false after the last.
bool advance(std::vector<int64_t>& index, const Shape& extents) {
  for (size_t d = extents.size(); d-- > 0;) {
    if (++index[d] < extents[d]) return true;
    index[d] = 0;
  }
  return false;
}

constexpr int64_t kPadding = -1;
constexpr int64_t kBeyond = -2;  // where a ceil_mode window hangs over the padding's end

/// Offset within a channel's spatial block of the window position `k` for the output position
/// `out`, or one of the above. `spatial` are the input's spatial extents.
int64_t place(const Window& window, const std::vector<int64_t>& out, const std::vector<int64_t>& k,
              const int64_t* spatial) {
  const size_t rank = k.size();
  int64_t offset = 0;
  bool padding = false;
  for (size_t d = 0; d < rank; ++d) {
    const int64_t at = out[d] * window.strides[d] - window.pads[d] + k[d] * window.dilations[d];
    if (at >= spatial[d] + window.pads[rank + d]) return kBeyond;
    padding = padding || at < 0 || at >= spatial[d];
    offset = offset * spatial[d] + at;
  }
  return padding ? kPadding : offset;
}

int64_t product(const int64_t* begin, const int64_t* end) {
  int64_t result = 1;
  for (; begin != end; ++begin) result *= *begin;
  return result;
}

}  // namespace

template <class T>
Values<T> convolution(const Values<T>& x, const Values<T>& w, const std::vector<T>& bias,
                      const Window& window, int64_t groups, const Shape& out) {
  const int64_t batch = x.shape[0];
  const int64_t channels = x.shape[1];
  const int64_t filters = w.shape[0];
  const int64_t per_group = w.shape[1];
  const int64_t* spatial = x.shape.data() + 2;
  const int64_t plane = product(spatial, x.shape.data() + x.shape.size());
  const int64_t taps = product(window.kernel.data(), window.kernel.data() + window.kernel.size());
  Values<T> y{{batch, filters}, {}};
  y.shape.insert(y.shape.end(), out.begin(), out.end());
  y.elements.resize(static_cast<size_t>(element_count(y.shape)));
  if (y.elements.empty()) return y;
  size_t next = 0;
  for (int64_t n = 0; n < batch; ++n) {
    for (int64_t m = 0; m < filters; ++m) {
      const int64_t first_channel = m / (filters / groups) * per_group;
      std::vector<int64_t> o(out.size(), 0);
      do {
        T sum = bias.empty() ? T{} : bias[static_cast<size_t>(m)];
        std::vector<int64_t> k(window.kernel.size(), 0);
        int64_t tap = 0;
        do {
          const int64_t at = place(window, o, k, spatial);
          if (at >= 0) {
            for (int64_t c = 0; c < per_group; ++c) {
              const auto xi = static_cast<size_t>((n * channels + first_channel + c) * plane + at);
              const auto wi = static_cast<size_t>((m * per_group + c) * taps + tap);
              sum += x.elements[xi] * w.elements[wi];
            }
          }
          ++tap;
        } while (advance(k, window.kernel));
        y.elements[next++] = sum;
      } while (advance(o, out));
    }
  }
  return y;
}

template Values<double> convolution(const Values<double>&, const Values<double>&,
                                    const std::vector<double>&, const Window&, int64_t,
                                    const Shape&);
template Values<uint64_t> convolution(const Values<uint64_t>&, const Values<uint64_t>&,
                                      const std::vector<uint64_t>&, const Window&, int64_t,
                                      const Shape&);

Tensor pool(const Tensor& x, const Window& window, const Shape& out,
            const std::function<float(const std::vector<float>&, int64_t)>& visit) {
  const int64_t planes = x.shape()[0] * x.shape()[1];
  const int64_t* spatial = x.shape().data() + 2;
  const int64_t plane = product(spatial, x.shape().data() + x.rank());
  Shape shape{x.shape()[0], x.shape()[1]};
  shape.insert(shape.end(), out.begin(), out.end());
  Tensor y(DType::float32, shape);
  if (y.size() == 0) return y;
  const auto xs = x.data<float>();
  const auto ys = y.data<float>();
  size_t next = 0;
  std::vector<float> inside;
  for (int64_t p = 0; p < planes; ++p) {
    std::vector<int64_t> o(out.size(), 0);
    do {
      inside.clear();
      int64_t outside = 0;
      std::vector<int64_t> k(window.kernel.size(), 0);
      do {
        const int64_t at = place(window, o, k, spatial);
        if (at >= 0) {
          inside.push_back(xs[static_cast<size_t>(p * plane + at)]);
        } else if (at == kPadding) {
          ++outside;
        }
      } while (advance(k, window.kernel));
      ys[next++] = visit(inside, outside);
    } while (advance(o, out));
  }
  return y;
}

namespace {

/// Which of the matrices of `from` stands at `element` of the broadcast `batch`.
int64_t matrix_index(const Shape& batch, const Shape& from, int64_t element) {
  int64_t index = 0;
  int64_t stride = 1;
  for (size_t back = 1; back <= from.size(); ++back) {
    const int64_t extent = from[from.size() - back];
    const int64_t whole = batch[batch.size() - back];
    if (extent != 1) index += element % whole * stride;
    element /= whole;
    stride *= extent;
  }
  return index;
}

}  // namespace

template <class T>
Values<T> matmul(const Values<T>& a, const Values<T>& b) {
  Shape left = a.shape;
  Shape right = b.shape;
  const bool row = left.size() == 1;
  const bool column = right.size() == 1;
  if (row) left.insert(left.begin(), 1);
  if (column) right.push_back(1);
  const int64_t m = left[left.size() - 2];
  const int64_t k = left.back();
  const int64_t n = right.back();
  const Shape left_batch(left.begin(), left.end() - 2);
  const Shape right_batch(right.begin(), right.end() - 2);
  const auto batch = broadcast(left_batch, right_batch);
  if (!batch || right[right.size() - 2] != k) {
    throw input_error("cannot multiply " + to_string(a.shape) + " with " + to_string(b.shape));
  }
  Values<T> y{*batch, {}};
  if (!row) y.shape.push_back(m);
  if (!column) y.shape.push_back(n);
  y.elements.resize(static_cast<size_t>(element_count(y.shape)));
  for (int64_t e = 0; !y.elements.empty() && e < element_count(*batch); ++e) {
    const int64_t pa = matrix_index(*batch, left_batch, e) * m * k;
    const int64_t pb = matrix_index(*batch, right_batch, e) * k * n;
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        T sum{};
        for (int64_t t = 0; t < k; ++t) {
          sum += a.elements[static_cast<size_t>(pa + i * k + t)] *
                 b.elements[static_cast<size_t>(pb + t * n + j)];
        }
        y.elements[static_cast<size_t>((e * m + i) * n + j)] = sum;
      }
    }
  }
  return y;
}

template Values<double> matmul(const Values<double>&, const Values<double>&);
template Values<uint64_t> matmul(const Values<uint64_t>&, const Values<uint64_t>&);

Tensor gather_strided(const Tensor& x, const Shape& shape, int64_t offset,
                      const std::vector<int64_t>& steps) {
  const auto width = static_cast<size_t>(bits(x.dtype()) / 8);
  QTOOL_CHECK(width > 0, "elements of " + std::string(name(x.dtype())));
  Tensor y(x.dtype(), shape);
  if (y.size() == 0) return y;
  std::vector<int64_t> index(shape.size(), 0);
  std::byte* to = y.raw();
  do {
    int64_t at = offset;
    for (size_t d = 0; d < index.size(); ++d) at += index[d] * steps[d];
    std::memcpy(to, x.raw() + static_cast<size_t>(at) * width, width);
    to += width;
  } while (advance(index, shape));
  return y;
}

}  // namespace qtool::reference
