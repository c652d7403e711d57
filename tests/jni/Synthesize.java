import io.github.linnet.Voice;
import io.github.linnet.VoiceStream;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;

/**
 * Synthesize VOICE FRAMES.f32 SEED: the SHA-256 of the 16-bit little-endian samples, by every way through the binding
 * and with every kernel set: "way kernels hash" a line. FRAMES.f32 holds little-endian floats, frame after frame.
 */
public final class Synthesize {
  private static final int[] ODD_CHUNKS = {1, 7, 3, 64};

  public static void main(String[] arguments) throws Exception {
    File file = new File(arguments[0]);
    ByteBuffer frames = frames(new File(arguments[1]));
    long seed = Long.parseUnsignedLong(arguments[2]);
    float[] array = new float[frames.remaining() / Float.BYTES];
    frames.asFloatBuffer().get(array);
    try (Voice voice = Voice.open(file);
        Voice copy = Voice.open(direct(Files.readAllBytes(file.toPath())))) {
      for (String kernels : Voice.kernels()) {
        try (VoiceStream stream = voice.newStream(seed, 0, 1, 1, kernels)) {
          print("direct", stream, throughBuffers(stream, frames.duplicate(), voice.hopLength()));
          stream.reset(seed, 0);
          print("reset", stream, throughArrays(stream, array, voice.featureCount()));
        }
        try (VoiceStream stream = copy.newStream(seed, 0, 1, 2, kernels)) {
          print("copied", stream, throughArrays(stream, array, voice.featureCount()));
        }
      }
      System.out.println("whole - " + sha256(bytes(voice.synthesize(array, seed, 1))));
    }
  }

  static ByteBuffer frames(File file) throws IOException {
    return direct(Files.readAllBytes(file.toPath()));
  }

  static ByteBuffer direct(byte[] bytes) {
    ByteBuffer buffer = ByteBuffer.allocateDirect(bytes.length).order(ByteOrder.nativeOrder());
    buffer.put(bytes).flip();
    return buffer;
  }

  /** Offers all that is left of the frames each time, and takes samples in chunks that do not divide a hop. */
  private static byte[] throughBuffers(VoiceStream stream, ByteBuffer frames, int hopLength) {
    frames.order(ByteOrder.nativeOrder());
    ByteArrayOutputStream pcm = new ByteArrayOutputStream();
    ByteBuffer samples = ByteBuffer.allocateDirect(2 * hopLength).order(ByteOrder.nativeOrder());
    int round = 0;
    while (frames.hasRemaining()) {
      stream.push(frames);
      round = drain(stream, samples, round, pcm);
    }
    stream.finish();
    drain(stream, samples, round, pcm);
    return pcm.toByteArray();
  }

  private static int drain(VoiceStream stream, ByteBuffer samples, int round, ByteArrayOutputStream pcm) {
    while (stream.available() > 0) {
      samples.clear();
      samples.limit(Math.min(samples.capacity(), 2 * ODD_CHUNKS[round++ % ODD_CHUNKS.length]));
      stream.pull(samples);
      samples.flip();
      while (samples.hasRemaining()) pcm.write(samples.get());
    }
    return round;
  }

  private static byte[] throughArrays(VoiceStream stream, float[] frames, int featureCount) {
    ByteArrayOutputStream pcm = new ByteArrayOutputStream();
    short[] samples = new short[600];
    for (int at = 0; at < frames.length; at += featureCount) {
      if (stream.push(frames, at, 1) != 1) throw new AssertionError("a frame was refused");
      drain(stream, samples, pcm);
    }
    stream.finish();
    drain(stream, samples, pcm);
    return pcm.toByteArray();
  }

  private static void drain(VoiceStream stream, short[] samples, ByteArrayOutputStream pcm) {
    for (int made = stream.pull(samples, 5, 595); made > 0; made = stream.pull(samples, 5, 595)) {
      byte[] bytes = bytes(java.util.Arrays.copyOfRange(samples, 5, 5 + made));
      pcm.write(bytes, 0, bytes.length);
    }
  }

  private static byte[] bytes(short[] samples) {
    ByteBuffer bytes = ByteBuffer.allocate(2 * samples.length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asShortBuffer().put(samples);
    return bytes.array();
  }

  private static void print(String way, VoiceStream stream, byte[] pcm) throws NoSuchAlgorithmException {
    System.out.println(way + " " + stream.kernels() + " " + sha256(pcm));
  }

  static String sha256(byte[] bytes) throws NoSuchAlgorithmException {
    StringBuilder hex = new StringBuilder();
    for (byte b : MessageDigest.getInstance("SHA-256").digest(bytes)) hex.append(String.format("%02x", b));
    return hex.toString();
  }
}
