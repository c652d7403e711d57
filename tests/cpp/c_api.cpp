// What linnet.h promises of every call: which status a wrong argument gets, and that `error` says why whenever a model
// is not opened. Usage: c_api VOICE FOLDER; the folder is for files of this program.
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include <linnet.h>

namespace {

void require(bool holds, const char* promise) {
  if (holds) return;
  fprintf(stderr, "broken promise: %s\n", promise);
  exit(1);
}

using Open = linnet_status (*)(const char*, linnet_model**, linnet_error*);

// A call that opens nothing: its status, null in the place of the model, and a message.
template <class Call>
void fails(linnet_status expected, const char* what, Call call) {
  linnet_model* model = reinterpret_cast<linnet_model*>(&model);
  linnet_error error;
  memset(&error, 'x', sizeof error);
  require(call(&model, &error) == expected, what);
  require(model == nullptr, what);
  require(memchr(error.message, 0, sizeof error.message) != nullptr && error.message[0] != 'x', what);
  require(call(&model, nullptr) == expected, what);
}

void check_opening(Open open, const char* voice, const std::string& folder) {
  const std::string absent = folder + "/absent", empty = folder + "/empty", pipe = folder + "/pipe";
  fclose(fopen(empty.c_str(), "wb"));
  require(mkfifo(pipe.c_str(), 0600) == 0 || errno == EEXIST, "a pipe can be made");
  const auto path = [open](const char* name) {
    return [open, name](linnet_model** model, linnet_error* error) {
      errno = 0;
      return open(name, model, error);
    };
  };
  fails(LINNET_ERROR_ARGUMENT, "no path", path(nullptr));
  fails(LINNET_ERROR_SYSTEM, "an absent file", path(absent.c_str()));
  require(errno == ENOENT, "errno says that it is absent");
  fails(LINNET_ERROR_SYSTEM, "a folder", path(folder.c_str()));
  require(errno == EISDIR, "errno says that it is a folder");
  fails(LINNET_ERROR_SYSTEM, "a pipe", path(pipe.c_str()));
  require(errno == EINVAL, "errno says that it is no file");
  fails(LINNET_ERROR_FORMAT, "an empty file", path(empty.c_str()));
  linnet_error error;
  memset(&error, 'x', sizeof error);
  require(open(voice, nullptr, &error) == LINNET_ERROR_ARGUMENT && error.message[0] != 'x', "no place for a model");
  linnet_model* model;
  require(open(voice, &model, nullptr) == LINNET_OK && model != nullptr, "nobody needs to ask for an error");
  linnet_model_close(model);
}

std::vector<char> read_file(const char* path) {
  FILE* file = fopen(path, "rb");
  require(file != nullptr, "the file opens");
  std::vector<char> data;
  for (int c = fgetc(file); c != EOF; c = fgetc(file)) data.push_back(static_cast<char>(c));
  fclose(file);
  return data;
}

void check_memory(const char* voice) {
  const std::vector<char> data = read_file(voice);
  void* memory;
  require(posix_memalign(&memory, 64, data.size() + 64) == 0, "there is memory");
  char* at = static_cast<char*>(memory);
  memcpy(at, data.data(), data.size());
  const auto from = [](const void* start, size_t size) {
    return
        [=](linnet_model** model, linnet_error* error) { return linnet_model_open_memory(start, size, model, error); };
  };
  fails(LINNET_ERROR_ARGUMENT, "no memory", from(nullptr, 1));
  fails(LINNET_ERROR_ALIGNMENT, "memory at an odd place", from(at + 4, data.size()));
  fails(LINNET_ERROR_FORMAT, "nothing", from(nullptr, 0));
  fails(LINNET_ERROR_FORMAT, "half a file", from(at, data.size() / 2));
  require(linnet_model_open_memory(at, data.size(), nullptr, nullptr) == LINNET_ERROR_ARGUMENT, "no place for a model");
  linnet_model* model;
  require(linnet_model_open_memory(at, data.size(), &model, nullptr) == LINNET_OK, "the file is right");
  linnet_model_close(model);
  free(memory);
}

std::vector<int16_t> utterance(const linnet_model* model, const linnet_stream_options* options) {
  linnet_info info;
  linnet_model_info(model, &info);
  linnet_stream* stream;
  require(linnet_stream_create(model, options, nullptr, 0, &stream) == LINNET_OK, "a stream can be made");
  const std::vector<float> frame(info.n_features, 0.5f);
  size_t taken, made;
  require(linnet_stream_push(stream, frame.data(), 1, &taken) == LINNET_OK, "a frame is taken");
  require(linnet_stream_finish(stream) == LINNET_OK, "a stream can be finished");
  std::vector<int16_t> samples(info.hop_length);
  require(linnet_stream_pull(stream, samples.data(), samples.size(), &made) == LINNET_OK, "samples can be pulled");
  require(made == samples.size() && linnet_stream_available(stream) == 0, "a frame is a hop");
  require(linnet_stream_push(stream, frame.data(), 1, &taken) == LINNET_ERROR_STATE, "push after finish");
  linnet_stream_close(stream);
  return samples;
}

// A copy is of the file as it was.
void check_copy(const char* voice, const std::string& folder) {
  const std::string path = folder + "/copied";
  const std::vector<char> data = read_file(voice);
  FILE* file = fopen(path.c_str(), "wb");
  require(fwrite(data.data(), 1, data.size(), file) == data.size(), "the file can be written");
  fclose(file);
  linnet_model *copy, *mapped;
  require(linnet_model_open_copy(path.c_str(), &copy, nullptr) == LINNET_OK, "a copy can be opened");
  require(truncate(path.c_str(), 0) == 0, "the file can be truncated");
  require(linnet_model_open(voice, &mapped, nullptr) == LINNET_OK, "the file is right");
  require(utterance(copy, nullptr) == utterance(mapped, nullptr), "a copy does not follow its file");
  linnet_model_close(copy);
  linnet_model_close(mapped);
}

void check_streams(const linnet_model* model) {
  linnet_info info;
  require(linnet_model_info(model, nullptr) == LINNET_ERROR_ARGUMENT, "no place for the info");
  require(linnet_model_info(nullptr, &info) == LINNET_ERROR_ARGUMENT, "no model");
  linnet_model_info(model, &info);
  linnet_stream_options options;
  linnet_stream_options_init(nullptr);
  linnet_stream* stream;
  const auto refuses = [&](linnet_status expected, const char* what) {
    require(linnet_stream_create(model, &options, nullptr, 0, &stream) == expected && stream == nullptr, what);
  };
  for (float temperature : {-1.0f, NAN, INFINITY}) {
    linnet_stream_options_init(&options);
    options.temperature = temperature;
    refuses(LINNET_ERROR_ARGUMENT, "a temperature that is none");
  }
  for (uint32_t threads : {0u, 17u}) {
    linnet_stream_options_init(&options);
    options.threads = threads;
    refuses(LINNET_ERROR_ARGUMENT, "threads out of range");
    require(linnet_stream_size(model, &options) == 0, "threads out of range");
  }
  linnet_stream_options_init(&options);
  options.kernels = "mmx";
  refuses(LINNET_ERROR_KERNELS, "kernels that do not exist");
  linnet_stream_options_init(&options);
  require(linnet_stream_create(nullptr, &options, nullptr, 0, &stream) == LINNET_ERROR_ARGUMENT, "no model");
  require(linnet_stream_create(model, &options, nullptr, 0, nullptr) == LINNET_ERROR_ARGUMENT, "no place");
  require(linnet_stream_size(nullptr, &options) == 0, "no model");
  const size_t size = linnet_stream_size(model, nullptr);
  require(size == linnet_stream_size(model, &options), "no options are the usual ones");
  void* memory;
  require(posix_memalign(&memory, 64, size + 64) == 0, "there is memory");
  require(linnet_stream_create(model, nullptr, memory, size - 1, &stream) == LINNET_ERROR_MEMORY, "too little memory");
  require(linnet_stream_create(model, nullptr, static_cast<char*>(memory) + 4, size, &stream) == LINNET_ERROR_ALIGNMENT,
          "memory at an odd place");

  require(linnet_stream_create(model, nullptr, memory, size, &stream) == LINNET_OK, "a stream can be made");
  std::vector<float> frame(info.n_features, 0.5f);
  int16_t sample;
  const uint16_t token = 0;
  size_t n;
  double nats = 0;
  require(linnet_stream_push(stream, nullptr, 1, &n) == LINNET_ERROR_ARGUMENT, "no frames");
  require(linnet_stream_push(nullptr, frame.data(), 1, &n) == LINNET_ERROR_ARGUMENT, "no stream");
  require(linnet_stream_pull(stream, nullptr, 1, &n) == LINNET_ERROR_ARGUMENT, "no room");
  require(linnet_stream_score(stream, nullptr, 1, &n, &nats) == LINNET_ERROR_ARGUMENT, "no tokens");
  require(linnet_stream_score(stream, &token, 1, &n, nullptr) == LINNET_ERROR_ARGUMENT, "no place for nats");
  require(linnet_streams_pull(nullptr, 1, nullptr, 1, &n) == LINNET_ERROR_ARGUMENT, "no streams");
  require(linnet_stream_finish(nullptr) == LINNET_ERROR_ARGUMENT, "no stream");
  require(linnet_stream_reset(nullptr, 0, 0) == LINNET_ERROR_ARGUMENT, "no stream");
  require(linnet_stream_available(nullptr) == 0 && linnet_stream_kernels(nullptr) == nullptr, "no stream");
  for (float wrong : {NAN, INFINITY, -INFINITY}) {
    frame.back() = wrong;
    require(linnet_stream_push(stream, frame.data(), 1, &n) == LINNET_ERROR_FEATURES && n == 0, "a feature of none");
  }
  require(linnet_stream_pull(stream, &sample, 1, &n) == LINNET_OK && n == 0, "no frame, no sample");
  linnet_stream_close(stream);
  linnet_stream_close(nullptr);
  linnet_model_close(nullptr);
  free(memory);

  linnet_stream_options_init(&options);
  options.temperature = 0.0f;
  const std::vector<int16_t> likeliest = utterance(model, &options);
  options.seed = 1;
  require(utterance(model, &options) == likeliest, "at temperature 0 nothing is drawn");
}

void check_texts() {
  require(linnet_version() == LINNET_VERSION_MAJOR * 10000 + LINNET_VERSION_MINOR * 100 + LINNET_VERSION_PATCH,
          "library and header are of one version");
  std::vector<std::string> texts;
  for (int status = LINNET_OK; status <= LINNET_ERROR_STATE; ++status) {
    texts.emplace_back(linnet_status_text(static_cast<linnet_status>(status)));
    for (size_t i = 0; i + 1 < texts.size(); ++i) require(texts[i] != texts.back(), "every status has its text");
  }
  for (int unknown : {99, -1, 9, 0x7FFFFFFF}) {
    const char* text = linnet_status_text(static_cast<linnet_status>(unknown));
    require(strcmp(text, "unknown status") == 0, "any number has a text");
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  check_texts();
  check_opening(linnet_model_open, argv[1], argv[2]);
  check_opening(linnet_model_open_copy, argv[1], argv[2]);
  check_memory(argv[1]);
  check_copy(argv[1], argv[2]);
  linnet_model* model;
  require(linnet_model_open(argv[1], &model, nullptr) == LINNET_OK, "the file is right");
  check_streams(model);
  linnet_model_close(model);
  printf("all kept\n");
  return 0;
}
