// Times alternatives in turn, round after round, so that a slow moment of the machine meets all of them.
#pragma once

#include <time.h>

#include <algorithm>
#include <functional>
#include <vector>

namespace bench {

constexpr int kRounds = 9;
constexpr double kRoundSeconds = 0.003;  // of one alternative

inline double now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

inline double time_of(const std::function<void()>& work, int repeats) {
  const double start = now();
  for (int i = 0; i < repeats; ++i) work();
  return (now() - start) / repeats;
}

// The median seconds of each piece of work.
inline std::vector<double> interleaved(const std::vector<std::function<void()>>& alternatives) {
  std::vector<int> repeats;
  for (const auto& work : alternatives) {
    work();  // fills the caches
    const double once = time_of(work, 1);
    repeats.push_back(std::max(1, static_cast<int>(kRoundSeconds / std::max(once, 1e-7))));
  }
  std::vector<std::vector<double>> times(alternatives.size());
  for (int round = 0; round < kRounds; ++round) {
    for (size_t i = 0; i < alternatives.size(); ++i) times[i].push_back(time_of(alternatives[i], repeats[i]));
  }
  std::vector<double> medians;
  for (std::vector<double>& of : times) {
    std::nth_element(of.begin(), of.begin() + kRounds / 2, of.end());
    medians.push_back(of[kRounds / 2]);
  }
  return medians;
}

}  // namespace bench
