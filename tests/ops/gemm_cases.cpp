// SPDX-License-Identifier: Apache-2.0
#include "ops/op_case.h"

namespace qtool::test {

namespace {

OpCase gemm(std::string name, CaseAttributes attributes, std::vector<Constant> inputs,
            std::vector<Constant> expected = {}, std::string error = {}) {
  return {.name = std::move(name),
          .op = "Gemm",
          .attributes = std::move(attributes),
          .inputs = std::move(inputs),
          .constants = {1, 2},
          .expected = std::move(expected),
          .error = std::move(error)};
}

OpCase matmul(std::string name, std::vector<Constant> inputs, std::vector<Constant> expected = {},
              std::string error = {}) {
  return {.name = std::move(name),
          .op = "MatMul",
          .inputs = std::move(inputs),
          .constants = {1},
          .expected = std::move(expected),
          .error = std::move(error)};
}

}  // namespace

std::vector<OpCase> gemm_cases() {
  const Constant a = ramp({2, 3});
  const Constant b = ramp({3, 2});
  const Attribute yes = int64_t{1};
  return {
      gemm("product", {}, {a, b}, {f32({2, 2}, {10, 13, 28, 40})}),
      gemm("bias a column", {}, {a, b, f32({2}, {1, 2})}, {f32({2, 2}, {11, 15, 29, 42})}),
      gemm("bias as a row", {}, {a, b, f32({1, 2}, {1, 2})}, {f32({2, 2}, {11, 15, 29, 42})}),
      gemm("bias of one number", {}, {a, b, f32({1}, {1})}, {f32({2, 2}, {11, 14, 29, 41})}),
      gemm("bias that is a scalar", {}, {a, b, scalar(1)}, {f32({2, 2}, {11, 14, 29, 41})}),
      gemm("one column and a scalar", {}, {a, f32({3, 1}, {1, 1, 1}), scalar(1)},
           {f32({2, 1}, {4, 13})}),
      gemm("one number a row", {}, {a, b, f32({2, 1}, {1, 2})}, {f32({2, 2}, {11, 14, 30, 42})}),
      gemm("a matrix added", {}, {a, b, f32({2, 2}, {1, 2, 3, 4})},
           {f32({2, 2}, {11, 15, 31, 44})}),
      gemm("transB", {{"transB", yes}}, {a, ramp({2, 3})}, {f32({2, 2}, {5, 14, 14, 50})}),
      gemm("transA", {{"transA", yes}}, {ramp({3, 2}), b}, {f32({2, 2}, {20, 26, 26, 35})}),
      gemm("alpha and beta", {{"alpha", 0.5F}, {"beta", 2.0F}}, {a, b, f32({2, 1}, {1, 2})},
           {f32({2, 2}, {7, 8.5F, 18, 24})}),
      gemm("no rows", {}, {f32({0, 3}, {}), b}, {f32({0, 2}, {})}),
      gemm("no columns", {}, {a, f32({3, 0}, {})}, {f32({2, 0}, {})}),
      gemm("empty sums", {}, {f32({2, 0}, {}), f32({0, 2}, {}), f32({2}, {1, 2})},
           {f32({2, 2}, {1, 2, 1, 2})}),
      gemm("classifier", {{"transB", yes}}, {noise({5, 67}), noise({10, 67}, 2), noise({10}, 3)}),
      gemm("wide", {}, {noise({3, 40}), noise({40, 129}, 2), noise({129}, 3)}),
      gemm("rank 3", {}, {ramp({1, 2, 3}), b}, {}, "Gemm takes matrices"),
      gemm("inner extents", {}, {a, ramp({2, 2})}, {}, "inner extents differ: 3 and 2"),
      gemm("bias of another length", {}, {a, b, f32({3}, {1, 2, 3})}, {}, "float[3]"),
      gemm("bias larger than the result", {}, {a, b, ramp({3, 2, 2})}, {}, "float[3,2,2]"),
      gemm("integers", {}, {s32({1, 2}, {3, 4}), s32({2, 1}, {5, -6}), s32({}, {7})},
           {s32({1, 1}, {-2})}),
      gemm("integers scaled", {{"alpha", 2.0F}}, {s32({1, 1}, {1}), s32({1, 1}, {1})}, {},
           "alpha or beta"),
      gemm("doubles", {{"beta", 2.0F}},
           {elements<double>({1, 1}, {0.1}), elements<double>({1, 1}, {3}),
            elements<double>({1}, {1})},
           {elements<double>({1, 1}, {0.1 * 3 + 2})}),
      gemm("halves", {},
           {elements<Float16>({1, 1}, {Float16::from(1.5F)}),
            elements<Float16>({1, 1}, {Float16::from(3)})},
           {elements<Float16>({1, 1}, {Float16::from(4.5F)})}),
      gemm("transA and transB", {{"transA", yes}, {"transB", yes}},
           {ramp({3, 2}), f32({1, 3}, {1, 10, 100}), f32({2, 1}, {1, 2})},
           {f32({2, 1}, {421, 533})}),
      gemm("transA, wide", {{"transA", yes}},
           {noise({40, 5}), noise({40, 33}, 2), noise({5, 33}, 3)}),
      gemm("transA and transB, wide", {{"transA", yes}, {"transB", yes}},
           {noise({17, 5}), noise({33, 17}, 2), noise({1, 33}, 3)}),
      gemm("types differ", {}, {a, s32({3, 2}, {1, 2, 3, 4, 5, 6})}, {}, "different types"),

      matmul("matrices", {a, b}, {f32({2, 2}, {10, 13, 28, 40})}),
      matmul("row by matrix", {f32({3}, {1, 2, 3}), b}, {f32({2}, {16, 22})}),
      matmul("matrix by column", {a, f32({3}, {1, 2, 3})}, {f32({2}, {8, 26})}),
      matmul("row by column", {f32({3}, {1, 2, 3}), f32({3}, {4, 5, 6})}, {f32({}, {32})}),
      matmul("one matrix for many", {ramp({2, 1, 2}), f32({2, 2}, {1, 0, 0, 10})},
             {f32({2, 1, 2}, {0, 10, 2, 30})}),
      matmul("pairs of matrices", {ramp({2, 1, 2}), ramp({2, 2, 1})}, {f32({2, 1, 1}, {1, 13})}),
      matmul("broadcast both ways", {f32({2, 1, 1, 1}, {1, 2}), f32({3, 1, 1}, {1, 10, 100})},
             {f32({2, 3, 1, 1}, {1, 10, 100, 2, 20, 200})}),
      matmul("no rows", {f32({0, 3}, {}), b}, {f32({0, 2}, {})}),
      matmul("empty sums", {f32({2, 0}, {}), f32({0, 2}, {})}, {f32({2, 2}, {0, 0, 0, 0})}),
      matmul("no matrices", {f32({0, 2, 3}, {}), b}, {f32({0, 2, 2}, {})}),
      matmul("rank 4 by matrix", {noise({2, 3, 4, 65}), noise({65, 33}, 2)}),
      matmul("batches", {noise({3, 4, 5}), noise({3, 5, 6}, 2)}),
      matmul("batches, one side broadcast", {noise({2, 1, 4, 5}), noise({1, 3, 5, 6}, 2)}),
      matmul("attention", {noise({2, 4, 7, 16}), noise({2, 4, 16, 7}, 2)}),
      matmul("scalar", {scalar(1), b}, {}, "MatMul takes no scalars"),
      matmul("inner extents", {a, ramp({2, 2})}, {}, "inner extents differ: 3 and 2"),
      matmul("batches that do not fit", {ramp({2, 1, 2}), ramp({3, 2, 1})}, {},
             "do not broadcast: 2 against 3"),
      matmul("integers", {s32({1, 2}, {3, -4}), s32({2, 1}, {5, 6})}, {s32({1, 1}, {-9})}),
      matmul("integers wrap", {s32({1, 1}, {65536}), s32({1, 1}, {65537})}, {s32({1, 1}, {65536})}),
      matmul("large integers", {s64({1}, {3}), s64({1}, {int64_t{1} << 60})},
             {s64({}, {3 * (int64_t{1} << 60)})}),
      matmul("doubles", {elements<double>({1, 1}, {0.1}), elements<double>({1, 1}, {3})},
             {elements<double>({1, 1}, {0.1 * 3})}),
      matmul("row by many matrices", {noise({5}), noise({3, 5, 4}, 2)}),
      matmul("many matrices by column", {noise({2, 3, 4, 5}), noise({5}, 2)}),
      matmul("long row by column", {noise({333}), noise({333}, 2)}),
      matmul("booleans", {elements<bool>({1}, {true}), elements<bool>({1}, {true})}, {},
             "elements of type bool"),
  };
}

}  // namespace qtool::test
