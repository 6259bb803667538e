// SPDX-License-Identifier: Apache-2.0
#include "rounding/sample_store.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <numeric>

#include "support/checked.h"
#include "support/error.h"

namespace qtool {

namespace {

std::FILE* nameless_file() {
  std::error_code ignored;
  std::string path =
      (std::filesystem::temp_directory_path(ignored) / "qtool-samples-XXXXXX").string();
  const int descriptor = mkstemp(path.data());
  if (descriptor < 0) {
    throw input_error("no temporary file " + path + ": " + std::strerror(errno),
                      "Set TMPDIR to a folder with room, or raise --mem-limit.");
  }
  unlink(path.c_str());
  return fdopen(descriptor, "w+b");
}

}  // namespace

SampleStore::SampleStore(DType dtype, Shape row, size_t samples, MemoryBudget& budget, RowForm form)
    : dtype_(dtype), row_(std::move(row)), row_bytes_(storage_bytes(dtype, element_count(row_))),
      samples_(samples), budget_(budget), form_(form) {
  const size_t bytes = row_bytes_ * samples_;
  if (budget_.take(bytes)) {
    memory_.resize(bytes);
  } else {
    file_ = nameless_file();
  }
}

SampleStore::~SampleStore() {
  budget_.give_back(memory_.size());
  if (file_ != nullptr) std::fclose(file_);
}

void SampleStore::write(size_t first, const TensorView& batch) {
  const size_t count = form_ == RowForm::whole ? 1 : static_cast<size_t>(batch.shape.at(0));
  QTOOL_CHECK(batch.dtype == dtype_ && first + count <= samples_ &&
                  batch.size() == element_count(row_) * static_cast<int64_t>(count),
              "rows that do not fit the store");
  const auto* from = static_cast<const std::byte*>(batch.data);
  if (file_ == nullptr) {
    std::memcpy(memory_.data() + first * row_bytes_, from, count * row_bytes_);
    return;
  }
  size_t done = 0;
  while (done < count * row_bytes_) {
    const ssize_t written = pwrite(fileno(file_), from + done, count * row_bytes_ - done,
                                   static_cast<off_t>(first * row_bytes_ + done));
    if (written <= 0) {
      throw input_error(std::string("samples cannot be put aside: ") + std::strerror(errno),
                        "Set TMPDIR to a folder with room, take fewer --samples, or raise "
                        "--mem-limit.");
    }
    done += static_cast<size_t>(written);
  }
}

Tensor SampleStore::read(std::span<const size_t> rows) const {
  QTOOL_CHECK(form_ == RowForm::slice || rows.size() == 1, "whole tensors come one at a time");
  Shape shape;
  if (form_ == RowForm::slice) shape.push_back(static_cast<int64_t>(rows.size()));
  shape.insert(shape.end(), row_.begin(), row_.end());
  Tensor result(dtype_, shape);
  std::byte* to = result.raw();
  for (const size_t row : rows) {
    QTOOL_CHECK(row < samples_, "a row that the store does not have");
    if (file_ == nullptr) {
      std::memcpy(to, memory_.data() + row * row_bytes_, row_bytes_);
    } else {
      size_t done = 0;
      while (done < row_bytes_) {
        const ssize_t got = pread(fileno(file_), to + done, row_bytes_ - done,
                                  static_cast<off_t>(row * row_bytes_ + done));
        if (got <= 0) throw input_error("samples that were put aside cannot be read back");
        done += static_cast<size_t>(got);
      }
    }
    to += row_bytes_;
  }
  return result;
}

Tensor SampleStore::read(size_t first, size_t count) const {
  std::vector<size_t> rows(count);
  std::iota(rows.begin(), rows.end(), first);
  return read(rows);
}

}  // namespace qtool
