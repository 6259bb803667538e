// SPDX-License-Identifier: Apache-2.0
#include "report/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/escape.h"
#include "report/number_text.h"

namespace qtool {

namespace {

constexpr double kWidth = 460;
constexpr double kHeight = 300;
constexpr double kLeft = 70;
constexpr double kRight = 20;
constexpr double kTop = 34;
constexpr double kBottom = 48;
constexpr size_t kLabelWidth = 30;

std::string open_svg(double width, double height, const std::string& title) {
  return fmt::format(
      "<svg role=\"img\" aria-label=\"{}\" viewBox=\"0 0 {:.0f} {:.0f}\" width=\"{:.0f}\" "
      "height=\"{:.0f}\" xmlns=\"http://www.w3.org/2000/svg\">\n",
      html_text(title), width, height, width, height);
}

std::string text_at(double x, double y, const char* anchor, const std::string& text,
                    const char* more = "") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\"{}>{}</text>\n", x, y,
                     anchor, more, html_text(text));
}

std::string line(double x1, double y1, double x2, double y2, const char* name) {
  return fmt::format(
      "<line class=\"{}\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>\n", name, x1,
      y1, x2, y2);
}

/// Where a value lies on an axis of these ticks.
struct Axis {
  std::vector<double> ticks;
  double begin = 0;
  double end = 0;
  double at(double value) const {
    return begin + (end - begin) * (value - ticks.front()) / (ticks.back() - ticks.front());
  }
};

Axis axis_of(const std::vector<double>& values, double begin, double end) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return {axis_ticks(*low, *high), begin, end};
}

}  // namespace

std::vector<double> axis_ticks(double low, double high) {
  // One value alone, or a span that vanishes beside its values, gets a span of its own.
  const double size = std::max(std::abs(low), std::abs(high));
  if (!(high - low > size * 1e-6)) {
    const double room = size > 0 ? size * 0.02 : 1;
    low -= room;
    high += room;
  }
  const double rough = (high - low) / 5;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough) {
      step = factor * power;
      break;
    }
  }
  std::vector<double> ticks;
  const double first = std::floor(low / step);
  for (int i = 0; i < 20; ++i) {
    ticks.push_back((first + i) * step);
    if (i > 0 && ticks.back() >= high - step * 1e-9) break;
  }
  return ticks;
}

std::string scatter_chart(const Scatter& chart) {
  if (chart.points.empty()) return {};
  std::vector<double> xs;
  std::vector<double> ys;
  for (const Point& point : chart.points) {
    xs.push_back(point.x);
    ys.push_back(point.y);
  }
  const Axis x = axis_of(xs, kLeft, kWidth - kRight);
  const Axis y = axis_of(ys, kHeight - kBottom, kTop);
  std::string svg = open_svg(kWidth, kHeight, chart.title);
  svg += text_at(kWidth / 2, 18, "middle", chart.title, " class=\"title\"");
  for (const double tick : x.ticks) {
    svg += line(x.at(tick), y.begin, x.at(tick), y.end, "grid");
    svg += text_at(x.at(tick), y.begin + 16, "middle", fmt::format("{:.6g}", tick));
  }
  for (const double tick : y.ticks) {
    svg += line(x.begin, y.at(tick), x.end, y.at(tick), "grid");
    svg += text_at(kLeft - 6, y.at(tick) + 4, "end", fmt::format("{:.6g}", tick));
  }
  svg += text_at(kWidth / 2, kHeight - 8, "middle", chart.x_title);
  svg += fmt::format(
      "<text transform=\"translate(14 {:.0f}) rotate(-90)\" text-anchor=\"middle\">"
      "{}</text>\n",
      kHeight / 2, html_text(chart.y_title));
  if (chart.joined) {
    std::string path;
    for (const Point& point : chart.points) {
      path += fmt::format("{:.1f},{:.1f} ", x.at(point.x), y.at(point.y));
    }
    path.pop_back();
    svg += "<polyline class=\"curve\" points=\"" + path + "\"/>\n";
  }
  for (const Point& point : chart.points) {
    const double px = x.at(point.x);
    const double py = y.at(point.y);
    svg += fmt::format(
        "<circle class=\"{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\"><title>{}: {:.6g}, "
        "{:.6g}</title></circle>\n",
        point.reference ? "reference" : "candidate", px, py, chart.joined ? 3 : 5,
        html_text(point.label), point.x, point.y);
    if (chart.joined) continue;
    const bool left = px > kWidth / 2;
    const double label = py < kTop + 14 ? py + 17 : py - 7;  // below, not over the title
    svg += text_at(left ? px - 8 : px + 8, label, left ? "end" : "start",
                   elided(point.label, kLabelWidth));
  }
  return svg + "</svg>\n";
}

std::string bar_chart(const Bars& chart) {
  if (chart.bars.empty()) return {};
  constexpr double kRow = 26;
  constexpr double kNames = 250;
  constexpr double kWide = 760;
  std::vector<double> values{0};
  for (const Bar& bar : chart.bars) {
    if (bar.first) values.push_back(*bar.first);
    if (bar.second) values.push_back(*bar.second);
  }
  const double height = kTop + 22 + kRow * static_cast<double>(chart.bars.size()) + 30;
  const Axis x = axis_of(values, kNames, kWide - 30);
  std::string svg = open_svg(kWide, height, chart.title);
  svg += text_at(kWide / 2, 18, "middle", chart.title, " class=\"title\"");
  const double top = kTop + 16;
  svg += fmt::format("<rect class=\"first\" x=\"{:.0f}\" y=\"26\" width=\"10\" height=\"10\"/>\n",
                     kNames);
  svg += text_at(kNames + 14, 35, "start", chart.first_title);
  svg += fmt::format("<rect class=\"second\" x=\"{:.0f}\" y=\"26\" width=\"10\" height=\"10\"/>\n",
                     kNames + 230);
  svg += text_at(kNames + 244, 35, "start", chart.second_title);
  for (const double tick : x.ticks) {
    svg += line(x.at(tick), top, x.at(tick), height - 26, "grid");
    svg += text_at(x.at(tick), height - 10, "middle", fmt::format("{:.6g}", tick));
  }
  svg += text_at(kNames - 6, height - 10, "end", chart.unit);
  double y = top + 4;
  for (const Bar& bar : chart.bars) {
    svg += text_at(kNames - 6, y + 14, "end", elided(bar.label, kLabelWidth));
    const auto draw = [&](const std::optional<double>& value, const char* name, double at) {
      if (!value) return;
      const double from = std::min(x.at(0), x.at(*value));
      const double wide = std::abs(x.at(*value) - x.at(0));
      svg += fmt::format(
          "<rect class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" "
          "height=\"9\"><title>{}: {:.1f} {}</title></rect>\n",
          name, from, at, wide, html_text(bar.label), *value, html_text(chart.unit));
    };
    draw(bar.first, "first", y);
    draw(bar.second, "second", y + 10);
    y += kRow;
  }
  return svg + "</svg>\n";
}

std::string histogram_chart(const Bins& chart) {
  constexpr double kWide = 300;
  constexpr double kHigh = 130;
  constexpr double kFoot = 100;
  constexpr double kSide = 10;
  const uint64_t most = chart.counts.empty() ? 0 : *std::ranges::max_element(chart.counts);
  if (most == 0 || !(chart.high > chart.low)) return {};
  const auto at = [&](double value) {
    return kSide + (kWide - 2 * kSide) * (value - chart.low) / (chart.high - chart.low);
  };
  std::string svg = open_svg(kWide, kHigh, chart.title);
  svg += text_at(kWide / 2, 14, "middle", elided(chart.title, 44), " class=\"title\"");
  const double width = (kWide - 2 * kSide) / static_cast<double>(chart.counts.size());
  const double scale = (kFoot - 24) / std::log1p(static_cast<double>(most));
  for (size_t i = 0; i < chart.counts.size(); ++i) {
    const double tall = scale * std::log1p(static_cast<double>(chart.counts[i]));
    if (chart.counts[i] == 0) continue;
    svg += fmt::format(
        "<rect class=\"first\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"/>\n",
        kSide + width * static_cast<double>(i), kFoot - tall, std::max(width - 1, 1.0), tall);
  }
  for (const double end : {chart.range_low, chart.range_high}) {
    svg += line(at(end), 20, at(end), kFoot + 4, "range");
    svg += text_at(at(end), kFoot + 18, "middle", fmt::format("{:.4g}", end));
  }
  return svg + "</svg>\n";
}

}  // namespace qtool
