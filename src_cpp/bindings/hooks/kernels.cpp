// Single entries of a kernel table, for the tests that compare them with the reference bit for bit, and for the
// benchmark's stream limit.
#include <algorithm>
#include <chrono>
#include <string_view>
#include <vector>

#include "bindings/hooks/hooks.h"
#include "cpu/float_mode.h"
#include "kernels/arithmetic.h"
#include "kernels/fourier.h"

namespace linnet::python {
namespace {

using Array = py::array_t<float>;

const float* shaped(const py::array& array, std::initializer_list<py::ssize_t> shape, const char* name) {
  require_array<float>(array, name, "float32");
  if (!std::equal(shape.begin(), shape.end(), array.shape(), array.shape() + array.ndim())) {
    throw py::value_error(std::string(name) + " has shape " + std::string(py::str(array.attr("shape"))));
  }
  return static_cast<const float*>(array.data());
}

py::ssize_t length(const py::array& array, int axis, int n_axes, const char* name) {
  if (array.ndim() != n_axes)
    throw py::value_error(std::string(name) + " must have " + std::to_string(n_axes) + " axes");
  return array.shape(axis);
}

Array copy(const float* from, py::ssize_t n) { return Array(n, from); }

Dtype known(uint32_t dtype) {
  if (!known_dtype(dtype)) throw py::value_error("unknown dtype " + std::to_string(dtype));
  return static_cast<Dtype>(dtype);
}

Array gates(const KernelName& kernels, const py::array& recurrent, const py::array& input, const py::array& state) {
  const py::ssize_t units = length(state, 0, 1, "state");
  Array next = copy(shaped(state, {units}, "state"), units);
  const Kernels k = named_kernels(kernels);
  const IeeeFloatMode mode;
  const auto n = static_cast<uint32_t>(units);
  k.gates(n, n, shaped(recurrent, {3, units}, "recurrent"), shaped(input, {3, units}, "input"), next.mutable_data());
  return next;
}

py::tuple exponentials(const KernelName& kernels, const py::array& logits, float inverse_temperature) {
  const py::ssize_t n = length(logits, 0, 1, "logits");
  const py::ssize_t n_groups = (n + kGroup - 1) / kGroup;
  Array e(n_groups * kGroup);
  Array groups(n_groups);
  const Kernels k = named_kernels(kernels);
  const IeeeFloatMode mode;
  const float max = k.exponentials(static_cast<uint32_t>(n), inverse_temperature, shaped(logits, {n}, "logits"),
                                   e.mutable_data(), groups.mutable_data());
  return py::make_tuple(max, e, groups);
}

Array activate(const KernelName& kernels, uint32_t activation, const py::array& y,
               const std::optional<py::array>& add) {
  const py::ssize_t n = length(y, 0, 1, "y");
  if (activation > static_cast<uint32_t>(Activation::exp)) throw py::value_error("no such activation");
  Array out = copy(shaped(y, {n}, "y"), n);
  const Kernels k = named_kernels(kernels);
  const IeeeFloatMode mode;
  k.activate(static_cast<uint32_t>(n), static_cast<Activation>(activation), add ? shaped(*add, {n}, "add") : nullptr,
             out.mutable_data());
  return out;
}

Array upsample(const KernelName& kernels, const py::array& weights, const py::array& in) {
  const py::ssize_t n_rows = length(weights, 0, 2, "weights");
  const py::ssize_t window = length(weights, 1, 2, "weights");
  const py::ssize_t channels = length(in, 1, 2, "in");
  Array out({n_rows, channels});
  const Kernels k = named_kernels(kernels);
  const IeeeFloatMode mode;
  k.upsample(static_cast<uint32_t>(n_rows), static_cast<uint32_t>(window), static_cast<uint32_t>(channels),
             shaped(weights, {n_rows, window}, "weights"), shaped(in, {window, channels}, "in"),
             static_cast<uint32_t>(channels), out.mutable_data());
  return out;
}

// out (n) with the harmonics of parts (2, 2, count) added; n is a multiple of 16.
Array harmonics(const KernelName& kernels, const py::array& cosine, const py::array& sine, const py::array& at,
                const py::array& parts, const py::array& out) {
  const py::ssize_t n = length(out, 0, 1, "out"), count = length(parts, 2, 3, "parts");
  if (n % kGroup != 0 || n > kMostHarmonicSamples) throw py::value_error("no such number of samples");
  Array sums = copy(shaped(out, {n}, "out"), n);
  const Kernels k = named_kernels(kernels);
  const IeeeFloatMode mode;
  k.harmonics(static_cast<uint32_t>(n), static_cast<uint32_t>(count), shaped(cosine, {n}, "cosine"),
              shaped(sine, {n}, "sine"), shaped(at, {n}, "at"), shaped(parts, {2, 2, count}, "parts"),
              static_cast<uint32_t>(count), sums.mutable_data());
  return sums;
}

// Cosines and sines (2, n) of turns (n).
Array circle(const py::array& turns) {
  const py::ssize_t n = length(turns, 0, 1, "turns");
  const float* x = shaped(turns, {n}, "turns");
  Array out({py::ssize_t{2}, n});
  const IeeeFloatMode mode;
  for (py::ssize_t i = 0; i < n; ++i) {
    out.mutable_data()[i] = cos_turns(x[i]);
    out.mutable_data()[n + i] = sin_turns(x[i]);
  }
  return out;
}

// A transform of n numbers, with memory of its own.
class Transform {
 public:
  explicit Transform(const py::array& twiddles) {
    const py::ssize_t length_of_it = length(twiddles, 0, 1, "twiddles");
    const auto n = static_cast<uint32_t>(length_of_it);
    if (n < 16 || (n & (n - 1)) != 0) throw py::value_error("not a power of two from 16 on");
    const float* values = shaped(twiddles, {length_of_it}, "twiddles");
    first_.resize(3 * n / 2);
    put_first_twiddles(n, values, first_.data());
    frame_.resize(n);
    for (auto& row : rows_) row.resize(n / 2 + kGroup);
    fourier_ = {
        n, values, first_.data(), frame_.data(), rows_[0].data(), rows_[1].data(), rows_[2].data(), rows_[3].data()};
  }

  const Fourier& fourier() const { return fourier_; }
  py::ssize_t bins() const { return fourier_.n / 2 + 1; }

 private:
  std::vector<float> first_, frame_, rows_[4];
  Fourier fourier_;
};

// Real parts, imaginary parts and sizes of the bins (n / 2 + 1) of a signal within a window.
py::tuple spectrum(const KernelName& kernels, const py::array& twiddles, uint32_t power, const py::array& signal,
                   const py::array& window) {
  const Transform transform(twiddles);
  const Fourier& fourier = transform.fourier();
  const py::ssize_t size = length(window, 0, 1, "window");
  if (size % 2 != 0 || size > fourier.n) throw py::value_error("no such window");
  Array sizes(transform.bins());
  const Kernels k = named_kernels(kernels);
  const IeeeFloatMode mode;
  k.spectrum(fourier, power, static_cast<uint32_t>(size), shaped(signal, {size}, "signal"),
             shaped(window, {size}, "window"), sizes.mutable_data());
  return py::make_tuple(Array(transform.bins(), fourier.re), Array(transform.bins(), fourier.im), sizes);
}

// n times the frame (n) of bins (n / 2 + 1) with gains.
Array from_spectrum(const KernelName& kernels, const py::array& twiddles, const py::array& re, const py::array& im,
                    const py::array& gain) {
  const Transform transform(twiddles);
  const Fourier& fourier = transform.fourier();
  const py::ssize_t bins = transform.bins();
  std::copy_n(shaped(re, {bins}, "re"), bins, fourier.re);
  std::copy_n(shaped(im, {bins}, "im"), bins, fourier.im);
  const Kernels k = named_kernels(kernels);
  const IeeeFloatMode mode;
  k.from_spectrum(fourier, shaped(gain, {bins}, "gain"));
  return Array(fourier.n, fourier.frame);
}

// What is missing of bands (n); numbers: scale, offset, floor, strength, limit.
Array corrections(const KernelName& kernels, const py::array& numbers, const py::array& features,
                  const py::array& bands) {
  const py::ssize_t n = length(bands, 0, 1, "bands");
  const float* c = shaped(numbers, {5}, "numbers");
  Array missing = copy(shaped(bands, {n}, "bands"), n);
  const Kernels k = named_kernels(kernels);
  const IeeeFloatMode mode;
  k.corrections(static_cast<uint32_t>(n), Correction{c[0], c[1], c[2], c[3], c[4]}, shaped(features, {n}, "features"),
                missing.mutable_data());
  return missing;
}

Array widen(const KernelName& kernels, uint32_t dtype, const py::bytes& values) {
  const Dtype type = known(dtype);
  const std::string_view bytes = values;
  const size_t n = bytes.size() / weight_bytes(type);
  Array out(static_cast<py::ssize_t>(n));
  const Kernels k = named_kernels(kernels);
  const IeeeFloatMode mode;
  k.widen[type](static_cast<uint32_t>(n), bytes.data(), out.mutable_data());
  return out;
}

// Seconds of one pass over the weights, less those that do not fill a step, with the best kernel set.
double time_stream_limit(const py::bytes& values, uint32_t dtype, uint32_t repeats) {
  const Dtype type = known(dtype);
  if (repeats == 0) throw py::value_error("repeats must be at least 1");
  constexpr size_t kStep = 64;
  const std::string_view bytes = values;
  const size_t n = bytes.size() / weight_bytes(type) / kStep * kStep;
  const StreamLimitFn pass = named_kernels(std::nullopt).stream_limit[type];
  py::gil_scoped_release release;
  struct alignas(kAlignment) Line {
    char bytes[kAlignment];
  };
  std::vector<Line> copy(bytes.size() / sizeof(Line) + 1);
  std::copy(bytes.begin(), bytes.end(), copy.data()->bytes);
  volatile float sink = pass(n, copy.data());
  const auto start = std::chrono::steady_clock::now();
  for (uint32_t i = 0; i < repeats; ++i) sink = pass(n, copy.data());
  static_cast<void>(sink);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / repeats;
}

}  // namespace

void bind_kernels(py::module_& module) {
  using py::arg;
  module.def("gates", gates, arg("kernels"), arg("recurrent"), arg("input"), arg("state"));
  module.def("exponentials", exponentials, arg("kernels"), arg("logits"), arg("inverse_temperature"));
  module.def("activate", activate, arg("kernels"), arg("activation"), arg("y"), arg("add") = py::none());
  module.def("upsample", upsample, arg("kernels"), arg("weights"), arg("input"));
  module.def("harmonics", harmonics, arg("kernels"), arg("cosine"), arg("sine"), arg("at"), arg("parts"), arg("out"));
  module.def("spectrum", spectrum, arg("kernels"), arg("twiddles"), arg("power"), arg("signal"), arg("window"));
  module.def("from_spectrum", from_spectrum, arg("kernels"), arg("twiddles"), arg("re"), arg("im"), arg("gain"));
  module.def("corrections", corrections, arg("kernels"), arg("numbers"), arg("features"), arg("bands"));
  module.def("circle", circle, arg("turns"));
  module.def("widen", widen, arg("kernels"), arg("dtype"), arg("values"));
  module.def("stream_limit", time_stream_limit, arg("values"), arg("dtype"), arg("repeats"));
}

}  // namespace linnet::python
