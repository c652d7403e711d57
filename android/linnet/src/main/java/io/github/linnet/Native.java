package io.github.linnet;

import java.nio.ByteBuffer;

/**
 * The functions of linnet.h, as src_cpp/bindings/jni/jni.cpp hands them to Java.
 *
 * <p>They trust their arguments: {@link Voice} and {@link VoiceStream} check them. A long that push and pull return
 * holds a {@link Status} in its upper half and a count in its lower half.
 */
final class Native {
  static {
    System.loadLibrary("linnet_jni");
  }

  private Native() {}

  static native int version();

  /** The index-th kernel set of this CPU, best first; null past the last. */
  static native String kernels(int index);

  /** path: UTF-8, ended by a zero. details: (3) status, offset, errno. message: (192). Returns 0 on failure. */
  static native long open(byte[] path, long[] details, byte[] message);

  /** bytes: direct, copied; offset and size in bytes. The rest as in open. */
  static native long openMemory(
      ByteBuffer bytes, int offset, int size, long[] details, byte[] message);

  /** numbers: (6) sample rate, hop length, features, lookahead, bytes of the file, bytes of a stream. */
  static native void info(long model, long[] numbers);

  static native byte[] metadata(long model);

  static native void closeModel(long model);

  /** kernels: ended by a zero, or null. status: (1). Returns 0 on failure. */
  static native long createStream(
      long model, long seed, int stream, float temperature, int threads, byte[] kernels, long[] status);

  static native void closeStream(long stream);

  static native long push(long stream, ByteBuffer frames, int offset, int frameCount);

  static native long pushArray(long stream, float[] frames, int offset, int frameCount);

  static native long pull(long stream, ByteBuffer samples, int offset, int capacity);

  static native long pullArray(long stream, short[] samples, int offset, int capacity);

  static native int finish(long stream);

  static native long available(long stream);

  static native int reset(long stream, long seed, int streamNumber);

  static native String streamKernels(long stream);
}
