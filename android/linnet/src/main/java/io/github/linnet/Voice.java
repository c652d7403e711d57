package io.github.linnet;

import java.io.File;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;

/**
 * A `.linnet` voice: read-only, shared by any number of streams and threads.
 *
 * <p>Close it when no further stream is wanted; streams that exist go on until they are closed themselves. After
 * {@link #close} the methods that need the file throw IllegalStateException.
 */
public final class Voice implements AutoCloseable {
  private static final int NO_SUCH_FILE = 2; // ENOENT on every system
  private static final int MOST_THREADS = 16;

  private final Model model;
  private final NativeMemory memory;
  private final long[] numbers = new long[6];
  private boolean closed;

  private Voice(Model model) {
    this.model = model;
    memory = new NativeMemory(this, model::release);
    Native.info(model.address, numbers);
  }

  /**
   * Map a file and check it: nothing is copied. Replace the file by renaming another over it, never in place.
   *
   * @throws LinnetException where it is damaged, hostile, newer than this library, or no voice
   * @throws IOException where the system cannot open or map it (FileNotFoundException where there is none)
   */
  public static Voice open(File file) throws IOException {
    NativeMemory.freeDropped();
    byte[] path = file.getPath().getBytes(StandardCharsets.UTF_8);
    for (byte b : path) {
      if (b == 0) throw new FileNotFoundException("a path holds a zero character");
    }
    Result result = new Result();
    long address = Native.open(Arrays.copyOf(path, path.length + 1), result.details, result.message);
    if (address == 0) throw result.exception(file.getPath());
    return new Voice(new Model(address));
  }

  /**
   * Check a file that lies in a direct buffer, between its position and its limit.
   *
   * <p>It is copied first: a buffer could change after it was checked. {@link #open(File)} copies nothing.
   *
   * @throws LinnetException where it is damaged, hostile, newer than this library, or no voice
   * @throws IllegalArgumentException where the buffer is not direct
   */
  public static Voice open(ByteBuffer bytes) throws LinnetException {
    if (!bytes.isDirect()) throw new IllegalArgumentException("the buffer is not direct");
    NativeMemory.freeDropped();
    Result result = new Result();
    long address =
        Native.openMemory(bytes, bytes.position(), bytes.remaining(), result.details, result.message);
    if (address == 0) throw result.formatException("a buffer");
    return new Voice(new Model(address));
  }

  /** The kernel sets that this CPU can run, best first. */
  public static List<String> kernels() {
    List<String> names = new ArrayList<>();
    for (String name = Native.kernels(0); name != null; name = Native.kernels(names.size())) {
      names.add(name);
    }
    return Collections.unmodifiableList(names);
  }

  /** The version of the native library: major * 10000 + minor * 100 + patch. */
  public static int version() {
    return Native.version();
  }

  /** Samples per second. */
  public int sampleRate() {
    return (int) numbers[0];
  }

  /** Samples per frame. */
  public int hopLength() {
    return (int) numbers[1];
  }

  /** Floats per frame. */
  public int featureCount() {
    return (int) numbers[2];
  }

  /** Frames that must arrive after a frame before its samples can be made. */
  public int lookahead() {
    return (int) numbers[3];
  }

  /** Bytes of the file. */
  public long fileSize() {
    return numbers[4];
  }

  /** Bytes of native memory that a stream of one thread takes. */
  public long streamSize() {
    return numbers[5];
  }

  /**
   * What the file says of itself, as JSON.
   *
   * @throws IllegalStateException after close
   */
  public synchronized String metadata() {
    requireOpen();
    byte[] utf8 = Native.metadata(model.address);
    if (utf8 == null) throw new OutOfMemoryError("the metadata is larger than a Java array");
    return new String(utf8, StandardCharsets.UTF_8);
  }

  /** A stream with seed 0, stream number 0, temperature 1, one thread and the best kernels. */
  public VoiceStream newStream() {
    return newStream(0);
  }

  /** A stream with stream number 0, temperature 1, one thread and the best kernels. */
  public VoiceStream newStream(long seed) {
    return newStream(seed, 0, 1.0f, 1, null);
  }

  /**
   * A stream: one utterance in progress.
   *
   * @param seed the key of the random numbers (all 64 bits count)
   * @param streamNumber a second key, for utterances of one seed that must differ (all 32 bits count)
   * @param temperature divides the logits: 1 samples the voice as trained, 0 takes the likeliest class
   * @param threads 1 to 16: the caller's and others of the stream's own, which sleep between calls. More than one pays
   *     for voices of about 1,000 units on idle big cores; the samples are the same
   * @param kernels a name of {@link #kernels()}, or null for the best
   * @throws IllegalArgumentException for a negative or infinite temperature, a number of threads out of range, or kernels
   *     that this CPU lacks
   * @throws IllegalStateException after close, or where the system started no thread
   */
  public synchronized VoiceStream newStream(
      long seed, int streamNumber, float temperature, int threads, String kernels) {
    requireOpen();
    if (!(temperature >= 0) || Float.isInfinite(temperature)) {
      throw new IllegalArgumentException("temperature must be finite and at least 0, not " + temperature);
    }
    if (threads < 1 || threads > MOST_THREADS) {
      throw new IllegalArgumentException("threads must be 1 to " + MOST_THREADS + ", not " + threads);
    }
    byte[] name = null;
    if (kernels != null) {
      List<String> available = kernels();
      if (!available.contains(kernels)) {
        throw new IllegalArgumentException(
            "this CPU has no kernel set '" + kernels + "'; it has: " + String.join(", ", available));
      }
      name = (kernels + '\0').getBytes(StandardCharsets.US_ASCII);
    }
    NativeMemory.freeDropped();
    long[] status = new long[1];
    long address =
        Native.createStream(model.address, seed, streamNumber, temperature, threads, name, status);
    Status.check((int) status[0]);
    return new VoiceStream(address, model, featureCount());
  }

  /**
   * A whole utterance: frames (frame after frame, {@link #featureCount} floats each) to
   * {@link #hopLength} samples per frame.
   *
   * @throws IllegalArgumentException for a length that is no multiple of featureCount, NaN or infinite features, a
   *     negative or infinite temperature, or more samples than an array holds
   * @throws IllegalStateException after close
   */
  public short[] synthesize(float[] frames, long seed, float temperature) {
    if (frames.length % featureCount() != 0) {
      throw new IllegalArgumentException(
          frames.length + " floats are not whole frames of " + featureCount());
    }
    long size = (long) (frames.length / featureCount()) * hopLength();
    if (size > Integer.MAX_VALUE) throw new IllegalArgumentException(size + " samples exceed an array");
    short[] samples = new short[(int) size];
    int made = 0;
    try (VoiceStream stream = newStream(seed, 0, temperature, 1, null)) {
      for (int at = 0; at < frames.length; at += featureCount()) {
        stream.push(frames, at, 1);
        made += stream.pull(samples, made, samples.length - made);
      }
      stream.finish();
      stream.pull(samples, made, samples.length - made);
    }
    return samples;
  }

  /** Let the file go, once the last stream is closed too. Closing twice does nothing. */
  @Override
  public synchronized void close() {
    closed = true;
    memory.free();
  }

  private void requireOpen() {
    if (closed) throw new IllegalStateException("the voice is closed");
  }

  /** What an open that failed says. */
  private static final class Result {
    final long[] details = new long[3];
    final byte[] message = new byte[192];

    IOException exception(String path) {
      if (details[0] != Status.SYSTEM) return formatException(path);
      String why = path + ": " + text();
      return details[2] == NO_SUCH_FILE ? new FileNotFoundException(why) : new IOException(why);
    }

    /** For the statuses of a file in memory, which are not the system's. */
    LinnetException formatException(String source) {
      int status = (int) details[0];
      if (status != Status.FORMAT) Status.check(status);
      return new LinnetException(status, details[1], source + ": " + text());
    }

    private String text() {
      int length = 0;
      while (length < message.length && message[length] != 0) length += 1;
      return new String(message, 0, length, StandardCharsets.UTF_8);
    }
  }
}
