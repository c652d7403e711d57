#include "transforms.h"

#include <math.h>
#include <stdio.h>

#include "interleaved.h"
#include "cpu/float_mode.h"
#include "kernels/transforms.h"

namespace bench {
namespace {

using namespace linnet;

// A transform with memory of its own.
struct Transform {
  explicit Transform(uint32_t n)
      : twiddles(n), first_twiddles(3 * n / 2), frame(n), gain(n / 2 + 1, 1.0f), sizes(n / 2 + 1) {
    for (uint32_t k = 0; k < n / 2; ++k) {
      const double angle = 6.283185307179586 * k / n;
      twiddles[k] = static_cast<float>(cos(angle));
      twiddles[n / 2 + k] = static_cast<float>(sin(angle));
    }
    put_first_twiddles(n, twiddles.data(), first_twiddles.data());
    for (auto& row : rows) row.resize(n / 2 + 1);
    fourier = {n,
               twiddles.data(),
               first_twiddles.data(),
               frame.data(),
               rows[0].data(),
               rows[1].data(),
               rows[2].data(),
               rows[3].data()};
  }

  std::vector<float> twiddles, first_twiddles, frame, gain, sizes, rows[4];
  Fourier fourier;
};

}  // namespace

void print_transforms() {
  const IeeeFloatMode mode;
  constexpr uint32_t kSize = 800;
  Transform t(1024);
  std::vector<float> signal(kSize), window(kSize, 0.5f);
  for (uint32_t j = 0; j < kSize; ++j) signal[j] = static_cast<float>(j * 2654435769u) * 0x1p-32f - 0.5f;

  std::vector<Kernels> sets;
  for (size_t i = 0; kernel_name(i) != nullptr; ++i) select_kernels(kernel_name(i), &sets.emplace_back());
  Kernels one_by_one = sets.back();
  one_by_one.name = "(one by one)";
  one_by_one.spectrum = spectrum<OneLane>;
  one_by_one.from_spectrum = from_spectrum<OneLane>;
  sets.push_back(one_by_one);
  std::vector<std::function<void()>> work;
  for (const Kernels& k : sets) {
    work.push_back([&] { k.spectrum(t.fourier, 1, kSize, signal.data(), window.data(), t.sizes.data()); });
    work.push_back([&] {
      k.spectrum(t.fourier, 1, kSize, signal.data(), window.data(), t.sizes.data());
      k.from_spectrum(t.fourier, t.gain.data());
    });
  }
  const std::vector<double> seconds = interleaved(work);
  printf("\n%-24s %9s %9s\n", "1024 numbers, us", "spectrum", "and back");
  for (size_t s = 0; s < sets.size(); ++s)
    printf("%-24s %9.2f %9.2f\n", sets[s].name, 1e6 * seconds[2 * s], 1e6 * seconds[2 * s + 1]);
}

}  // namespace bench
