// Streams that are pulled together get the samples that each gets alone: any number of them, anywhere in utterances of
// different lengths, with every kernel set. Usage: streams_together FILE...
#include <stdio.h>
#include <stdlib.h>

#include <algorithm>
#include <vector>

#include <linnet.h>

namespace {

void require(bool holds, const char* promise) {
  if (holds) return;
  fprintf(stderr, "broken promise: %s\n", promise);
  exit(1);
}

struct Random {
  uint32_t state;
  size_t below(size_t n) {
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % n;
  }
};

// An utterance, its frames and where it stands.
struct Utterance {
  linnet_stream* stream;
  std::vector<float> frames;
  size_t n_frames, pushed = 0;
  std::vector<int16_t> samples;

  void feed(const linnet_info& info) {
    if (pushed == n_frames) {
      linnet_stream_finish(stream);
      return;
    }
    size_t taken;
    require(
        linnet_stream_push(stream, frames.data() + pushed * info.n_features, n_frames - pushed, &taken) == LINNET_OK,
        "frames are taken");
    pushed += taken;
  }
};

Utterance make_utterance(const linnet_model* model, const linnet_info& info, const char* kernels, size_t number,
                         uint32_t threads) {
  linnet_stream_options options;
  linnet_stream_options_init(&options);
  options.kernels = kernels;
  options.seed = number;
  options.temperature = number % 3 == 2 ? 0.5f : 1.0f;
  options.threads = threads;
  Utterance u;
  require(linnet_stream_create(model, &options, nullptr, 0, &u.stream) == LINNET_OK, "a stream can be made");
  u.n_frames = number % 4 + (number % 3 == 1 ? 8 : 0);  // some more than any look-ahead
  for (size_t i = 0; i < u.n_frames * info.n_features; ++i)
    u.frames.push_back(static_cast<float>((7 * i + number) % 17) / 8.0f - 1.0f);
  return u;
}

std::vector<int16_t> alone(const linnet_model* model, const linnet_info& info, size_t number) {
  Utterance u = make_utterance(model, info, nullptr, number, 1);
  u.samples.resize(u.n_frames * info.hop_length);
  size_t done = 0, made;
  while (done != u.samples.size()) {
    u.feed(info);
    require(linnet_stream_pull(u.stream, u.samples.data() + done, u.samples.size() - done, &made) == LINNET_OK,
            "samples can be pulled");
    done += made;
  }
  linnet_stream_close(u.stream);
  return u.samples;
}

// Some of the utterances at a time, a few samples of each.
void check(const linnet_model* model, const linnet_info& info, const char* kernels, uint32_t n_streams, Random random) {
  std::vector<Utterance> all;
  for (size_t i = 0; i < n_streams; ++i)
    all.push_back(make_utterance(model, info, kernels, i, kernels == nullptr && i % 5 == 4 ? 3 : 1));
  size_t left = 0;
  for (const Utterance& u : all) left += u.n_frames * info.hop_length;
  while (left != 0) {
    std::vector<Utterance*> some;
    for (Utterance& u : all) {
      u.feed(info);
      if (random.below(4) != 0) some.push_back(&u);
    }
    if (some.empty()) continue;
    std::swap(some.front(), some[random.below(some.size())]);
    const size_t capacity = 1 + random.below(2 * info.hop_length);
    std::vector<std::vector<int16_t>> parts(some.size(), std::vector<int16_t>(capacity));
    std::vector<linnet_stream*> streams;
    std::vector<int16_t*> to;
    std::vector<size_t> made(some.size());
    for (size_t i = 0; i < some.size(); ++i) {
      streams.push_back(some[i]->stream);
      to.push_back(parts[i].data());
    }
    require(linnet_streams_pull(streams.data(), streams.size(), to.data(), capacity, made.data()) == LINNET_OK,
            "streams can be pulled together");
    for (size_t i = 0; i < some.size(); ++i) {
      require(made[i] == capacity || linnet_stream_available(streams[i]) == 0, "as many samples as there are");
      some[i]->samples.insert(some[i]->samples.end(), parts[i].begin(), parts[i].begin() + static_cast<long>(made[i]));
      left -= made[i];
    }
  }
  for (size_t i = 0; i < n_streams; ++i) {
    require(all[i].samples == alone(model, info, i), "together gives the samples of each alone");
    linnet_stream_close(all[i].stream);
  }
}

// A stream that was scored, and so is not matched any more, and one that is; of a model of sub-tensors it gives no
// samples, and so lets none of a batch have any. Nothing where the model draws no tokens.
void check_scored(const linnet_model* model, const linnet_info& info) {
  Utterance a = make_utterance(model, info, nullptr, 7, 1), b = make_utterance(model, info, nullptr, 10, 1);
  const std::vector<uint16_t> tokens(info.samples_per_step, 0);
  double nats = 0;
  size_t scored = 0, made[2];
  if (linnet_stream_score(a.stream, tokens.data(), tokens.size(), &scored, &nats) == LINNET_ERROR_ARGUMENT) {
    linnet_stream_close(a.stream);
    return linnet_stream_close(b.stream);
  }
  for (size_t t = 0; t <= a.n_frames && scored == 0; ++t) {
    a.feed(info);
    require(linnet_stream_score(a.stream, tokens.data(), tokens.size(), &scored, &nats) == LINNET_OK, "a score");
  }
  require(scored == tokens.size(), "a step is scored");
  int16_t parts[2][7];
  int16_t* const to[2] = {parts[0], parts[1]};
  linnet_stream* const streams[2] = {a.stream, b.stream};
  if (linnet_stream_pull(a.stream, parts[0], 7, made) == LINNET_ERROR_STATE) {
    require(linnet_streams_pull(streams, 2, to, 7, made) == LINNET_ERROR_STATE && made[1] == 0, "nothing is pulled");
    linnet_stream_close(a.stream);
    return linnet_stream_close(b.stream);
  }
  size_t total = scored + made[0];
  while (total < a.n_frames * info.hop_length || b.samples.size() < b.n_frames * info.hop_length) {
    a.feed(info);
    b.feed(info);
    require(linnet_streams_pull(streams, 2, to, 7, made) == LINNET_OK, "streams can be pulled together");
    total += made[0];
    b.samples.insert(b.samples.end(), parts[1], parts[1] + made[1]);
  }
  require(total == a.n_frames * info.hop_length, "no more samples than frames");
  require(b.samples == alone(model, info, 10), "together gives the samples of each alone");
  linnet_stream_close(a.stream);
  linnet_stream_close(b.stream);
}

void check_arguments(const linnet_model* model, const linnet_model* other, const linnet_info& info) {
  Utterance a = make_utterance(model, info, nullptr, 1, 1), b = make_utterance(model, info, nullptr, 2, 1);
  Utterance c = make_utterance(other, info, nullptr, 1, 1);
  int16_t sample[2];
  int16_t* to[2] = {sample, sample + 1};
  size_t made[2];
  const auto pull = [&](linnet_stream* first, linnet_stream* second) {
    linnet_stream* streams[2] = {first, second};
    return linnet_streams_pull(streams, 2, to, 1, made);
  };
  require(pull(a.stream, b.stream) == LINNET_OK && made[0] == 0 && made[1] == 0, "no frame, no samples");
  require(pull(a.stream, a.stream) == LINNET_ERROR_ARGUMENT, "a stream stands in a batch once");
  require(pull(a.stream, c.stream) == LINNET_ERROR_ARGUMENT, "a batch has one model");
  require(pull(a.stream, nullptr) == LINNET_ERROR_ARGUMENT, "null is no stream");
  require(linnet_streams_pull(nullptr, 0, nullptr, 1, nullptr) == LINNET_OK, "an empty batch is one");
  for (const Utterance& u : {a, b, c}) linnet_stream_close(u.stream);
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    linnet_model *model, *other;
    linnet_error error;
    require(linnet_model_open(argv[i], &model, &error) == LINNET_OK, "the file is right");
    require(linnet_model_open(argv[i], &other, &error) == LINNET_OK, "the file is right");
    linnet_info info;
    linnet_model_info(model, &info);
    check(model, info, nullptr, 12, Random{1});
    for (size_t k = 0; linnet_kernels(k) != nullptr; ++k) {
      for (uint32_t n : {2u, 3u, 7u, 8u, 9u}) check(model, info, linnet_kernels(k), n, Random{n});
    }
    check_scored(model, info);
    if (i == 1) check_arguments(model, other, info);
    linnet_model_close(model);
    linnet_model_close(other);
  }
  printf("%d files\n", argc - 1);
  return 0;
}
