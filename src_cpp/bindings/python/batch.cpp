// Several utterances at once, for Python: the streams of a batch take the next utterance when theirs is done.
#include <algorithm>
#include <numeric>
#include <vector>

#include "bindings/python/model.h"

namespace linnet::python {
namespace {

// Samples of each stream between two looks at the clock.
constexpr size_t kChunk = 16;

struct Utterance {
  const float* frames;  // (n_frames, n_features)
  size_t n_frames;
  uint64_t seed;
  int16_t* samples;  // (n_frames * hop_length)
};

class Batch {
 public:
  Batch(const Model& model, std::vector<Utterance> utterances, const linnet_stream_options& options)
      : model_(model), info_(model.info()), options_(options), waiting_(std::move(utterances)) {
    // The longest first, so that all streams end at about the same time.
    std::stable_sort(waiting_.begin(), waiting_.end(),
                     [](const Utterance& a, const Utterance& b) { return a.n_frames < b.n_frames; });
  }

  linnet_status run(SignalCheck& check_signals) {
    linnet_status status = LINNET_OK;
    while (status == LINNET_OK && active_.size() < kTogether && !waiting_.empty()) status = add_stream();
    while (status == LINNET_OK && !active_.empty()) {
      for (Active& a : active_) {
        status = feed(&a);
        if (status != LINNET_OK) return status;
      }
      status = pull();
      check_signals(done_);
      for (size_t i = active_.size(); status == LINNET_OK && i-- > 0;) {
        if (active_[i].made == active_[i].utterance.n_frames * info_.hop_length) status = replace(i);
      }
    }
    return status;
  }

 private:
  struct Active {
    StreamPointer stream;
    Utterance utterance;
    size_t pushed;  // frames
    size_t made;    // samples
  };

  Utterance next() {
    const Utterance utterance = waiting_.back();
    waiting_.pop_back();
    return utterance;
  }

  linnet_status add_stream() {
    const Utterance utterance = next();
    linnet_stream_options options = options_;
    options.seed = utterance.seed;
    linnet_stream* stream;
    const linnet_status status = linnet_stream_create(model_.get(), &options, nullptr, 0, &stream);
    if (status == LINNET_OK) active_.push_back(Active{StreamPointer(stream), utterance, 0, 0});
    return status;
  }

  linnet_status feed(Active* a) {
    const Utterance& u = a->utterance;
    size_t taken = 0;
    if (a->pushed < u.n_frames) {
      const float* frames = u.frames + a->pushed * info_.n_features;
      const linnet_status status = linnet_stream_push(a->stream.get(), frames, u.n_frames - a->pushed, &taken);
      if (status != LINNET_OK) return status;
      a->pushed += taken;
    }
    return a->pushed < u.n_frames ? LINNET_OK : linnet_stream_finish(a->stream.get());
  }

  linnet_status pull() {
    linnet_stream* streams[kTogether];
    int16_t* samples[kTogether];
    size_t made[kTogether];
    for (size_t i = 0; i < active_.size(); ++i) {
      streams[i] = active_[i].stream.get();
      samples[i] = active_[i].utterance.samples + active_[i].made;
    }
    const linnet_status status = linnet_streams_pull(streams, active_.size(), samples, kChunk, made);
    for (size_t i = 0; status == LINNET_OK && i < active_.size(); ++i) {
      active_[i].made += made[i];
      done_ += made[i];
    }
    return status;
  }

  // The stream of a finished utterance takes the next one, or leaves.
  linnet_status replace(size_t i) {
    if (waiting_.empty()) {
      active_.erase(active_.begin() + static_cast<std::ptrdiff_t>(i));
      return LINNET_OK;
    }
    Active& a = active_[i];
    a.utterance = next();
    a.pushed = a.made = 0;
    return linnet_stream_reset(a.stream.get(), a.utterance.seed, 0);
  }

  const Model& model_;
  linnet_info info_;
  linnet_stream_options options_;
  std::vector<Utterance> waiting_;  // the next one last
  std::vector<Active> active_;
  size_t done_ = 0;  // samples of all utterances
};

// frames: one (n_frames, n_features) array per utterance. Returns their samples.
py::list synthesize_batch(const Model& model, const std::vector<py::array>& frames, const std::vector<uint64_t>& seeds,
                          float temperature, const KernelName& kernels, py::object progress) {
  if (frames.size() != seeds.size()) throw py::value_error("as many seeds as utterances are needed");
  const linnet_info info = model.info();
  std::vector<Utterance> utterances;
  py::list results;
  for (size_t i = 0; i < frames.size(); ++i) {
    const float* data = frame_data(frames[i], info.n_features);
    const auto n_frames = static_cast<size_t>(frames[i].shape(0));
    py::array_t<int16_t> samples(static_cast<py::ssize_t>(n_frames * info.hop_length));
    utterances.push_back(Utterance{data, n_frames, seeds[i], samples.mutable_data()});
    results.append(std::move(samples));
  }
  linnet_stream_options options;
  linnet_stream_options_init(&options);
  options.temperature = temperature;
  options.kernels = kernels ? kernels->c_str() : nullptr;
  SignalCheck check_signals(std::move(progress));
  linnet_status status;
  {
    py::gil_scoped_release release;
    status = Batch(model, std::move(utterances), options).run(check_signals);
  }
  if (status == LINNET_ERROR_KERNELS) raise_no_such_kernels(kernels);
  check(status);
  return results;
}

}  // namespace

void bind_batch(py::module_& module) {
  using py::arg;
  module.def("synthesize_batch", &synthesize_batch, arg("model"), arg("frames"), arg("seeds"),
             arg("temperature") = 1.0f, arg("kernels") = py::none(), arg("progress") = py::none());
}

}  // namespace linnet::python
