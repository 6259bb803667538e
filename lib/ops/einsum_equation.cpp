// SPDX-License-Identifier: Apache-2.0
#include "ops/einsum_equation.h"

#include <algorithm>
#include <cctype>

#include "support/text.h"

namespace qtool {

namespace {

/// A term as written: letters, and where "..." stands among them.
struct Term {
  std::vector<int> before;
  std::vector<int> after;
  bool ellipsis = false;

  size_t letters() const { return before.size() + after.size(); }
};

Term parse_term(const std::string& text) {
  Term term;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto letter = static_cast<unsigned char>(text[i]);
    if (text.compare(i, 3, "...") == 0 && !term.ellipsis) {
      term.ellipsis = true;
      i += 2;
    } else if (letter < 128 && std::isalpha(letter) != 0) {
      (term.ellipsis ? term.after : term.before).push_back(letter);
    } else {
      throw input_error("the equation has the term \"" + text + '"',
                        "A term is letters, with at most one \"...\" among them.");
    }
  }
  return term;
}

std::vector<int> labels_of(const Term& term, size_t under_ellipsis) {
  std::vector<int> labels = term.before;
  for (size_t i = under_ellipsis; i-- > 0;) labels.push_back(kEllipsis + static_cast<int>(i));
  labels.insert(labels.end(), term.after.begin(), term.after.end());
  return labels;
}

/// The output where none is written.
Term implied(const std::vector<Term>& terms) {
  std::map<int, int> counts;
  Term output;
  for (const Term& term : terms) {
    output.ellipsis = output.ellipsis || term.ellipsis;
    for (const int letter : term.before) ++counts[letter];
    for (const int letter : term.after) ++counts[letter];
  }
  for (const auto& [letter, count] : counts) {
    if (count == 1) output.after.push_back(letter);
  }
  return output;
}

void check_output(const EinsumEquation& equation) {
  for (size_t i = 0; i < equation.output.size(); ++i) {
    const int label = equation.output[i];
    const bool known = std::ranges::any_of(equation.inputs, [&](const std::vector<int>& labels) {
      return std::ranges::find(labels, label) != labels.end();
    });
    const bool repeats =
        std::ranges::find(equation.output.begin(), equation.output.begin() + static_cast<int>(i),
                          label) != equation.output.begin() + static_cast<int>(i);
    if (known && !repeats) continue;
    throw input_error(fmt::format("the equation's output has \"{}\" {}", static_cast<char>(label),
                                  known ? "twice" : "that no input has"));
  }
}

}  // namespace

EinsumEquation parse_equation(const std::string& text, const std::vector<size_t>& ranks) {
  std::string plain;
  std::ranges::copy_if(text, std::back_inserter(plain), [](char c) { return c != ' '; });
  const size_t arrow = plain.find("->");
  std::vector<Term> terms;
  for (const std::string& term : split(plain.substr(0, arrow), ',')) {
    terms.push_back(parse_term(term));
  }
  if (terms.size() != ranks.size()) {
    throw input_error(
        fmt::format("an equation of {} terms for {} inputs", terms.size(), ranks.size()));
  }
  EinsumEquation equation;
  size_t widest = 0;
  for (size_t i = 0; i < terms.size(); ++i) {
    const size_t letters = terms[i].letters();
    if (letters > ranks[i] || (letters < ranks[i] && !terms[i].ellipsis)) {
      throw input_error(
          fmt::format("a term of {} letters for input {} of rank {}", letters, i, ranks[i]));
    }
    const size_t under = ranks[i] - letters;
    equation.inputs.push_back(labels_of(terms[i], under));
    widest = std::max(widest, under);
  }
  const Term output =
      arrow == std::string::npos ? implied(terms) : parse_term(plain.substr(arrow + 2));
  equation.output = labels_of(output, output.ellipsis ? widest : 0);
  check_output(equation);
  return equation;
}

std::map<int, Dim> label_extents(const EinsumEquation& equation,
                                 const std::vector<std::vector<Dim>>& shapes) {
  std::map<int, Dim> extents;
  for (size_t i = 0; i < shapes.size(); ++i) {
    for (size_t d = 0; d < shapes[i].size(); ++d) {
      const Dim& dim = shapes[i][d];
      const auto [found, fresh] = extents.emplace(equation.inputs[i][d], dim);
      Dim& known = found->second;
      if (fresh || dim.value == 1 || dim == known) continue;
      if (known.value && dim.value && *known.value != 1) {
        throw input_error(fmt::format("input {} has the extent {} along axis {}, others {}", i,
                                      *dim.value, d, *known.value));
      }
      if (dim.value || known.value == 1) known = dim;
    }
  }
  return extents;
}

}  // namespace qtool
