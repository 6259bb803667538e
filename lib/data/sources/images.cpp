// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "data/sources/sources.h"
#include "support/file.h"
#include "support/text.h"

namespace qtool {

namespace fs = std::filesystem;

namespace {

struct Entry {
  std::string file;  ///< relative to the folder
  std::optional<int64_t> label;
};

class Images : public Dataset {
 public:
  Images(std::string kind, fs::path folder, std::vector<Entry> entries, const DataSpec& spec,
         std::string extra)
      : kind_(std::move(kind)), folder_(std::move(folder)), entries_(std::move(entries)),
        preprocessing_(spec.preprocessing), extra_(std::move(extra)) {
    for (const Entry& entry : entries_) {
      if (entry.label) classes_ = std::max(classes_.value_or(0), *entry.label + 1);
    }
  }

  size_t size() const override { return entries_.size(); }
  bool labelled() const override { return classes_.has_value(); }
  std::optional<int64_t> class_count() const override { return classes_; }

  Sample get(size_t index) const override {
    QTOOL_CHECK(index < entries_.size(), "sample " + std::to_string(index));
    const Entry& entry = entries_[index];
    Sample sample;
    sample.id = entry.file;
    sample.label = entry.label;
    const Image image = read_image(folder_ / entry.file);
    within_frame([&] { return (folder_ / entry.file).string(); },
                 [&] { sample.inputs.emplace("", preprocess(image, preprocessing_)); });
    return sample;
  }

  Json provenance() const override {
    std::vector<std::string> files;
    for (const Entry& entry : entries_) files.push_back(entry.file);
    return provenance_of_files(kind_, folder_, files, size(), extra_);
  }

 private:
  std::string kind_;
  fs::path folder_;
  std::vector<Entry> entries_;
  Preprocessing preprocessing_;
  std::string extra_;
  std::optional<int64_t> classes_;
};

bool is_hidden(const fs::path& path) {
  const std::string name = path.filename().string();
  return name.starts_with('.') || name == "__MACOSX";
}

bool is_other_image(const fs::path& path) {
  static constexpr std::array<std::string_view, 7> kOthers{".gif",  ".webp", ".tif", ".tiff",
                                                           ".heic", ".avif", ".ppm"};
  return std::find(kOthers.begin(), kOthers.end(), lower_extension(path)) != kOthers.end();
}

struct Listing {
  std::vector<std::string> folders;
  std::vector<std::string> images;
};

/// Names in the order of their bytes; hidden ones are left out.
Listing list(const fs::path& folder) {
  Listing listing;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (is_hidden(entry.path())) continue;
    if (entry.is_directory()) {
      listing.folders.push_back(name);
    } else if (has_image_extension(entry.path())) {
      listing.images.push_back(name);
    } else if (is_other_image(entry.path())) {
      throw unsupported_error(
          entry.path().string() + ": images are read from JPEG, PNG and BMP files only",
          "Convert it, or take it out of the data set.");
    }
  }
  std::sort(listing.folders.begin(), listing.folders.end());
  std::sort(listing.images.begin(), listing.images.end());
  return listing;
}

std::vector<Entry> entries_by_class(const fs::path& root, const std::vector<std::string>& classes) {
  std::vector<Entry> entries;
  for (size_t label = 0; label < classes.size(); ++label) {
    const fs::path folder = root / classes[label];
    const Listing listing = list(folder);
    if (listing.images.empty()) {
      throw input_error("no images in the class folder " + folder.string(),
                        listing.folders.empty()
                            ? "Remove it if it is no class."
                            : "It has folders itself: is it the one that you mean?");
    }
    if (!listing.folders.empty()) {
      throw input_error("the class folder " + folder.string() + " holds another folder, " +
                            listing.folders.front(),
                        "The images of a class lie directly in its folder.");
    }
    for (const std::string& image : listing.images) {
      entries.push_back({classes[label] + '/' + image, static_cast<int64_t>(label)});
    }
  }
  return entries;
}

/// Whether a file of labels has more than one column.
bool lists_files(const fs::path& path) {
  return path.extension() == ".csv" && read_file(path).find(',') != std::string::npos;
}

std::unique_ptr<Dataset> images_of_table(const fs::path& csv, const fs::path& folder,
                                         const DataSpec& spec) {
  std::vector<Entry> entries;
  for (const LabelRow& row : read_labels(csv)) {
    if (fs::is_regular_file(folder / row.file)) {
      entries.push_back({row.file, row.label});
    } else if (fs::is_regular_file(folder / "images" / row.file)) {
      entries.push_back({"images/" + row.file, row.label});
    } else {
      throw input_error(fmt::format("{}:{}: there is no file {}", csv.string(), row.line, row.file),
                        "It should lie in " + folder.string() + " or in its folder images.");
    }
  }
  if (entries.empty()) throw input_error(csv.string() + " lists no images");
  return std::make_unique<Images>("labelled images", folder, std::move(entries), spec,
                                  read_file(csv));
}

}  // namespace

std::unique_ptr<Dataset> open_image_folder(const DataSpec& spec) {
  const fs::path& folder = spec.path;
  const auto labels = label_file(spec);
  if (!spec.labels.empty() && !labels) {
    throw usage_error(
        "no labels \"" + spec.labels + "\": " + folder.string() + " is a folder of images",
        "Its labels come from a file, from labels.csv or from the names of class folders.");
  }
  if (labels && lists_files(*labels)) return images_of_table(*labels, folder, spec);
  const Listing listing = list(folder);
  if (listing.images.empty() && listing.folders.empty()) {
    throw input_error(
        "no images in " + folder.string(),
        "Expected JPEG, PNG or BMP files, folders of them, labels.csv, or CIFAR's .bin files.");
  }
  if (!listing.images.empty() && !listing.folders.empty()) {
    throw input_error(
        folder.string() + " holds both images and folders, such as " + listing.images.front() +
            " and " + listing.folders.front(),
        "Use one folder for each class, or only images, or describe them in labels.csv.");
  }
  std::vector<Entry> entries;
  // A folder of that name alone is no class of its own.
  const bool only_images = listing.folders == std::vector<std::string>{"images"};
  if (!listing.images.empty() || only_images) {
    for (const std::string& image : only_images ? list(folder / "images").images : listing.images) {
      entries.push_back({(only_images ? "images/" : "") + image, std::nullopt});
    }
    if (entries.empty()) throw input_error("no images in " + (folder / "images").string());
    if (labels) {
      const std::vector<int64_t> list = read_label_list(*labels, entries.size());
      for (size_t i = 0; i < list.size(); ++i) entries[i].label = list[i];
    }
    return std::make_unique<Images>("images", folder, std::move(entries), spec, "");
  }
  if (labels) {
    throw usage_error("--labels " + spec.labels + ": the class folders of " + folder.string() +
                      " say the labels already");
  }
  return std::make_unique<Images>("class folders", folder,
                                  entries_by_class(folder, listing.folders), spec, "");
}

std::unique_ptr<Dataset> open_labelled_images(const fs::path& csv, const DataSpec& spec) {
  if (!spec.labels.empty()) {
    throw usage_error("no labels \"" + spec.labels + "\": they come from " + csv.string());
  }
  const fs::path folder = csv.has_parent_path() ? csv.parent_path() : fs::path(".");
  return images_of_table(csv, folder, spec);
}

}  // namespace qtool
