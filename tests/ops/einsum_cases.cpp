// SPDX-License-Identifier: Apache-2.0
#include "ops/data_movement_cases.h"

namespace qtool::test {

namespace {

OpCase einsum(const char* equation, std::vector<Constant> inputs,
              std::vector<Constant> expected = {}, std::string error = {}) {
  return {.name = equation,
          .op = "Einsum",
          .opset = 17,
          .attributes = {{"equation", text(equation)}},
          .inputs = std::move(inputs),
          .constants = {1},
          .expected = std::move(expected),
          .error = std::move(error)};
}

}  // namespace

std::vector<OpCase> einsum_cases() {
  const Constant a = f32({2, 2}, {1, 2, 3, 4});
  const Constant b = f32({2, 2}, {5, 6, 7, 8});
  const Constant v = f32({2}, {10, 100});
  return {
      einsum("ij,jk->ik", {a, b}, {f32({2, 2}, {19, 22, 43, 50})}),
      einsum("ij,jk", {a, b}, {f32({2, 2}, {19, 22, 43, 50})}),
      einsum("ij,kj->ki", {a, b}, {f32({2, 2}, {17, 39, 23, 53})}),
      einsum(" b i , i j -> j b ", {a, b}, {f32({2, 2}, {19, 43, 22, 50})}),
      einsum("ba", {a}, {f32({2, 2}, {1, 3, 2, 4})}),
      einsum("ii", {a}, {scalar(5)}),
      einsum("ii->i", {a}, {f32({2}, {1, 4})}),
      einsum("ij->", {a}, {scalar(10)}),
      einsum("ij->j", {a}, {f32({2}, {4, 6})}),
      einsum("i,j", {v, v}, {f32({2, 2}, {100, 1000, 1000, 10000})}),
      einsum("i,i", {v, v}, {scalar(10100)}),
      einsum("ij,j->i", {a, v}, {f32({2}, {210, 430})}),
      einsum("ij,ij->ij", {a, b}, {f32({2, 2}, {5, 12, 21, 32})}),
      einsum("ij,jk,k->i", {a, b, v}, {f32({2}, {2390, 5430})}),
      einsum("ij,kl->jl", {a, b}, {f32({2, 2}, {48, 56, 72, 84})}),
      einsum("...i,i->...", {a, v}, {f32({2}, {210, 430})}),
      einsum("...ij->...ji", {ramp({1, 2, 2})}, {f32({1, 2, 2}, {0, 2, 1, 3})}),
      einsum("i...", {f32({2, 1}, {3, 4})}, {f32({1, 2}, {3, 4})}),
      einsum("ij,jj->ij", {a, b}, {f32({2, 2}, {5, 16, 15, 32})}),
      einsum("ij,ij->i", {a, f32({1, 2}, {1, 10})}, {f32({2}, {21, 43})}),
      einsum("i,->i", {v, scalar(2)}, {f32({2}, {20, 200})}),
      einsum("i,i->", {f32({0}, {}), f32({0}, {})}, {scalar(0)}),
      einsum("i,j->ij", {f32({0}, {}), v}, {f32({0, 2}, {})}),
      einsum("i,i", {s32({2}, {3, -4}), s32({2}, {5, 6})}, {s32({}, {-9})}),
      einsum("bhqd,bhkd->bhqk", {noise({2, 3, 4, 5}), noise({2, 3, 6, 5}, 2)}),
      einsum("bqhd,bkhd->bhqk", {noise({2, 4, 3, 5}), noise({2, 6, 3, 5}, 2)}),
      einsum("bhqk,bkhd->bqhd", {noise({2, 3, 4, 6}), noise({2, 6, 3, 5}, 2)}),
      einsum("bchw,hwd->bcd", {noise({2, 3, 4, 5}), noise({4, 5, 7}, 2)}),
      einsum("...qd,...kd->...qk", {noise({2, 1, 4, 5}), noise({3, 6, 5}, 2)}),
      einsum("abc,cd,bde->ae", {noise({2, 3, 4}), noise({4, 5}, 2), noise({3, 5, 6}, 3)}),
      einsum("ij,jk->ikx", {a, b}, {}, "\"x\" that no input has"),
      einsum("ij,jk->ii", {a, b}, {}, "\"i\" twice"),
      einsum("ij", {a, b}, {}, "1 terms for 2 inputs"),
      einsum("ijk,jk", {a, b}, {}, "a term of 3 letters for input 0 of rank 2"),
      einsum("i,jk", {a, b}, {}, "a term of 1 letters"),
      einsum("i.j,jk", {a, b}, {}, "the term \"i.j\""),
      einsum("......,ij", {a, b}, {}, "at most one"),
      einsum("i1,1k", {a, b}, {}, "A term is letters"),
      einsum("ij,jk", {a, ramp({3, 2})}, {}, "extent 3 along axis 0, others 2"),
      einsum("ij,jk", {a, s64({2, 2}, {1, 2, 3, 4})}, {}, "different types"),
  };
}

}  // namespace qtool::test
