/* Turn features into speech: vocode VOICE.linnet FEATURES.f32 OUT.wav [SEED]
 *
 * FEATURES.f32 holds raw little-endian float32 values, one frame of n_features after the other, as
 * numpy's `mel.T.astype("<f4").tofile("mel.f32")` writes them for a (n_features, n_frames) array.
 */
#include <linnet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const char* what, const char* why) {
  fprintf(stderr, "vocode: %s: %s\n", what, why);
  return 1;
}

static void put(unsigned char* p, uint32_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) p[i] = (unsigned char)(value >> (8 * i));
}

/* The 44 bytes before n_samples of 16-bit mono PCM. */
static int write_wav_header(FILE* file, uint32_t sample_rate, uint32_t n_samples) {
  unsigned char h[44];
  memcpy(h, "RIFF....WAVEfmt ", 16);
  put(h + 4, 36 + 2 * n_samples, 4);
  put(h + 16, 16, 4);              /* size of what follows, up to "data" */
  put(h + 20, 1, 2);               /* PCM */
  put(h + 22, 1, 2);               /* channels */
  put(h + 24, sample_rate, 4);
  put(h + 28, 2 * sample_rate, 4); /* bytes per second */
  put(h + 32, 2, 2);               /* bytes per sample */
  put(h + 34, 16, 2);              /* bits per sample */
  memcpy(h + 36, "data", 4);
  put(h + 40, 2 * n_samples, 4);
  return fwrite(h, sizeof h, 1, file) == 1;
}

static int write_samples(FILE* file, const int16_t* samples, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    unsigned char bytes[2];
    put(bytes, (uint16_t)samples[i], 2);
    if (fwrite(bytes, sizeof bytes, 1, file) != 1) return 0;
  }
  return 1;
}

/* Pull until another frame is needed; 0 when the file took all samples. */
static int drain(linnet_stream* stream, FILE* wav, uint32_t* n_samples) {
  int16_t samples[256];
  size_t made;
  do {
    linnet_status status = linnet_stream_pull(stream, samples, 256, &made);
    if (status != LINNET_OK) return fail("pull", linnet_status_text(status));
    if (!write_samples(wav, samples, made)) return fail("wav", "cannot write");
    *n_samples += (uint32_t)made;
  } while (made > 0);
  return 0;
}

static int run(linnet_stream* stream, const linnet_info* info, FILE* features, FILE* wav) {
  uint32_t n_samples = 0;
  size_t taken, read;
  linnet_status status;
  float* frame = malloc(info->n_features * sizeof *frame);
  if (frame == NULL) return fail("frame", "no memory");
  if (!write_wav_header(wav, info->sample_rate, 0)) return fail("wav", "cannot write");
  while ((read = fread(frame, sizeof *frame, info->n_features, features)) == info->n_features) {
    status = linnet_stream_push(stream, frame, 1, &taken);
    if (status != LINNET_OK || taken != 1) return fail("push", linnet_status_text(status));
    if (drain(stream, wav, &n_samples)) return 1;
  }
  free(frame);
  if (read != 0 || ferror(features)) return fail("features", "the file does not end with a whole frame");
  status = linnet_stream_finish(stream);
  if (status != LINNET_OK) return fail("finish", linnet_status_text(status));
  if (drain(stream, wav, &n_samples)) return 1;
  if (fseek(wav, 0, SEEK_SET) != 0 || !write_wav_header(wav, info->sample_rate, n_samples)) {
    return fail("wav", "cannot write its header");
  }
  printf("%u samples at %u Hz, kernels %s\n", (unsigned)n_samples, (unsigned)info->sample_rate,
         linnet_stream_kernels(stream));
  return 0;
}

int main(int argc, char** argv) {
  linnet_model* model;
  linnet_stream* stream;
  linnet_stream_options options;
  linnet_error error;
  linnet_info info;
  linnet_status status;
  FILE *features, *wav;
  int result;

  if (argc < 4) return fail("usage", "vocode VOICE.linnet FEATURES.f32 OUT.wav [SEED]");
  status = linnet_model_open(argv[1], &model, &error);
  if (status == LINNET_ERROR_SYSTEM) perror(argv[1]);
  if (status != LINNET_OK) return fail(argv[1], error.message);
  linnet_model_info(model, &info);

  /* The stream lives in memory of ours, which starts at a multiple of 64 bytes. */
  linnet_stream_options_init(&options);
  if (argc > 4) options.seed = strtoull(argv[4], NULL, 10);
  size_t size = linnet_stream_size(model, &options);
  char* memory = malloc(size + 63);
  if (memory == NULL) return fail("stream", "no memory");
  char* aligned = memory + (64 - (uintptr_t)memory % 64) % 64;
  status = linnet_stream_create(model, &options, aligned, size, &stream);
  if (status != LINNET_OK) return fail("stream", linnet_status_text(status));

  features = fopen(argv[2], "rb");
  if (features == NULL) return perror(argv[2]), 1;
  wav = fopen(argv[3], "wb");
  if (wav == NULL) return perror(argv[3]), 1;
  result = run(stream, &info, features, wav);
  if (fclose(wav) != 0) result = fail(argv[3], "cannot write");
  fclose(features);
  linnet_stream_close(stream);
  free(memory);
  linnet_model_close(model);
  return result;
}
