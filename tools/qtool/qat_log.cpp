// SPDX-License-Identifier: Apache-2.0
#include "qat_log.h"

#include <filesystem>

#include "support/file.h"
#include "support/text.h"

namespace qtool {

void QatLog::resume(int epochs) {
  if (!steps_ || !std::filesystem::exists(file_)) return;
  for (const std::string& line : split(read_file(file_), '\n')) {
    if (line.empty()) continue;
    const Json json = Json::parse(line, nullptr, false);
    if (!json.is_object() || !json.contains("epoch") || !json["epoch"].is_number_integer())
      throw input_error(file_ + " is not the log of a training",
                        "Move it away, or give --log another file.");
    const int epoch = json["epoch"].get<int>();
    if (json.contains("step") && epoch <= epochs) lines_[epoch].push_back(line);
  }
}

void QatLog::step(int epoch, double loss, double rate) {
  if (!steps_) return;
  std::vector<std::string>& lines = lines_[epoch];
  lines.push_back(
      Json{{"epoch", epoch}, {"step", lines.size() + 1}, {"loss", loss}, {"lr", rate}}.dump());
}

void QatLog::write(const std::vector<EpochResult>& history) const {
  if (file_.empty()) return;
  write_file(file_, [&](std::ostream& out) {
    for (const EpochResult& epoch : history) {
      if (const auto found = lines_.find(epoch.epoch); found != lines_.end()) {
        for (const std::string& line : found->second) out << line << '\n';
      }
      out << to_json(epoch).dump() << '\n';
    }
  });
}

}  // namespace qtool
