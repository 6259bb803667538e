// SPDX-License-Identifier: Apache-2.0
// DFT, STFT, MelWeightMatrix, Det; the indices of MaxPool.
#include <cmath>

#include "ops/data_movement_cases.h"

namespace qtool::test {

namespace {

Constant number(int64_t value) { return s64({}, {value}); }

std::vector<OpCase> fourier_cases() {
  const Attribute one = int64_t{1};
  const Constant step = f32({1, 4, 1}, {1, 1, 0, 0});
  const Constant impulse = f32({1, 3, 1}, {1, 0, 0});
  const Constant turned = f32({1, 4, 2}, {2, 0, 1, -1, 0, 0, 1, 1});
  const float third = std::sqrt(3.0F) / 2;
  return {
      make("DFT", 17, "step", {}, {step}, {turned}),
      make("DFT", 17, "one side", {{"onesided", one}}, {step},
           {f32({1, 3, 2}, {2, 0, 1, -1, 0, 0})}),
      make("DFT", 17, "inverse", {{"inverse", one}}, {turned},
           {f32({1, 4, 2}, {1, 0, 1, 0, 0, 0, 0, 0})}),
      make("DFT", 17, "of three", {}, {f32({1, 3, 1}, {0, 1, 0})},
           {f32({1, 3, 2}, {1, 0, -0.5F, -third, -0.5F, third})}),
      make("DFT", 17, "longer", {}, {f32({1, 2, 1}, {1, 1}), number(4)}, {turned}),
      make("DFT", 17, "shorter", {}, {impulse, number(1)}, {f32({1, 1, 2}, {1, 0})}),
      make("DFT", 17, "along columns", {{"axis", one}}, {noise({2, 5, 3, 2})}),
      make("DFT", 17, "along rows", {{"axis", int64_t{2}}}, {noise({2, 5, 7, 1})}),
      make("DFT", 20, "default axis", {}, {step}, {turned}),
      make("DFT", 20, "axis", {}, {f32({2, 1, 1}, {1, 3}), nullptr, number(0)},
           {f32({2, 1, 2}, {4, 0, -2, 0})}),
      make("DFT", 17, "axis of the parts", {{"axis", int64_t{2}}}, {step}, {}, "holds the parts"),
      make("DFT", 17, "parts", {}, {ramp({1, 2, 3})}, {}, "a signal of 3 parts"),
      make("DFT", 17, "length", {}, {step, number(0)}, {}, "a transform of length 0"),
      make("DFT", 17, "two lengths", {}, {step, list({1, 2})}, {}, "not one number"),

      make("STFT", 17, "frames", {{"onesided", int64_t{0}}},
           {f32({1, 3, 1}, {1, 2, 4}), number(1), nullptr, number(2)},
           {f32({1, 2, 2, 2}, {3, 0, -1, 0, 6, 0, -2, 0})}),
      make("STFT", 17, "window", {}, {f32({1, 4, 1}, {1, 2, 3, 4}), number(2), f32({2}, {1, 0.5F})},
           {f32({1, 2, 2, 2}, {2, 0, 0, 0, 5, 0, 1, 0})}),
      make("STFT", 17, "signals", {}, {noise({2, 30, 1}), number(5), noise({12}, 3), number(12)}),
      make("STFT", 17, "no frame", {}, {ramp({1, 4, 1}), number(1)}, {},
           "neither a window nor a frame_length"),
      make("STFT", 17, "step", {}, {ramp({1, 4, 1}), number(0), nullptr, number(2)}, {},
           "a frame_step of 0"),
      make("STFT", 17, "frames too long", {}, {ramp({1, 4, 1}), number(1), nullptr, number(5)}, {},
           "frames of 5 in a signal of 4"),
      make("STFT", 17, "window of another length", {},
           {ramp({1, 4, 1}), number(1), ramp({3}), number(2)}, {}, "a window of 3"),
  };
}

std::vector<OpCase> mel_cases() {
  OpCase bands = make("MelWeightMatrix", 17, "bands", {},
                      {number(3), number(16), number(8000), scalar(0), scalar(4000)});
  bands.constants = {0, 1, 2, 3, 4};
  // One band from 0 to 2800 Hz: edges at 0, 0.41 and 1.05 of 5 / 4000 bins... all in bin 0.
  OpCase one = make("MelWeightMatrix", 17, "one bin", {},
                    {number(1), number(4), number(100000), scalar(0), scalar(700)},
                    {f32({3, 1}, {1, 0, 0})});
  one.constants = bands.constants;
  OpCase none = make("MelWeightMatrix", 17, "backwards", {},
                     {number(1), number(4), number(100), scalar(50), scalar(10)}, {},
                     "1 mel bands from 50 to 10 Hz");
  none.constants = bands.constants;
  return {std::move(bands), std::move(one), std::move(none)};
}

std::vector<OpCase> det_cases() {
  return {
      make("Det", 11, "matrix", {}, {f32({2, 2}, {1, 2, 3, 4})}, {scalar(-2)}),
      make("Det", 11, "needs a pivot", {}, {f32({3, 3}, {0, 2, 0, 3, 0, 0, 0, 0, 5})},
           {scalar(-30)}),
      make("Det", 11, "singular", {}, {f32({2, 2}, {1, 2, 2, 4})}, {scalar(0)}),
      make("Det", 11, "several", {}, {f32({2, 1, 1}, {7, -3})}, {f32({2}, {7, -3})}),
      make("Det", 11, "of nothing", {}, {f32({2, 0, 0}, {})}, {f32({2}, {1, 1})}),
      make("Det", 11, "no square", {}, {ramp({2, 3})}, {}, "2 by 3"),
      make("Det", 11, "vector", {}, {ramp({2})}, {}, "holds no matrices"),
  };
}

std::vector<OpCase> index_cases() {
  const auto pool = [](std::string name, CaseAttributes attributes, Constant x,
                       std::vector<Constant> expected = {}) {
    OpCase item = make("MaxPool", 12, std::move(name), std::move(attributes), {std::move(x)},
                       std::move(expected));
    item.outputs = 2;
    return item;
  };
  const Attribute two = ints({2, 2});
  const Constant x = f32({1, 2, 2, 3}, {1, 5, 2, 5, 0, 9, 3, 3, 3, 3, 3, 3});
  return {
      pool("indices", {{"kernel_shape", two}}, x,
           {f32({1, 2, 1, 2}, {5, 9, 3, 3}), s64({1, 2, 1, 2}, {1, 5, 6, 7})}),
      pool("column-major indices", {{"kernel_shape", two}, {"storage_order", int64_t{1}}}, x,
           {f32({1, 2, 1, 2}, {5, 9, 3, 3}), s64({1, 2, 1, 2}, {2, 5, 6, 8})}),
      pool("indices of a row", {{"kernel_shape", ints({2})}, {"pads", ints({1, 0})}},
           f32({1, 1, 2}, {-4, -5}), {f32({1, 1, 2}, {-4, -4}), s64({1, 1, 2}, {0, 0})}),
      pool("indices of codes", {{"kernel_shape", two}}, u8({1, 1, 2, 2}, {1, 255, 3, 4}),
           {u8({1, 1, 1, 1}, {255}), s64({1, 1, 1, 1}, {1})}),
      pool("indices of images",
           {{"kernel_shape", ints({3, 3})}, {"strides", two}, {"pads", ints({1, 1, 1, 1})}},
           noise({2, 3, 7, 8})),
      pool("indices of volumes", {{"kernel_shape", ints({2, 1, 2})}}, noise({1, 2, 3, 2, 4})),
      pool("indices, dilated", {{"kernel_shape", two}, {"dilations", two}}, noise({1, 2, 5, 6})),
  };
}

}  // namespace

std::vector<OpCase> signal_cases() {
  std::vector<OpCase> all;
  for (auto* const family : {fourier_cases, mel_cases, det_cases, index_cases}) {
    for (OpCase& item : family()) all.push_back(std::move(item));
  }
  return within(1e-6, std::move(all));
}

}  // namespace qtool::test
