// SPDX-License-Identifier: Apache-2.0
// GELUs that are spelled out in elementary ops are found, in whichever order their products stand,
// and nothing else is taken for one.
#include "catch.h"
#include "exec/agree.h"
#include "exec/model.h"

using namespace qtool;
using namespace qtool::test;

namespace {

constexpr float kHalf = 0.5F;
constexpr float kRootHalf = 0.70710678F;

struct Spelled {
  Model m;
  ValueId x = m.input("x", {3, 50});

  ValueId number(float value) { return m.constant(scalar(value)); }
  ValueId times(ValueId a, ValueId b) { return m.add("Mul", {a, b}); }
  ValueId plus(ValueId a, ValueId b) { return m.add("Add", {a, b}); }

  ValueId by_erf(float root_half = kRootHalf) {
    return plus(m.add("Erf", {times(x, number(root_half))}), number(1));
  }
  ValueId by_erf_divided() {
    return plus(number(1), m.add("Erf", {m.add("Div", {x, number(1.41421356F)})}));
  }
  ValueId by_tanh(ValueId cube) {
    const ValueId inner = plus(x, times(number(0.044715F), cube));
    return plus(m.add("Tanh", {times(inner, number(0.797884561F))}), number(1));
  }
  ValueId cube() { return times(times(x, x), x); }
  ValueId power() { return m.add("Pow", {x, number(3)}); }

  void check(const std::string& ops) const {
    CHECK(disagreement(m.graph, 2e-5, 2e-6) == "");
    CHECK(ops_of(Session(m.graph, builtin_ops(), {})) == ops);
  }
};

constexpr const char* kErf = "com.microsoft.Gelu";
constexpr const char* kTanh = "com.microsoft.FastGelu";

}  // namespace

TEST_CASE("A GELU by Erf is one step in each order of its products") {
  Spelled a;
  a.m.output(a.times(a.times(a.x, a.by_erf()), a.number(kHalf)));
  a.check(kErf);
  Spelled b;
  b.m.output(b.times(b.times(b.x, b.number(kHalf)), b.by_erf_divided()));
  b.check(kErf);
  Spelled c;
  c.m.output(c.times(c.times(c.by_erf(), c.number(kHalf)), c.x));
  c.check(kErf);
}

TEST_CASE("A GELU by Tanh is one step with its cube as products or as a power") {
  Spelled a;
  a.m.output(a.times(a.times(a.number(kHalf), a.x), a.by_tanh(a.cube())));
  a.check(kTanh);
  Spelled b;
  b.m.output(b.times(b.times(b.x, b.by_tanh(b.power())), b.number(kHalf)));
  b.check(kTanh);
}

TEST_CASE("What only looks like a GELU is computed as it stands") {
  SECTION("another constant") {
    Spelled s;
    s.m.output(s.times(s.times(s.x, s.by_erf(0.7F)), s.number(kHalf)));
    CHECK(ops_of(Session(s.m.graph, builtin_ops(), {})).find(kErf) == std::string::npos);
    CHECK(disagreement(s.m.graph, 2e-5, 2e-6) == "");
  }
  SECTION("an inner value that is an output") {
    Spelled s;
    const ValueId inner = s.by_erf();
    s.m.output(s.times(s.times(s.x, inner), s.number(kHalf)));
    s.m.output(inner);
    CHECK(ops_of(Session(s.m.graph, builtin_ops(), {})).find(kErf) == std::string::npos);
    CHECK(disagreement(s.m.graph, 2e-5, 2e-6) == "");
  }
  SECTION("an inner value that is tapped") {
    Spelled s;
    const ValueId inner = s.by_erf();
    s.m.output(s.times(s.times(s.x, inner), s.number(kHalf)));
    const Session session(s.m.graph, builtin_ops(), {.taps = {inner}});
    CHECK(ops_of(session).find(kErf) == std::string::npos);
  }
}
