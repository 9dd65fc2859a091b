// The survey's C ABI (engine/survey/binding.py).
#include <algorithm>
#include <exception>
#include <new>
#include <vector>

#include "engine/events/guarded.hpp"
#include "engine/survey/survey.hpp"

namespace memtool {
namespace {

template <class Row>
std::uint64_t copy(const std::vector<Row>& rows, void* to, std::uint64_t most) noexcept {
  std::copy_n(rows.begin(), std::min<std::uint64_t>(most, rows.size()), static_cast<Row*>(to));
  return rows.size();
}

}  // namespace

enum class SurveyList : std::uint32_t { sizes, chains, course, sites, threads };

extern "C" {
#pragma GCC visibility push(default)

Survey* memtool_survey_open() {
  return new (std::nothrow) Survey;
}

// See Survey::append. Returns 0; otherwise 2 and one line in 400 bytes.
std::uint32_t memtool_survey_append(Survey* survey, const TraceEvent* events, const std::int64_t* nanoseconds,
                                    const std::uint64_t* callers, std::uint64_t count, char* message) {
  return guarded([&] { survey->append(events, nanoseconds, callers, count); }, message);
}

void memtool_survey_figures(const Survey* survey, SurveyFigures* figures) {
  *figures = survey->figures();
}

// Copies the first `most` rows of a list and returns their total number; ~0 if memory is exhausted.
std::uint64_t memtool_survey_list(const Survey* survey, SurveyList list, void* rows, std::uint64_t most) {
  try {
    switch (list) {
      case SurveyList::sizes:
        return copy(survey->sizes(), rows, most);
      case SurveyList::chains:
        return copy(survey->chains(), rows, most);
      case SurveyList::course:
        return copy(survey->course(), rows, most);
      case SurveyList::sites:
        return copy(survey->sites(), rows, most);
      case SurveyList::threads:
        return copy(survey->threads(), rows, most);
    }
  } catch (const std::exception&) {
  }
  return ~std::uint64_t{0};
}

void memtool_survey_close(Survey* survey) {
  delete survey;
}

#pragma GCC visibility pop
}  // extern "C"

}  // namespace memtool
