// SPDX-License-Identifier: Apache-2.0
// Preprocessing as YAML and JSON, and the presets.
#include <array>
#include <charconv>
#include <cmath>
#include <filesystem>

#include "data/preprocess.h"
#include "data/yaml.h"
#include "support/file.h"
#include "support/text.h"

namespace qtool {

namespace {

constexpr int kMaxSide = 16384;
constexpr uint64_t kMaxFile = 65536;

[[noreturn]] void wrong(std::string_view key, const Json& value, std::string_view expected) {
  throw input_error(fmt::format("preprocessing: \"{}\" is {}; expected {}", key,
                                value.dump().substr(0, 80), expected));
}

int side(std::string_view key, const Json& value) {
  if (!value.is_number_integer() || value < 1 || value > kMaxSide) {
    wrong(key, value, fmt::format("pixels, 1 to {}", kMaxSide));
  }
  return value.get<int>();
}

Extent extent(std::string_view key, const Json& value) {
  if (!value.is_array()) return {side(key, value), side(key, value)};
  if (value.size() != 2) wrong(key, value, "[height, width]");
  return {side(key, value[0]), side(key, value[1])};
}

template <class Enum, size_t N>
Enum choice(std::string_view key, const Json& value, const std::array<std::string, N>& names) {
  for (size_t i = 0; i < N; ++i) {
    if (value == names[i]) return static_cast<Enum>(i);
  }
  const std::string given = value.is_string() ? value.get<std::string>() : value.dump();
  throw input_error(fmt::format("preprocessing: \"{}\" is \"{}\"; expected {}", key,
                                given.substr(0, 80), join(names, " or ")),
                    did_you_mean(given, names));
}

const std::array<std::string, 2> kFilters{"bilinear", "bicubic"};
const std::array<std::string, 2> kColors{"rgb", "bgr"};
const std::array<std::string, 2> kLayouts{"nchw", "nhwc"};

void check_keys(const Json& object, std::string_view where, std::span<const std::string> known) {
  for (const auto& [key, value] : object.items()) {
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    std::string advice = did_you_mean(key, known);
    throw input_error(fmt::format("preprocessing: {}unknown key \"{}\"", where, key.substr(0, 80)),
                      advice.empty() ? "Known are " + join(known, ", ") + '.' : advice);
  }
}

Resize resize_from(const Json& value) {
  if (value.is_array()) return {extent("resize", value)};
  if (!value.is_object()) return {ShorterSide{side("resize", value)}};
  static const std::vector<std::string> kKeys{"shorter", "size", "filter"};
  check_keys(value, "resize: ", kKeys);
  if (value.contains("shorter") == value.contains("size")) {
    wrong("resize", value, "either \"shorter\" or \"size\" in it");
  }
  Resize resize;
  if (value.contains("shorter")) {
    resize.to = ShorterSide{side("shorter", value["shorter"])};
  } else {
    resize.to = extent("size", value["size"]);
  }
  if (value.contains("filter")) resize.filter = choice<Filter>("filter", value["filter"], kFilters);
  return resize;
}

/// 0.5 or "1/255".
double scale_from(const Json& value) {
  double scale = 0;
  if (value.is_number()) {
    scale = value.get<double>();
  } else if (value.is_string()) {
    const std::vector<std::string> parts = split(value.get<std::string>(), '/');
    std::array<double, 2> terms{};
    for (size_t i = 0; i < 2 && parts.size() == 2; ++i) {
      const char* end = parts[i].data() + parts[i].size();
      const auto parsed = std::from_chars(parts[i].data(), end, terms[i]);
      if (parsed.ec != std::errc{} || parsed.ptr != end) terms = {};
    }
    scale = terms[1] != 0 ? terms[0] / terms[1] : 0;
  }
  if (!std::isfinite(scale) || scale == 0)
    wrong("scale", value, "a number other than 0, or a fraction such as \"1/255\"");
  return scale;
}

std::vector<double> numbers(std::string_view key, const Json& value) {
  const Json list = value.is_array() ? value : Json::array({value});
  std::vector<double> result;
  for (const Json& item : list) {
    if (!item.is_number() || !std::isfinite(item.get<double>()))
      wrong(key, value, "a number or a list of numbers");
    if (key == "std" && !(item.get<double>() > 0)) wrong(key, value, "numbers above 0");
    result.push_back(item.get<double>());
  }
  if (result.empty()) wrong(key, value, "a number or a list of numbers");
  return result;
}

void check_crop(const Preprocessing& steps) {
  if (!steps.resize || !steps.crop) return;
  const auto* exact = std::get_if<Extent>(&steps.resize->to);
  const int shorter = exact == nullptr ? std::get<ShorterSide>(steps.resize->to).pixels : 0;
  const int height = exact == nullptr ? shorter : exact->height;
  const int width = exact == nullptr ? shorter : exact->width;
  // Only the shorter side is known before there is an image.
  const bool fits = exact == nullptr ? std::min(steps.crop->height, steps.crop->width) <= shorter
                                     : steps.crop->height <= height && steps.crop->width <= width;
  if (!fits) {
    throw input_error(
        fmt::format("preprocessing: a crop of {}x{} pixels does not fit after resizing",
                    steps.crop->width, steps.crop->height));
  }
}

Json pair(const Extent& extent) { return Json::array({extent.height, extent.width}); }

}  // namespace

Json Preprocessing::to_json() const {
  Json json = Json::object();
  if (resize) {
    Json& value = json["resize"];
    if (const auto* exact = std::get_if<Extent>(&resize->to)) {
      value["size"] = pair(*exact);
    } else {
      value["shorter"] = std::get<ShorterSide>(resize->to).pixels;
    }
    value["filter"] = kFilters.at(static_cast<size_t>(resize->filter));
  }
  if (crop) json["crop"] = pair(*crop);
  json["color"] = kColors.at(static_cast<size_t>(color));
  json["layout"] = kLayouts.at(static_cast<size_t>(layout));
  json["scale"] = scale;
  if (!mean.empty()) json["mean"] = mean;
  if (!std.empty()) json["std"] = std;
  return json;
}

Preprocessing Preprocessing::from_json(const Json& json) {
  static const std::vector<std::string> kKeys{"resize", "crop", "color", "layout",
                                              "scale",  "mean", "std"};
  if (!json.is_object())
    throw input_error("preprocessing: expected a mapping with keys such as " + join(kKeys, ", "));
  check_keys(json, "", kKeys);
  const auto given = [&](const char* key) { return json.contains(key); };
  Preprocessing steps;
  if (given("resize")) steps.resize = resize_from(json["resize"]);
  if (given("crop")) steps.crop = extent("crop", json["crop"]);
  if (given("color")) steps.color = choice<ColorOrder>("color", json["color"], kColors);
  if (given("layout")) steps.layout = choice<ImageLayout>("layout", json["layout"], kLayouts);
  if (given("scale")) steps.scale = scale_from(json["scale"]);
  if (given("mean")) steps.mean = numbers("mean", json["mean"]);
  if (given("std")) steps.std = numbers("std", json["std"]);
  check_crop(steps);
  return steps;
}

namespace {

/// What is wrong in a mapping on the command line is wrong usage, not a wrong file.
Preprocessing parse_inline(std::string_view text) {
  try {
    return Preprocessing::from_json(parse_yaml(std::string(text)));
  } catch (const Error& error) {
    throw usage_error(error.message(), error.advice());
  }
}

bool looks_like_path(std::string_view text) {
  return text.find('/') != std::string_view::npos || text.ends_with(".yaml") ||
         text.ends_with(".yml") || text.ends_with(".json");
}

}  // namespace

Preprocessing Preprocessing::parse(std::string_view text) {
  std::vector<std::string> names;
  for (const Preset& preset : presets()) {
    if (text == preset.name) return preset.steps;
    names.push_back(preset.name);
  }
  const size_t first = text.find_first_not_of(" \t\n");
  if (first != std::string_view::npos && text[first] == '{') return parse_inline(text);
  std::error_code ignored;
  if (std::filesystem::exists(text, ignored)) {
    return within_frame([&] { return std::string(text); },
                        [&] { return from_json(parse_yaml(read_file(text, kMaxFile))); });
  }
  if (looks_like_path(text)) {
    throw input_error("preprocessing: there is no file " + std::string(text),
                      "Expected YAML; or name a preset: " + join(names, ", ") + '.');
  }
  const std::string advice = did_you_mean(text, names);
  throw usage_error(fmt::format("preprocessing: \"{}\" is neither a preset ({}) nor a file", text,
                                join(names, ", ")),
                    advice.empty() ? "A mapping can stand there too: '{scale: 1/255}'." : advice);
}

std::span<const Preset> presets() {
  static const std::vector<double> kMean{0.485, 0.456, 0.406};
  static const std::vector<double> kStd{0.229, 0.224, 0.225};
  static const Resize kShorter256{ShorterSide{256}, Filter::bilinear};
  static const Extent k224{224, 224};
  static const std::vector<Preset> kPresets{
      {"none", "the pixels 0 to 255 as floats, RGB, NCHW, in the image's own size", {}},
      {"imagenet",
       "shorter side 256 (bilinear), centre crop 224, RGB, NCHW, (x/255 - mean)/std of ImageNet",
       {.resize = kShorter256, .crop = k224, .scale = 1.0 / 255, .mean = kMean, .std = kStd}},
      {"imagenet-tf",
       "shorter side 256 (bilinear), centre crop 224, RGB, NCHW, x/127.5 - 1",
       {.resize = kShorter256, .crop = k224, .scale = 1.0 / 127.5, .mean = {1}, .std = {}}},
      {"cifar10",
       "no resizing, RGB, NCHW, (x/255 - mean)/std with ImageNet's mean and std, as CIFAR-10 "
       "models often have it",
       {.resize = {}, .crop = {}, .scale = 1.0 / 255, .mean = kMean, .std = kStd}},
  };
  return kPresets;
}

}  // namespace qtool
