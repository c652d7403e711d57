// The Java binding: the native methods of io.github.linnet.Native, over linnet.h alone.
//
// Nothing here throws or looks up a class: a status goes back to Java, which makes the exception. The addresses come
// from the Java classes, which never hand over one that was freed; buffers and ranges are checked there too. Nothing is
// allocated after a stream was created.
#include <errno.h>
#include <jni.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "linnet.h"

namespace {

constexpr size_t kAlignment = 64;

// A model, and the copy of the file that it runs where it came from a buffer.
struct Model {
  linnet_model* model;
  void* copy;
};

// A stream, followed by one frame of n_features floats: where frames in Java arrays pass through.
struct Stream {
  linnet_stream* stream;
  size_t n_features;
  float* frame() { return reinterpret_cast<float*>(this + 1); }
};

template <typename T>
T* from_java(jlong address) {
  return reinterpret_cast<T*>(static_cast<uintptr_t>(address));
}

template <typename T>
jlong to_java(T* pointer) {
  return static_cast<jlong>(reinterpret_cast<uintptr_t>(pointer));
}

// A status and a count (below 2^31) in one long: no object is made to return both.
jlong pack(linnet_status status, size_t count) {
  return static_cast<jlong>(static_cast<uint64_t>(status) << 32 | count);
}

// details: (3) status, offset in the file in bytes, errno. message: (192) bytes, ended by a zero.
void report(JNIEnv* env, linnet_status status, const linnet_error& error, int system_error, jlongArray details,
            jbyteArray message) {
  const char* text = status == LINNET_ERROR_SYSTEM ? strerror(system_error)
                     : error.message[0] != 0       ? error.message
                                                   : linnet_status_text(status);
  const jlong values[] = {status, static_cast<jlong>(error.offset), system_error};
  env->SetLongArrayRegion(details, 0, 3, values);
  const size_t length = strnlen(text, sizeof error.message - 1);
  env->SetByteArrayRegion(message, 0, static_cast<jsize>(length), reinterpret_cast<const jbyte*>(text));
}

// Give Java the model, or say why there is none.
jlong hand_over(JNIEnv* env, linnet_status status, const linnet_error& error, int system_error, Model opened,
                jlongArray details, jbyteArray message) {
  Model* model = nullptr;
  if (status == LINNET_OK) {
    model = static_cast<Model*>(malloc(sizeof(Model)));
    if (model == nullptr) status = LINNET_ERROR_MEMORY;
  }
  if (model == nullptr) {
    linnet_model_close(opened.model);
    free(opened.copy);
    report(env, status, error, system_error, details, message);
    return 0;
  }
  *model = opened;
  return to_java(model);
}

}  // namespace

extern "C" {

JNIEXPORT jint JNICALL Java_io_github_linnet_Native_version(JNIEnv*, jclass) {
  return static_cast<jint>(linnet_version());
}

JNIEXPORT jstring JNICALL Java_io_github_linnet_Native_kernels(JNIEnv* env, jclass, jint index) {
  const char* name = linnet_kernels(static_cast<size_t>(index));
  return name == nullptr ? nullptr : env->NewStringUTF(name);
}

// path: UTF-8, ended by a zero.
JNIEXPORT jlong JNICALL Java_io_github_linnet_Native_open(JNIEnv* env, jclass, jbyteArray path, jlongArray details,
                                                          jbyteArray message) {
  linnet_error error{};
  const jsize length = env->GetArrayLength(path);
  char* name = static_cast<char*>(malloc(static_cast<size_t>(length)));
  if (name == nullptr) return hand_over(env, LINNET_ERROR_MEMORY, error, 0, {}, details, message);
  env->GetByteArrayRegion(path, 0, length, reinterpret_cast<jbyte*>(name));
  Model opened{};
  errno = 0;
  const linnet_status status = linnet_model_open(name, &opened.model, &error);
  const int system_error = errno;
  free(name);
  return hand_over(env, status, error, system_error, opened, details, message);
}

// bytes: a direct buffer; offset and size in bytes. The file is copied: Java could write to the buffer later on.
JNIEXPORT jlong JNICALL Java_io_github_linnet_Native_openMemory(JNIEnv* env, jclass, jobject bytes, jint offset,
                                                                jint size, jlongArray details, jbyteArray message) {
  linnet_error error{};
  Model opened{};
  const auto* data = static_cast<const char*>(env->GetDirectBufferAddress(bytes));
  if (data == nullptr) return hand_over(env, LINNET_ERROR_ARGUMENT, error, 0, opened, details, message);
  const auto n = static_cast<size_t>(size);
  opened.copy = malloc(n + kAlignment);
  if (opened.copy == nullptr) return hand_over(env, LINNET_ERROR_MEMORY, error, 0, opened, details, message);
  const uintptr_t first = reinterpret_cast<uintptr_t>(opened.copy) + kAlignment - 1;
  void* aligned = reinterpret_cast<void*>(first / kAlignment * kAlignment);
  memcpy(aligned, data + offset, n);
  const linnet_status status = linnet_model_open_memory(aligned, n, &opened.model, &error);
  return hand_over(env, status, error, 0, opened, details, message);
}

// numbers: (6) sample rate, hop length, features, lookahead, bytes of the file, bytes of a stream.
JNIEXPORT void JNICALL Java_io_github_linnet_Native_info(JNIEnv* env, jclass, jlong model, jlongArray numbers) {
  linnet_info info{};
  const linnet_model* opened = from_java<Model>(model)->model;
  linnet_model_info(opened, &info);
  const jlong values[] = {info.sample_rate,
                          info.hop_length,
                          info.n_features,
                          info.lookahead,
                          static_cast<jlong>(info.file_size),
                          static_cast<jlong>(linnet_stream_size(opened, nullptr))};
  env->SetLongArrayRegion(numbers, 0, 6, values);
}

// The metadata's UTF-8; null where a Java array cannot hold it, or (with OutOfMemoryError pending) there is no memory.
JNIEXPORT jbyteArray JNICALL Java_io_github_linnet_Native_metadata(JNIEnv* env, jclass, jlong model) {
  linnet_info info{};
  linnet_model_info(from_java<Model>(model)->model, &info);
  if (info.metadata_size > INT32_MAX) return nullptr;
  const auto size = static_cast<jsize>(info.metadata_size);
  const jbyteArray bytes = env->NewByteArray(size);
  if (bytes != nullptr) env->SetByteArrayRegion(bytes, 0, size, reinterpret_cast<const jbyte*>(info.metadata));
  return bytes;
}

JNIEXPORT void JNICALL Java_io_github_linnet_Native_closeModel(JNIEnv*, jclass, jlong model) {
  Model* closed = from_java<Model>(model);
  linnet_model_close(closed->model);
  free(closed->copy);
  free(closed);
}

// kernels: a name ended by a zero, or null for the best. status: (1).
JNIEXPORT jlong JNICALL Java_io_github_linnet_Native_createStream(JNIEnv* env, jclass, jlong model, jlong seed,
                                                                  jint stream_number, jfloat temperature, jint threads,
                                                                  jbyteArray kernels, jlongArray status) {
  const linnet_model* opened = from_java<Model>(model)->model;
  linnet_stream_options options;
  linnet_stream_options_init(&options);
  options.seed = static_cast<uint64_t>(seed);
  options.stream = static_cast<uint32_t>(stream_number);
  options.temperature = temperature;
  options.threads = static_cast<uint32_t>(threads);
  char name[64] = {0};  // Java lets only names of kernel sets through
  if (kernels != nullptr) {
    const jsize length = env->GetArrayLength(kernels);
    const jsize most = static_cast<jsize>(sizeof name) - 1;
    env->GetByteArrayRegion(kernels, 0, length < most ? length : most, reinterpret_cast<jbyte*>(name));
    options.kernels = name;
  }
  linnet_info info{};
  linnet_model_info(opened, &info);
  linnet_status created = LINNET_ERROR_MEMORY;
  auto* stream = static_cast<Stream*>(malloc(sizeof(Stream) + info.n_features * sizeof(float)));
  if (stream != nullptr) {
    stream->n_features = info.n_features;
    created = linnet_stream_create(opened, &options, nullptr, 0, &stream->stream);
  }
  const jlong value = created;
  env->SetLongArrayRegion(status, 0, 1, &value);
  if (created == LINNET_OK) return to_java(stream);
  free(stream);
  return 0;
}

JNIEXPORT void JNICALL Java_io_github_linnet_Native_closeStream(JNIEnv*, jclass, jlong stream) {
  Stream* closed = from_java<Stream>(stream);
  linnet_stream_close(closed->stream);
  free(closed);
}

// frames: a direct buffer, `offset` in bytes. Returns pack(status, frames taken).
JNIEXPORT jlong JNICALL Java_io_github_linnet_Native_push(JNIEnv* env, jclass, jlong stream, jobject frames,
                                                          jint offset, jint n_frames) {
  const auto* data = static_cast<const char*>(env->GetDirectBufferAddress(frames));
  if (data == nullptr) return pack(LINNET_ERROR_ARGUMENT, 0);
  data += offset;
  if (reinterpret_cast<uintptr_t>(data) % sizeof(float) != 0) return pack(LINNET_ERROR_ALIGNMENT, 0);
  size_t taken = 0;
  const linnet_status status = linnet_stream_push(
      from_java<Stream>(stream)->stream, reinterpret_cast<const float*>(data), static_cast<size_t>(n_frames), &taken);
  return pack(status, taken);
}

// frames: `offset` in floats. Returns pack(status, frames taken).
JNIEXPORT jlong JNICALL Java_io_github_linnet_Native_pushArray(JNIEnv* env, jclass, jlong stream, jfloatArray frames,
                                                               jint offset, jint n_frames) {
  Stream* opened = from_java<Stream>(stream);
  const auto n_features = static_cast<jsize>(opened->n_features);
  jint total = 0;
  linnet_status status = LINNET_OK;
  for (size_t taken = 1; status == LINNET_OK && total < n_frames && taken == 1; total += static_cast<jint>(taken)) {
    env->GetFloatArrayRegion(frames, offset + total * n_features, n_features, opened->frame());
    status = linnet_stream_push(opened->stream, opened->frame(), 1, &taken);
  }
  return pack(status, static_cast<size_t>(total));
}

// samples: a direct buffer, `offset` in bytes. Returns pack(status, samples made).
JNIEXPORT jlong JNICALL Java_io_github_linnet_Native_pull(JNIEnv* env, jclass, jlong stream, jobject samples,
                                                          jint offset, jint capacity) {
  auto* data = static_cast<char*>(env->GetDirectBufferAddress(samples));
  if (data == nullptr) return pack(LINNET_ERROR_ARGUMENT, 0);
  data += offset;
  if (reinterpret_cast<uintptr_t>(data) % sizeof(int16_t) != 0) return pack(LINNET_ERROR_ALIGNMENT, 0);
  size_t made = 0;
  const linnet_status status = linnet_stream_pull(from_java<Stream>(stream)->stream, reinterpret_cast<int16_t*>(data),
                                                  static_cast<size_t>(capacity), &made);
  return pack(status, made);
}

// samples: `offset` in samples. The array is never pinned: the garbage collector need not wait for the samples.
JNIEXPORT jlong JNICALL Java_io_github_linnet_Native_pullArray(JNIEnv* env, jclass, jlong stream, jshortArray samples,
                                                               jint offset, jint capacity) {
  jshort chunk[256];
  constexpr jint kChunk = sizeof chunk / sizeof chunk[0];
  jint total = 0;
  while (total < capacity) {
    const jint wanted = capacity - total < kChunk ? capacity - total : kChunk;
    size_t made = 0;
    const linnet_status status =
        linnet_stream_pull(from_java<Stream>(stream)->stream, chunk, static_cast<size_t>(wanted), &made);
    if (status != LINNET_OK) return pack(status, static_cast<size_t>(total));
    env->SetShortArrayRegion(samples, offset + total, static_cast<jsize>(made), chunk);
    total += static_cast<jint>(made);
    if (static_cast<jint>(made) < wanted) break;
  }
  return pack(LINNET_OK, static_cast<size_t>(total));
}

JNIEXPORT jint JNICALL Java_io_github_linnet_Native_finish(JNIEnv*, jclass, jlong stream) {
  return linnet_stream_finish(from_java<Stream>(stream)->stream);
}

JNIEXPORT jlong JNICALL Java_io_github_linnet_Native_available(JNIEnv*, jclass, jlong stream) {
  return static_cast<jlong>(linnet_stream_available(from_java<Stream>(stream)->stream));
}

JNIEXPORT jint JNICALL Java_io_github_linnet_Native_reset(JNIEnv*, jclass, jlong stream, jlong seed,
                                                          jint stream_number) {
  return linnet_stream_reset(from_java<Stream>(stream)->stream, static_cast<uint64_t>(seed),
                             static_cast<uint32_t>(stream_number));
}

JNIEXPORT jstring JNICALL Java_io_github_linnet_Native_streamKernels(JNIEnv* env, jclass, jlong stream) {
  return env->NewStringUTF(linnet_stream_kernels(from_java<Stream>(stream)->stream));
}

}  // extern "C"
