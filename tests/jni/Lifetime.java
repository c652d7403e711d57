import io.github.linnet.Voice;
import io.github.linnet.VoiceStream;
import java.io.File;
import java.io.IOException;
import java.lang.ref.PhantomReference;
import java.lang.ref.Reference;
import java.lang.ref.ReferenceQueue;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * Lifetime VOICE: closing in another thread, leaks and allocations. Prints
 * "closed under way: N of N threads saw the exception", "heap bytes per push and pull: B" and, where /proc shows it,
 * "growth with close|without close: B bytes of S" (S: what all streams of that round took together).
 */
public final class Lifetime {
  private static final int ROUNDS = 50;
  private static final int STREAMS = 1500;

  public static void main(String[] arguments) throws Exception {
    try (Voice voice = Voice.open(new File(arguments[0]))) {
      System.out.println("heap bytes per push and pull: " + allocated(voice));
      closeUnderWay(new File(arguments[0]));
      if (new File("/proc/self/statm").exists()) {
        grow("with close", voice, true);
        grow("without close", voice, false);
      }
    }
  }

  private static final class Buffers {
    final ByteBuffer frame;
    final ByteBuffer samples;

    Buffers(Voice voice) {
      frame = ByteBuffer.allocateDirect(4 * voice.featureCount()).order(ByteOrder.nativeOrder());
      samples = ByteBuffer.allocateDirect(2 * voice.hopLength()).order(ByteOrder.nativeOrder());
    }

    void hop(VoiceStream stream) {
      frame.clear();
      stream.push(frame);
      samples.clear();
      stream.pull(samples);
    }
  }

  private static long allocated(Voice voice) {
    com.sun.management.ThreadMXBean threads =
        (com.sun.management.ThreadMXBean) java.lang.management.ManagementFactory.getThreadMXBean();
    Buffers buffers = new Buffers(voice);
    long thread = Thread.currentThread().getId();
    try (VoiceStream stream = voice.newStream()) {
      for (int i = 0; i < 10; ++i) buffers.hop(stream);
      threads.getThreadAllocatedBytes(thread);
      long before = threads.getThreadAllocatedBytes(thread);
      for (int i = 0; i < 100; ++i) buffers.hop(stream);
      return threads.getThreadAllocatedBytes(thread) - before;
    }
  }

  /** Each round: one thread works until the exception comes; this one closes the voice, then the stream. */
  private static void closeUnderWay(File file) throws IOException, InterruptedException, ExecutionException {
    ExecutorService worker = Executors.newSingleThreadExecutor();
    int seen = 0;
    for (int round = 0; round < ROUNDS; ++round) {
      Voice voice = Voice.open(file);
      VoiceStream stream = voice.newStream(round);
      Buffers buffers = new Buffers(voice);
      CountDownLatch started = new CountDownLatch(1);
      Future<Boolean> working = worker.submit(() -> workUntilClosed(stream, buffers, started));
      started.await();
      voice.close();
      stream.close();
      if (working.get()) seen += 1;
    }
    worker.shutdown();
    System.out.println("closed under way: " + seen + " of " + ROUNDS + " threads saw the exception");
  }

  private static boolean workUntilClosed(VoiceStream stream, Buffers buffers, CountDownLatch started) {
    try {
      while (true) {
        buffers.frame.clear();
        stream.push(buffers.frame);
        Thread.yield();
        buffers.samples.clear();
        stream.pull(buffers.samples);
        started.countDown();
      }
    } catch (IllegalStateException closed) {
      return true;
    }
  }

  private static void grow(String how, Voice voice, boolean close) throws IOException, InterruptedException {
    Buffers buffers = new Buffers(voice);
    streams(voice, buffers, STREAMS / 10, close);
    long before = resident();
    streams(voice, buffers, STREAMS, close);
    System.out.println(
        "growth " + how + ": " + (resident() - before) + " bytes of " + STREAMS * voice.streamSize());
  }

  private static void streams(Voice voice, Buffers buffers, int count, boolean close) throws InterruptedException {
    for (int i = 0; i < count; ++i) {
      VoiceStream stream = voice.newStream(i);
      if (close) stream.close();
      if (i % 100 == 99 && !close) collect();
    }
  }

  /** A garbage collection, and the wait until it has queued what it found: an object of our own among it. */
  private static void collect() throws InterruptedException {
    ReferenceQueue<Object> queue = new ReferenceQueue<>();
    Reference<Object> dropped = new PhantomReference<>(new Object(), queue);
    System.gc();
    if (queue.remove(10_000) != dropped) throw new AssertionError("nothing is collected");
  }

  private static long resident() throws IOException {
    String pages = new String(Files.readAllBytes(Paths.get("/proc/self/statm"))).split(" ")[1];
    return Long.parseLong(pages) * 4096;
  }
}
