// An utterance made under watch: the profiler, which says where a voice's time goes, operation by operation, and the
// trace, which shows the arena before and after every step.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "bindings/hooks/hooks.h"
#include "run/engine.h"
#include "cpu/float_mode.h"
#include "matching/matching.h"
#include "file/model.h"

namespace linnet::python {
namespace {

using Clock = std::chrono::steady_clock;

double seconds(Clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

// Adds the time since its last reading to the operation that was just done.
struct Stopwatch {
  double* spent;  // (operations of the running program)
  Clock::time_point last;

  static void done(void* context, uint32_t number) {
    auto* self = static_cast<Stopwatch*>(context);
    const Clock::time_point now = Clock::now();
    self->spent[number] += seconds(now - self->last);
    self->last = now;
  }
};

// Seconds that one reading adds to the operation it follows: the least of several means.
double reading_cost() {
  constexpr uint32_t kReadings = 1000;
  double least = 1.0;
  for (int round = 0; round < 20; ++round) {
    double spent = 0;
    Stopwatch watch{&spent, Clock::now()};
    const Observer observer{Stopwatch::done, &watch};
    for (uint32_t i = 0; i < kReadings; ++i) observer.done_with(0);
    least = std::min(least, spent / kReadings);
  }
  return least;
}

struct FreeAligned {
  void operator()(unsigned char* memory) const { ::operator delete(memory, std::align_val_t(kAlignment)); }
};
using AlignedMemory = std::unique_ptr<unsigned char, FreeAligned>;

AlignedMemory aligned_memory(size_t size) {
  return AlignedMemory(static_cast<unsigned char*>(::operator new(size, std::align_val_t(kAlignment))));
}

// A model read from bytes, and its state on one thread.
class Utterance {
 public:
  Utterance(const py::bytes& file, const Sampling& sampling, const KernelName& kernels) {
    const std::string_view bytes = file;
    data_ = aligned_memory(bytes.size());
    std::memcpy(data_.get(), bytes.data(), bytes.size());
    linnet_error error{};
    if (read_model(data_.get(), bytes.size(), &model_, &error) != LINNET_OK) throw py::value_error(error.message);
    tensors_.reset(&model_);
    memory_ = aligned_memory(stream_size(model_, 1));
    stream_ = make_stream(model_, named_kernels(kernels), sampling, Threading{1, 0}, memory_.get());
  }

  Utterance(const Utterance&) = delete;
  Utterance& operator=(const Utterance&) = delete;

  const Config& config() const { return model_.config; }
  Stream* stream() const { return stream_; }

  // The features of `frames` (n_frames, n_features); ValueError for another shape or type.
  const float* features(const py::array& frames) const {
    require_array<float>(frames, "frames", "float32");
    if (frames.ndim() != 2 || frames.shape(1) != static_cast<py::ssize_t>(config().n_features)) {
      throw py::value_error("frames must have shape (n_frames, " + std::to_string(config().n_features) + ")");
    }
    return static_cast<const float*>(frames.data());
  }

 private:
  AlignedMemory data_;
  Model model_{};
  std::unique_ptr<Model, void (*)(Model*)> tensors_{nullptr, free_model};
  AlignedMemory memory_;
  Stream* stream_;
};

// Seconds that matching the samples takes, for every hop of them: (n_hops, 1).
py::array_t<double> time_matching(const Utterance& utterance, const float* features, size_t n_hops,
                                  const int16_t* samples) {
  const Model& model = *utterance.stream()->model;
  py::array_t<double> spent({model.match == nullptr ? 0 : n_hops, size_t{1}});
  if (model.match == nullptr) return spent;
  BumpAllocator measured(nullptr);
  Matching::make(model, &measured);
  const AlignedMemory memory = aligned_memory(measured.used());
  BumpAllocator allocator(memory.get());
  Matching* matching = Matching::make(model, &allocator);
  matching->reset();
  const uint32_t hop = model.config.hop_length, capacity = static_cast<uint32_t>(n_hops);
  // Only read, in spite of the type.
  const Frames frames{const_cast<float*>(features), capacity, model.config.n_features, n_hops};
  std::vector<int16_t> matched(hop);
  for (size_t k = 0; k < n_hops; ++k, samples += hop) {
    const Clock::time_point start = Clock::now();
    matching->run(utterance.stream()->kernels, frames, samples, matched.data());
    spent.mutable_data()[k] = seconds(Clock::now() - start);
  }
  return spent;
}

// Samples between two looks at the clock where they are timed as wholes, and that make one row of the results: few, so
// that the system seldom takes the core away meanwhile.
constexpr uint64_t kChunk = 16;

// Frames are made in turn with the clock read after every operation, and with the clock read around the frame program
// and around chunks of samples: a slow moment of the machine meets both. Rows of frame_* hold seconds of a frame, rows
// of sample_* hold seconds per sample; rows of frames whose samples had to wait for others are zero. The samples are
// the network's, before any matching.
py::dict profile(const py::bytes& file, const py::array& frames, uint64_t seed, const KernelName& kernels) {
  const IeeeFloatMode mode;
  const Utterance utterance(file, Sampling{seed, 0, 1.0f}, kernels);
  const Config& config = utterance.config();
  Stream* stream = utterance.stream();
  const float* features = utterance.features(frames);
  const float* const all_features = features;
  const auto n_pairs = static_cast<size_t>(frames.shape(0)) / 2;

  using Array = py::array_t<double>;
  const auto table = [](size_t rows, size_t columns) {
    Array array({rows, columns});
    std::fill_n(array.mutable_data(), array.size(), 0.0);
    return array;
  };
  const uint64_t per_step = config.samples_per_step;
  const uint64_t chunk = (kChunk + per_step - 1) / per_step * per_step;
  const size_t n_chunks = (config.hop_length + chunk - 1) / chunk;
  Array frame_parts = table(n_pairs, config.n_frame_operations), frame_whole = table(n_pairs, 1);
  Array sample_parts = table(n_pairs * n_chunks, config.n_sample_operations);
  Array sample_whole = table(n_pairs * n_chunks, 1);
  py::array_t<int16_t> samples(static_cast<py::ssize_t>(2 * n_pairs * config.hop_length));
  int16_t* out = samples.mutable_data();
  size_t n_samples = 0;
  for (size_t k = 0; k < n_pairs; ++k, features += 2 * size_t{config.n_features}) {
    Stopwatch watch{frame_parts.mutable_data() + k * config.n_frame_operations, Clock::now()};
    const Observer observer{Stopwatch::done, &watch};
    stream->observer = observer;
    take_frame(stream, features);
    double* parts = sample_parts.mutable_data() + k * n_chunks * config.n_sample_operations;
    while (prepare_sample(stream)) {
      const uint64_t n = std::min(chunk, engine_available(*stream));
      watch = {parts, Clock::now()};
      n_samples += make_samples(stream, n, out + n_samples);
      for (uint32_t op = 0; op < config.n_sample_operations; ++op) *parts++ /= static_cast<double>(n);
    }

    stream->observer = Observer{nullptr, nullptr};
    Clock::time_point start = Clock::now();
    take_frame(stream, features + config.n_features);
    frame_whole.mutable_data()[k] = seconds(Clock::now() - start);
    double* whole = sample_whole.mutable_data() + k * n_chunks;
    while (prepare_sample(stream)) {
      const uint64_t n = std::min(chunk, engine_available(*stream));
      start = Clock::now();
      n_samples += make_samples(stream, n, out + n_samples);
      *whole++ = seconds(Clock::now() - start) / static_cast<double>(n);
    }
  }
  py::dict result;
  result["frame_parts"] = frame_parts;
  result["sample_parts"] = sample_parts;
  result["frame_whole"] = frame_whole;
  result["sample_whole"] = sample_whole;
  result["match_whole"] = time_matching(utterance, all_features, n_samples / config.hop_length, samples.data());
  result["samples"] = samples[py::slice(0, static_cast<py::ssize_t>(n_samples), 1)];
  result["reading"] = reading_cost();
  return result;
}

// Calls observe(arena) before and after every step, with the arena copied: (arena_size).
void trace(const py::bytes& file, const py::array& frames, const py::function& observe, uint64_t seed,
           float temperature, const KernelName& kernels) {
  const IeeeFloatMode mode;
  const Utterance utterance(file, Sampling{seed, 0, temperature}, kernels);
  Stream* stream = utterance.stream();
  const float* features = utterance.features(frames);
  const auto show = [&] { observe(py::array_t<float>(utterance.config().arena_size, stream->arena)); };
  const uint32_t n = utterance.config().samples_per_step;
  std::vector<int16_t> samples(n);
  for (py::ssize_t t = 0; t < frames.shape(0); ++t, features += utterance.config().n_features) {
    take_frame(stream, features);
    while (prepare_sample(stream)) {
      show();
      make_samples(stream, n, samples.data());
      show();
    }
  }
}

}  // namespace

void bind_profile(py::module_& module) {
  using py::arg;
  module.def("profile", profile, arg("file"), arg("frames"), arg("seed") = 0, arg("kernels") = py::none());
  module.def("trace", trace, arg("file"), arg("frames"), arg("observe"), arg("seed") = 0, arg("temperature") = 1.0f,
             arg("kernels") = py::none());
}

}  // namespace linnet::python
