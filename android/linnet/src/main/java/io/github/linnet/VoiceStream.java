package io.github.linnet;

import java.nio.Buffer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.ReadOnlyBufferException;

/**
 * One utterance in progress: push frames, pull samples.
 *
 * <p>Any thread may call it; calls wait for each other, and none waits longer than one pull takes. With direct buffers
 * push and pull allocate nothing. After {@link #close}, from whichever thread, every other method throws
 * IllegalStateException.
 */
public final class VoiceStream implements AutoCloseable {
  private final long address;
  private final int featureCount;
  private final NativeMemory memory;
  private boolean closed;

  VoiceStream(long address, Model model, int featureCount) {
    this.address = address;
    this.featureCount = featureCount;
    model.retain();
    memory = new NativeMemory(this, closing(address, model));
  }

  private static Runnable closing(long address, Model model) {
    return () -> {
      Native.closeStream(address);
      model.release();
    };
  }

  /**
   * Offer the frames between a direct buffer's position and its limit: floats in native byte order, frame after frame.
   *
   * <p>Frames are taken while no sample waits to be pulled; the position moves past those that were.
   *
   * @return how many frames were taken
   * @throws IllegalArgumentException where the buffer is not direct, not in native byte order, not aligned to 4 bytes
   *     or does not hold whole frames; or where a feature is NaN or infinite: the position is then that frame's
   * @throws IllegalStateException after finish or close
   */
  public synchronized int push(ByteBuffer frames) {
    requireOpen();
    requireNative(frames);
    int frameSize = featureCount * Float.BYTES;
    if (frames.remaining() % frameSize != 0) {
      throw new IllegalArgumentException(frames.remaining() + " bytes are not whole frames of " + frameSize);
    }
    long result = Native.push(address, frames, frames.position(), frames.remaining() / frameSize);
    advance(frames, (int) result * frameSize);
    return Status.count(result);
  }

  /** As {@link #push(float[], int, int)}, for an array that holds nothing but frames. */
  public int push(float[] frames) {
    if (frames.length % featureCount != 0) {
      throw new IllegalArgumentException(frames.length + " floats are not whole frames of " + featureCount);
    }
    return push(frames, 0, frames.length / featureCount);
  }

  /**
   * Offer `frameCount` frames that begin at the offset-th float. Frames are taken while no sample waits to be pulled.
   *
   * @return how many frames were taken
   * @throws IndexOutOfBoundsException where they do not lie in the array
   * @throws IllegalArgumentException where a feature is NaN or infinite; its frame and those after it are not taken
   * @throws IllegalStateException after finish or close
   */
  public synchronized int push(float[] frames, int offset, int frameCount) {
    requireOpen();
    requireRange(frames.length, offset, (long) frameCount * featureCount);
    return Status.count(Native.pushArray(address, frames, offset, frameCount));
  }

  /**
   * Say that no frame follows: the samples of the last frames become available.
   *
   * @throws IllegalStateException after close
   */
  public synchronized void finish() {
    requireOpen();
    Status.check(Native.finish(address));
  }

  /**
   * Samples that can be pulled before another frame is needed.
   *
   * @throws IllegalStateException after close
   */
  public synchronized int available() {
    requireOpen();
    return (int) Math.min(Native.available(address), Integer.MAX_VALUE);
  }

  /**
   * Make samples (16 bits, native byte order) from a direct buffer's position on, up to its limit; the position moves
   * past them. Fewer come only where another frame is needed, or at the end.
   *
   * @return how many samples were made
   * @throws IllegalArgumentException where the buffer is not direct, not in native byte order or not aligned to 2 bytes
   * @throws ReadOnlyBufferException where it is read-only
   * @throws IllegalStateException after close
   */
  public synchronized int pull(ByteBuffer samples) {
    requireOpen();
    requireNative(samples);
    if (samples.isReadOnly()) throw new ReadOnlyBufferException();
    long result = Native.pull(address, samples, samples.position(), samples.remaining() / Short.BYTES);
    advance(samples, (int) result * Short.BYTES);
    return Status.count(result);
  }

  /** As {@link #pull(short[], int, int)}, into a whole array. */
  public int pull(short[] samples) {
    return pull(samples, 0, samples.length);
  }

  /**
   * Make up to `capacity` samples, from the offset-th element on. Fewer come only where another frame is needed, or at
   * the end.
   *
   * @return how many samples were made
   * @throws IndexOutOfBoundsException where they do not fit into the array
   * @throws IllegalStateException after close
   */
  public synchronized int pull(short[] samples, int offset, int capacity) {
    requireOpen();
    requireRange(samples.length, offset, capacity);
    return Status.count(Native.pullArray(address, samples, offset, capacity));
  }

  /**
   * Back to the state after creation, with another seed and stream number.
   *
   * @throws IllegalStateException after close
   */
  public synchronized void reset(long seed, int streamNumber) {
    requireOpen();
    Status.check(Native.reset(address, seed, streamNumber));
  }

  /**
   * The name of the kernel set that this stream runs.
   *
   * @throws IllegalStateException after close
   */
  public synchronized String kernels() {
    requireOpen();
    return Native.streamKernels(address);
  }

  /** Free the stream's memory. Waits for a call in another thread to end. Closing twice does nothing. */
  @Override
  public synchronized void close() {
    closed = true;
    memory.free();
  }

  private void requireOpen() {
    if (closed) throw new IllegalStateException("the stream is closed");
  }

  private static void requireNative(ByteBuffer buffer) {
    if (!buffer.isDirect()) {
      throw new IllegalArgumentException("the buffer is not direct; arrays have methods of their own");
    }
    if (buffer.order() != ByteOrder.nativeOrder()) {
      throw new IllegalArgumentException("the buffer's order is not ByteOrder.nativeOrder()");
    }
  }

  private static void requireRange(int length, int offset, long count) {
    if (offset < 0 || count < 0 || offset + count > length) {
      throw new IndexOutOfBoundsException(
          "elements " + offset + " .. " + (offset + count) + " of an array of " + length);
    }
  }

  /** Buffer's own method: older phones know no position(int) that returns a ByteBuffer. */
  private static void advance(Buffer buffer, int bytes) {
    buffer.position(buffer.position() + bytes);
  }
}
