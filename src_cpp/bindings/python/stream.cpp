// Model and Stream: linnet.h for Python. Long loops run here, without the GIL.
#include "bindings/python/model.h"

namespace linnet::python {
namespace {

// Steps of samples between two looks at the clock.
constexpr size_t kChunk = 8;

class Stream {
 public:
  Stream(std::shared_ptr<Model> model, uint64_t seed, uint32_t stream, float temperature, const KernelName& kernels,
         uint32_t threads)
      : model_(std::move(model)), info_(model_->info()) {
    linnet_stream_options options;
    linnet_stream_options_init(&options);
    options.seed = seed;
    options.stream = stream;
    options.temperature = temperature;
    options.threads = threads;
    options.kernels = kernels ? kernels->c_str() : nullptr;
    linnet_status status;
    {
      py::gil_scoped_release release;
      linnet_stream* created;
      status = linnet_stream_create(model_->get(), &options, nullptr, 0, &created);
      stream_.reset(created);
    }
    if (status == LINNET_ERROR_KERNELS) raise_no_such_kernels(kernels);
    check(status);
    heed_signals();
  }

  size_t push(const py::array& frames) {
    const Use use(*this);
    const float* data = frame_data(frames, info_.n_features);
    const auto n_frames = static_cast<size_t>(frames.shape(0));
    SignalCheck check_signals{py::none()};
    py::gil_scoped_release release;
    size_t total = 0;
    for (size_t taken = 1; total < n_frames && taken == 1; total += taken) {
      check(linnet_stream_push(stream_.get(), data + total * info_.n_features, 1, &taken));
      check_signals(0);
    }
    return total;
  }

  size_t pull(py::array& samples) {
    const Use use(*this);
    require_array<int16_t>(samples, "samples", "int16");
    auto* out = static_cast<int16_t*>(samples.mutable_data());
    const auto capacity = static_cast<size_t>(samples.size());
    SignalCheck check_signals{py::none()};
    py::gil_scoped_release release;
    return pull_into(out, 0, capacity, check_signals);
  }

  void finish() {
    const Use use(*this);
    check(linnet_stream_finish(stream_.get()));
  }

  // Every frame, then the end: as many samples as `samples` holds.
  size_t synthesize(const py::array& frames, py::array& samples, py::object progress) {
    require_array<int16_t>(samples, "samples", "int16");
    auto* out = static_cast<int16_t*>(samples.mutable_data());
    const auto capacity = static_cast<size_t>(samples.size());
    return run(frames, std::move(progress),
               [&](size_t done, SignalCheck& check_signals) { return pull_into(out, done, capacity, check_signals); });
  }

  // Every frame, then the end, teacher-forced: the nats of all tokens.
  double score(const py::array& frames, const py::array& tokens, py::object progress) {
    require_array<uint16_t>(tokens, "tokens", "uint16");
    const auto* data = static_cast<const uint16_t*>(tokens.data());
    const auto n_tokens = static_cast<size_t>(tokens.size());
    double nats = 0;
    const size_t scored = run(frames, std::move(progress), [&](size_t done, SignalCheck& check_signals) {
      const size_t chunk = kChunk * info_.samples_per_step;
      size_t made = chunk;
      size_t total = done;
      while (total < n_tokens && made == chunk) {
        check(linnet_stream_score(stream_.get(), data + total, std::min(chunk, n_tokens - total), &made, &nats));
        total += made;
        check_signals(total);
      }
      return total - done;
    });
    if (scored != n_tokens) throw py::value_error("the frames cover " + std::to_string(scored) + " tokens");
    return nats;
  }

  void reset(uint64_t seed, uint32_t stream) {
    const Use use(*this);
    {
      py::gil_scoped_release release;
      check(linnet_stream_reset(stream_.get(), seed, stream));
    }
    heed_signals();
  }

  size_t available() const { return linnet_stream_available(stream_.get()); }
  const char* kernels() const { return linnet_stream_kernels(stream_.get()); }

 private:
  // A stream belongs to one thread at a time; the flag is read and written with the GIL held.
  class Use {
   public:
    explicit Use(Stream& stream) : stream_(stream) {
      if (stream.busy_) throw std::runtime_error("this stream is in use by another thread");
      stream.busy_ = true;
    }
    ~Use() { stream_.busy_ = false; }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    Stream& stream_;
  };

  size_t pull_into(int16_t* out, size_t done, size_t capacity, SignalCheck& check_signals) {
    const size_t chunk = kChunk * info_.samples_per_step;
    size_t made = chunk;
    size_t total = done;
    while (total < capacity && made == chunk) {
      check(linnet_stream_pull(stream_.get(), out + total, std::min(chunk, capacity - total), &made));
      total += made;
      check_signals(total);
    }
    return total - done;
  }

  // Push each frame, `take` what it makes possible, finish, and `take` the rest.
  template <typename Take>
  size_t run(const py::array& frames, py::object progress, Take take) {
    const Use use(*this);
    const float* data = frame_data(frames, info_.n_features);
    const auto n_frames = static_cast<size_t>(frames.shape(0));
    SignalCheck check_signals(std::move(progress));
    py::gil_scoped_release release;
    size_t done = 0;
    for (size_t t = 0; t < n_frames; ++t) {
      size_t taken = 0;
      check(linnet_stream_push(stream_.get(), data + t * info_.n_features, 1, &taken));
      if (taken == 0) break;  // the samples wanted end before this frame
      done += take(done, check_signals);
      check_signals(done);
    }
    check(linnet_stream_finish(stream_.get()));
    return done + take(done, check_signals);
  }

  std::shared_ptr<Model> model_;
  linnet_info info_;
  StreamPointer stream_;
  bool busy_ = false;
};

}  // namespace

void bind_stream(py::module_& module) {
  using py::arg;
  py::class_<Model, std::shared_ptr<Model>>(module, "Model")
      .def_static(
          "open", [](const py::bytes& path) { return std::make_shared<Model>(std::string(path)); }, arg("path"))
      .def_static(
          "from_buffer", [](const py::buffer& buffer) { return std::make_shared<Model>(buffer); }, arg("buffer"))
      .def_property_readonly("sample_rate", [](const Model& m) { return m.info().sample_rate; })
      .def_property_readonly("hop_length", [](const Model& m) { return m.info().hop_length; })
      .def_property_readonly("n_features", [](const Model& m) { return m.info().n_features; })
      .def_property_readonly("samples_per_step", [](const Model& m) { return m.info().samples_per_step; })
      .def_property_readonly("lookahead", [](const Model& m) { return m.info().lookahead; })
      .def_property_readonly("file_size", [](const Model& m) { return m.info().file_size; })
      .def_property_readonly("metadata", [](const Model& m) {
        const linnet_info info = m.info();
        return py::bytes(info.metadata, info.metadata_size);
      });

  py::class_<Stream>(module, "Stream")
      .def(py::init<std::shared_ptr<Model>, uint64_t, uint32_t, float, const KernelName&, uint32_t>(), arg("model"),
           arg("seed") = 0, arg("stream") = 0, arg("temperature") = 1.0f, arg("kernels") = py::none(),
           arg("threads") = 1)
      .def("push", &Stream::push, arg("frames"))
      .def("pull", &Stream::pull, arg("samples"))
      .def("finish", &Stream::finish)
      .def("synthesize", &Stream::synthesize, arg("frames"), arg("samples"), arg("progress") = py::none())
      .def("score", &Stream::score, arg("frames"), arg("tokens"), arg("progress") = py::none())
      .def("reset", &Stream::reset, arg("seed") = 0, arg("stream") = 0)
      .def_property_readonly("available", &Stream::available)
      .def_property_readonly("kernels", &Stream::kernels);
}

}  // namespace linnet::python
