package io.github.linnet.sample;

import java.io.BufferedInputStream;
import java.io.BufferedReader;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;

/**
 * Sentences whose frames are packed in the app, in place of an acoustic model: it says these and no others, at the rate
 * that they were recorded with.
 */
public final class PackedSentences implements MelSource {
  /** Where files come from: {@code assets::open}. */
  public interface Files {
    InputStream open(String name) throws IOException;
  }

  private final Files files;
  private final Map<String, String> names = new HashMap<>(); // of files, by text

  /**
   * @param list the name of a list in UTF-8: a file of frames (float32, little-endian, frame after frame), a tab and its
   *     text in each line
   * @throws IOException where the list cannot be read, or a line has no tab
   */
  public PackedSentences(Files files, String list) throws IOException {
    this.files = files;
    try (BufferedReader lines =
        new BufferedReader(new InputStreamReader(files.open(list), StandardCharsets.UTF_8))) {
      for (String line = lines.readLine(); line != null; line = lines.readLine()) {
        int tab = line.indexOf('\t');
        if (tab < 0) throw new IOException(list + ": no tab in the line: " + line);
        names.put(words(line.substring(tab + 1)), line.substring(0, tab));
      }
    }
  }

  @Override
  public Locale locale() {
    return Locale.US;
  }

  @Override
  public Frames say(CharSequence text, float rate) throws IOException {
    String name = names.get(words(text));
    return name == null ? null : new FileFrames(new BufferedInputStream(files.open(name)), name);
  }

  /** Without punctuation, in lower case: what is said alike is the same text. */
  private static String words(CharSequence text) {
    return text.toString().toLowerCase(Locale.ROOT).replaceAll("[^\\p{L}\\p{N}]+", " ").trim();
  }

  private static final class FileFrames implements Frames {
    private final InputStream input;
    private final String name;

    FileFrames(InputStream input, String name) {
      this.input = input;
      this.name = name;
    }

    @Override
    public boolean next(float[] frame) throws IOException {
      byte[] bytes = new byte[frame.length * Float.BYTES];
      int read = 0;
      while (read < bytes.length) {
        int more = input.read(bytes, read, bytes.length - read);
        if (more < 0) break;
        read += more;
      }
      if (read < bytes.length) {
        input.close();
        if (read == 0) return false;
        throw new EOFException(name + ": its last frame is not whole");
      }
      ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(frame);
      return true;
    }
  }
}
