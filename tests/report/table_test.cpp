// SPDX-License-Identifier: Apache-2.0
#include "report/table.h"

#include "catch.h"
#include "report/example.h"

using namespace qtool;
using Catch::Contains;

namespace {

ReportRecord gated_report() {
  ReportRecord report = test::example_report();
  report.gates =
      evaluate(test::gates_of({"top1_drop<=1.0", "size_ratio <= 0.3", "speedup>=4.5"}), report);
  return report;
}

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

}  // namespace

TEST_CASE("the report in the terminal") {
  CHECK(terminal_report(gated_report()) ==
        R"(resnet20.int8.onnx against resnet20.onnx
Accuracy and errors: 10,000 samples of cifar-10-batches-bin.
Latency: batch 1, 1 thread, run by onednn, 100 runs, on AMD EPYC.
Versions: onednn 2.6.3, qtool 0.1.0.

                 resnet20.onnx (float)  resnet20.int8.onnx  against float
---------------  ---------------------  ------------------  ----------------
file size        1.20 MB                300.0 kB            0.250x (-75.0 %)
weights          1.08 MB                277.1 kB            0.257x (-74.3 %)
  as float       1.08 MB                3.00 kB
  as int32       -                      4.00 kB
  as int8        -                      270.0 kB
  as others      -                      60 B
top-1            91.73 %                91.70 %             -0.03 points
  lost, gained                                              14, 11
top-5            99.75 %                99.75 %             no change
same top-1                                                  99.30 %
output SQNR                                                 29.6 dB
largest error                                               0.750
latency, median  2.00 ms                0.500 ms            4.00x faster
  p10 to p90     1.90 to 2.50 ms        0.480 to 0.620 ms
throughput       500 samples/s          2000 samples/s      4.00x
peak memory      30.0 MB                24.0 MB             0.800x (-20.0 %)

Worst layers of resnet20.int8.onnx
3 of 3 tensors, worst first by the error that the layer itself adds (own SQNR), each against the same tensor of the float model.

tensor     made by       SQNR, dB  own SQNR, dB    cosine  largest error  saturated
---------  ------------  --------  ------------  --------  -------------  ---------
conv9_out  Conv conv9    27.2              33.5  0.999100          0.400     1.25 %
conv1_out  Conv conv1    41.0              41.0  0.999960         0.0200     0.00 %
pool_out   MaxPool pool  exact                -  1.000000          0.000          -

Stayed float in resnet20.int8.onnx: 3 nodes

nodes  why                          which
-----  ---------------------------  -----------------------------
    2  the target runs it in float  Softmax softmax, Softmax prob
    1  no rule to quantize it       NonMaxSuppression nms

Gates

result  gate               measured
------  -----------------  -----------
ok      top1_drop<=1.0     0.03 points
ok      size_ratio <= 0.3  0.25x
FAILED  speedup>=4.5       4x

1 of 3 gates FAILED.
)");
}

TEST_CASE("the report as a comment: the verdict first, details folded") {
  const std::string text = markdown_report(gated_report());
  CHECK_THAT(text, Catch::Matchers::StartsWith(R"(### resnet20.int8.onnx against resnet20.onnx

**1 of 3 gates FAILED.**

| result | gate | measured |
| --- | --- | --- |
| ok | top1\_drop&lt;=1.0 | 0.03 points |
)"));
  CHECK_THAT(text, Contains("| file size | 1.20 MB | 300.0 kB | 0.250x (-75.0 %) |\n"));
  CHECK_THAT(text, Contains("| conv9\\_out | Conv conv9 | 27.2 | 33.5 |"));
  CHECK(count(text, "<details>") == 2);
  CHECK(count(text, "</details>") == 2);
}

TEST_CASE("what was not measured has no row, and without gates there is no verdict") {
  ReportRecord report = test::example_report();
  for (ReportedModel* model : {&report.reference, &report.candidates[0].model}) {
    model->metrics = {};
    model->latency_ms.reset();
    model->throughput.reset();
    model->peak_rss_bytes.reset();
    model->weight_bytes.clear();
  }
  report.candidates[0].delta.outcome.reset();
  report.candidates[0].outputs.clear();
  report.candidates[0].layers.clear();
  report.candidates[0].kept_float.clear();
  report.samples.reset();
  report.bench.reset();
  report.provenance.versions.clear();
  fill_deltas(report);
  CHECK(terminal_report(report) == R"(resnet20.int8.onnx against resnet20.onnx

           resnet20.onnx (float)  resnet20.int8.onnx  against float
---------  ---------------------  ------------------  ----------------
file size  1.20 MB                300.0 kB            0.250x (-75.0 %)
)");
}

TEST_CASE("candidates stand side by side, two to a table") {
  ReportRecord report = test::example_report();
  for (const char* name : {"second.onnx", "third.onnx"}) {
    report.candidates.push_back(test::example_candidate());
    report.candidates.back().model.file = name;
  }
  fill_deltas(report);
  report.gates = evaluate(test::gates_of({"speedup>=1"}), report);
  const std::string text = terminal_report(report);
  CHECK_THAT(text, Catch::Matchers::StartsWith("3 candidates against resnet20.onnx\n"));
  CHECK_THAT(text, Contains("resnet20.int8.onnx  against float     second.onnx"));
  CHECK(count(text, "file size") == 2);
  CHECK_THAT(text, Contains("4x  third.onnx\n") && Contains("3 gates passed."));
}

TEST_CASE("the layer that adds most stands first, NaN before all, and ten are enough") {
  ReportRecord report = test::example_report();
  auto& layers = report.candidates[0].layers;
  layers.clear();
  for (int i = 0; i < 30; ++i) {
    LayerError layer;
    layer.tensor = "t" + std::to_string(i);
    layer.sqnr_db = 60 - i;
    layers.push_back(layer);
  }
  layers[3].sqnr_db.reset();  // NaN somewhere: no SQNR, and not exact
  const std::string text = terminal_report(report);
  CHECK_THAT(text, Contains("10 of 30 tensors, worst first by SQNR,"));
  CHECK_THAT(text, Contains("t3             -\nt29         31.0\nt28         32.0\n"));
  CHECK_THAT(text, Contains("\nt21 ") && !Contains("\nt20 "));
}

TEST_CASE("several outputs are told one by one") {
  ReportRecord report = test::example_report();
  Fidelity boxes;
  boxes.sqnr_db = 12.34;
  report.candidates[0].outputs.push_back({"boxes", boxes});
  fill_deltas(report);
  const std::string text = terminal_report(report);
  CHECK_THAT(text, Contains("Outputs of resnet20.int8.onnx against those of float"));
  CHECK_THAT(text, Contains("boxes       12.3"));
  CHECK_THAT(text, Contains("12.3 dB"));
}

TEST_CASE(
    "a hostile name can neither steer the terminal nor fake Markdown, and a comment keeps its "
    "limit") {
  ReportRecord report = test::example_report();
  Candidate& candidate = report.candidates[0];
  candidate.layers[0].tensor = "\x1b[2J\xff|</details>\n# fake";
  candidate.model.file = "a\nb|c.onnx";
  for (int i = 0; i < 200; ++i) {
    candidate.kept_float.push_back({"n", "Op", std::to_string(i) + std::string(9'000, 'r')});
  }
  const std::string text = terminal_report(report);
  CHECK(text.find('\x1b') == std::string::npos);
  CHECK_THAT(text, Contains("a\\x0ab|c.onnx against resnet20.onnx\n"));
  const std::string comment = markdown_report(report);
  CHECK(comment.size() < 65'536);
  CHECK(count(comment, "</details>") == count(comment, "<details>"));
  CHECK_THAT(comment,
             !Contains("\n# fake") && Contains("b\\|c.onnx") && Contains("Left out for length"));
}
