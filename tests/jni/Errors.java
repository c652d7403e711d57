import io.github.linnet.LinnetException;
import io.github.linnet.Voice;
import io.github.linnet.VoiceStream;
import java.io.File;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.util.Arrays;

/** Errors VOICE FOLDER: what each misuse throws, "case: class: message" a line; "nothing" where it throws nothing. */
public final class Errors {
  private interface Misuse {
    void run() throws Exception;
  }

  public static void main(String[] arguments) throws Exception {
    File file = new File(arguments[0]);
    File folder = new File(arguments[1]);
    files(file, folder);
    Voice voice = Voice.open(file);
    VoiceStream stream = voice.newStream();
    buffers(voice, stream);
    arrays(voice, stream);
    voice.close();
    stream.finish();
    report("frames after the end", () -> stream.push(new float[voice.featureCount()]));
    stream.close();
    closed(voice, stream);
  }

  private static void files(File voice, File folder) throws Exception {
    byte[] bytes = Files.readAllBytes(voice.toPath());
    File half = new File(folder, "half.linnet");
    Files.write(half.toPath(), Arrays.copyOf(bytes, bytes.length / 2));
    byte[] damaged = bytes.clone();
    damaged[bytes.length - 1] ^= 1;
    report("absent file", () -> Voice.open(new File(folder, "absent.linnet")));
    report("folder", () -> Voice.open(folder));
    report("path with a zero", () -> Voice.open(new File("a\0b")));
    report("truncated file", () -> Voice.open(half));
    report("damaged buffer", () -> Voice.open(Synthesize.direct(damaged)));
    report("empty buffer", () -> Voice.open(ByteBuffer.allocateDirect(0)));
    report("heap buffer", () -> Voice.open(ByteBuffer.wrap(bytes)));
    try {
      Voice.open(half);
    } catch (LinnetException e) {
      System.out.println("status and offset: " + e.status() + " " + e.offset());
    }
  }

  private static void buffers(Voice voice, VoiceStream stream) {
    int frameSize = 4 * voice.featureCount();
    ByteBuffer frames = ByteBuffer.allocateDirect(3 * frameSize).order(ByteOrder.nativeOrder());
    report("frames on the heap", () -> stream.push(ByteBuffer.allocate(frameSize)));
    report("frames in the other byte order", () -> stream.push(ByteBuffer.allocateDirect(frameSize).order(swapped())));
    report("frames not whole", () -> stream.push(frames.duplicate().order(frames.order()).limit(5)));
    report("frames not aligned", () -> {
      ByteBuffer shifted = frames.duplicate().order(frames.order());
      shifted.position(1).limit(1 + frameSize);
      stream.push(shifted);
    });
    report("NaN", () -> {
      frames.putFloat(frameSize, Float.NaN);
      try {
        stream.push(frames);
      } finally {
        System.out.println("position in frames: " + frames.position() / frameSize);
      }
    });
    ByteBuffer samples = ByteBuffer.allocateDirect(64).order(ByteOrder.nativeOrder());
    report("samples on the heap", () -> stream.pull(ByteBuffer.allocate(64)));
    report("samples in the other byte order", () -> stream.pull(ByteBuffer.allocateDirect(64).order(swapped())));
    report("samples read-only", () -> stream.pull(samples.asReadOnlyBuffer().order(samples.order())));
    report("samples not aligned", () -> {
      samples.position(1);
      stream.pull(samples);
    });
  }

  private static void arrays(Voice voice, VoiceStream stream) {
    float[] frame = new float[voice.featureCount()];
    report("array not of whole frames", () -> stream.push(new float[frame.length + 1]));
    report("frames beyond the array", () -> stream.push(frame, 0, 2));
    report("huge count of frames", () -> stream.push(frame, 0, Integer.MAX_VALUE));
    report("negative offset of frames", () -> stream.push(frame, -1, 1));
    report("samples beyond the array", () -> stream.pull(new short[8], 4, 5));
    report("negative count of samples", () -> stream.pull(new short[8], 4, -1));
    report("infinite feature", () -> {
      frame[1] = Float.NEGATIVE_INFINITY;
      voice.synthesize(frame, 0, 1);
    });
    report("utterance not of whole frames", () -> voice.synthesize(new float[frame.length + 1], 0, 1));
    report("temperature", () -> voice.newStream(0, 0, -1, 1, null));
    report("temperature NaN", () -> voice.newStream(0, 0, Float.NaN, 1, null));
    report("threads", () -> voice.newStream(0, 0, 1, 17, null));
    report("kernels", () -> voice.newStream(0, 0, 1, 1, "abacus"));
  }

  private static void closed(Voice voice, VoiceStream stream) {
    ByteBuffer buffer = ByteBuffer.allocateDirect(64).order(ByteOrder.nativeOrder());
    voice.close();
    stream.close();
    report("closed voice: stream", voice::newStream);
    report("closed voice: metadata", voice::metadata);
    report("closed voice: synthesize", () -> voice.synthesize(new float[voice.featureCount()], 0, 1));
    report("closed stream: push", () -> stream.push(buffer));
    report("closed stream: push array", () -> stream.push(new float[voice.featureCount()]));
    report("closed stream: pull", () -> stream.pull(buffer));
    report("closed stream: pull array", () -> stream.pull(new short[8]));
    report("closed stream: finish", stream::finish);
    report("closed stream: available", stream::available);
    report("closed stream: reset", () -> stream.reset(0, 0));
    report("closed stream: kernels", stream::kernels);
  }

  private static ByteOrder swapped() {
    return ByteOrder.nativeOrder() == ByteOrder.BIG_ENDIAN ? ByteOrder.LITTLE_ENDIAN : ByteOrder.BIG_ENDIAN;
  }

  private static void report(String what, Misuse misuse) {
    try {
      misuse.run();
      System.out.println(what + ": nothing");
    } catch (Throwable e) {
      System.out.println(what + ": " + e.getClass().getSimpleName() + ": " + e.getMessage());
    }
  }
}
