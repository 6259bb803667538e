// SPDX-License-Identifier: Apache-2.0
#include "support/text.h"

#include <cmath>
#include <limits>

#include "catch.h"
#include "support/error.h"

using namespace qtool;
using Strings = std::vector<std::string>;

TEST_CASE("split and join are inverse") {
  CHECK(split("a,b,,c", ',') == Strings{"a", "b", "", "c"});
  CHECK(split("", ',') == Strings{""});
  CHECK(split(",", ',') == Strings{"", ""});
  CHECK(join(Strings{"a", "b", "", "c"}, ",") == "a,b,,c");
  CHECK(join(Strings{"one", "two"}, " and ") == "one and two");
  CHECK(join(Strings{}, ",").empty());
}

TEST_CASE("nearest offers likely names, the best first") {
  const Strings names{"percentile", "minmax", "mse", "entropy"};
  CHECK(nearest("minmx", names) == Strings{"minmax"});
  CHECK(nearest("precentile", names) == Strings{"percentile"});
  CHECK(nearest("entopy", names) == Strings{"entropy"});
  CHECK(nearest("zzzzzzzz", names).empty());
  CHECK(nearest("mse", names) == Strings{"mse"});
  // One edit, two edits, three edits of six letters; four are too many.
  CHECK(nearest("abcdef", Strings{"abcxyz", "axcxef", "abcdex", "axyzwf"}) ==
        Strings{"abcdex", "axcxef", "abcxyz"});
  CHECK(nearest("abcdef", Strings{"abcdex", "axcxef", "abcxyz"}, 1) == Strings{"abcdex"});
  // A part of a long name is found too.
  CHECK(nearest("conv1", Strings{"model/features/conv1/Conv", "model/fc"}) ==
        Strings{"model/features/conv1/Conv"});
  CHECK(nearest("a", Strings{}).empty());
}

TEST_CASE("did_you_mean reads as a question or is empty") {
  CHECK(did_you_mean("mxe", Strings{"mse"}) == "Did you mean \"mse\"?");
  CHECK(did_you_mean("abcdef", Strings{"abcdeg", "abcdxx"}) ==
        "Did you mean \"abcdeg\" or \"abcdxx\"?");
  CHECK(did_you_mean("abcdef", Strings{"abcdeg", "abcdxx", "abcxxx"}) ==
        "Did you mean \"abcdeg\", \"abcdxx\" or \"abcxxx\"?");
  CHECK(did_you_mean("abc", Strings{"xyz"}).empty());
  CHECK(or_did_you_mean("mxe", Strings{"mse"}) == " Did you mean \"mse\"?");
  CHECK(or_did_you_mean("abc", Strings{"xyz"}).empty());
}

TEST_CASE("Bytes and counts as people read them") {
  CHECK(human_bytes(0) == "0 B");
  CHECK(human_bytes(842) == "842 B");
  CHECK(human_bytes(1000) == "1.00 kB");
  CHECK(human_bytes(1099188) == "1.10 MB");
  CHECK(human_bytes(45828512) == "45.8 MB");
  CHECK(human_bytes(5'000'000'000'000'000) == "5000.0 TB");
  CHECK(human_count(903) == "903");
  CHECK(human_count(41'200'000) == "41.2 M");
}

TEST_CASE("shortest prints as briefly as the float allows and reads back as it") {
  CHECK(fmt::format("{}", shortest(0.1F)) == "0.1");
  CHECK(fmt::format("{}", static_cast<double>(0.1F)) == "0.10000000149011612");
  for (const float value : {0.0F, 1.0F, -0.3F, 1.0F / 3, 3.4028235e38F, 1e-45F, 16777217.0F}) {
    CHECK(static_cast<float>(shortest(value)) == value);
  }
  CHECK(std::isinf(shortest(std::numeric_limits<float>::infinity())));
  CHECK(std::isnan(shortest(std::numeric_limits<float>::quiet_NaN())));
}

TEST_CASE("A text table: numbers to the right, words to the left, no trailing blanks") {
  const std::vector<Strings> rows{{"model", "size", "top-1", "note"},
                                  {"resnet20", "1.10", "91.73", ""},
                                  {"größer", "12", "-", "two words"}};
  CHECK(text_table(rows) ==
        "model     size  top-1  note\n"
        "--------  ----  -----  ---------\n"
        "resnet20  1.10  91.73\n"
        "größer      12      -  two words\n");
  CHECK(text_table(std::vector<Strings>{}).empty());
  CHECK(text_table(std::vector<Strings>{{"only", "heading"}}) == "only  heading\n----  -------\n");
  CHECK_THROWS_AS(text_table(std::vector<Strings>{{"a", "b"}, {"1"}}), Error);
}

TEST_CASE("display_width counts characters, not bytes") {
  CHECK(display_width("resnet20 · 3") == 12);
  CHECK(display_width("→größe") == 6);
  CHECK(display_width("") == 0);
}
