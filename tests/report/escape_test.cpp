// SPDX-License-Identifier: Apache-2.0
#include "report/escape.h"

#include "catch.h"
#include "support/json.h"
#include "support/rng.h"

using namespace qtool;

TEST_CASE("bytes that are not UTF-8 are written out, the rest stays") {
  CHECK(valid_utf8("conv1/Käse·€\U0001F600\n") == "conv1/Käse·€\U0001F600\n");
  CHECK(valid_utf8("a\xff z") == "a\\xff z");
  CHECK(valid_utf8("\xc0\x80") == "\\xc0\\x80");                    // overlong
  CHECK(valid_utf8("\xe0\x80\xaf") == "\\xe0\\x80\\xaf");           // overlong
  CHECK(valid_utf8("\xed\xa0\x80") == "\\xed\\xa0\\x80");           // surrogate
  CHECK(valid_utf8("\xf4\x90\x80\x80") == "\\xf4\\x90\\x80\\x80");  // beyond U+10FFFF
  CHECK(valid_utf8("\xe2\x82") == "\\xe2\\x82");                    // cut off
}

TEST_CASE("what valid_utf8 lets through, the JSON library accepts") {
  Rng rng(5);
  for (int round = 0; round < 3000; ++round) {
    std::string bytes;
    for (uint32_t i = 0; i < 6; ++i) {
      bytes += static_cast<char>(rng.below(4) == 0 ? rng.below(128) : 128 + rng.below(128));
    }
    CHECK_NOTHROW(Json(valid_utf8(bytes)).dump());
    bool valid = true;
    try {
      Json(bytes).dump();
    } catch (const Json::exception&) {
      valid = false;
    }
    CHECK((valid_utf8(bytes) == bytes) == valid);
  }
}

TEST_CASE("nothing in a name steers the terminal") {
  CHECK(printable("\x1b[31mred\r\n\t\x7f") == "\\x1b[31mred\\x0d\\x0a\\x09\\x7f");
  CHECK(printable("\u0085\u202e") == "\\xc2\\x85\\xe2\\x80\\xae");
  CHECK(printable("conv1_out") == "conv1_out");
}

TEST_CASE("names are plain text in Markdown") {
  CHECK(markdown_text("a|b_c*`d`<e>&[f]") == "a\\|b\\_c\\*\\`d\\`&lt;e&gt;&amp;\\[f\\]");
  CHECK(markdown_text("@somebody") == "&#64;somebody");
  CHECK(markdown_text("x\ny") == "x\\\\x0ay");
}
