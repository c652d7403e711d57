import android.media.AudioFormat;
import android.speech.tts.SynthesisCallback;
import android.speech.tts.SynthesisRequest;
import android.speech.tts.TextToSpeech;
import io.github.linnet.Voice;
import io.github.linnet.sample.MelSource;
import io.github.linnet.sample.PackedSentences;
import io.github.linnet.sample.VoiceService;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.util.concurrent.CountDownLatch;

/**
 * Speech VOICE FOLDER: the sample's system voice, with the sentences of FOLDER/sentences.txt. What the callback is told
 * for each of several requests, a line each.
 */
public final class Speech {
  private static File voiceFile;
  private static File folder;

  public static void main(String[] arguments) throws Exception {
    voiceFile = new File(arguments[0]);
    folder = new File(arguments[1]);
    for (int most : new int[] {1 << 20, 31}) {
      Service service = new Service();
      Callback callback = new Callback(service, most);
      service.say("Hello, world!", callback);
      String first = callback.framesBeforeSound + " frames, most " + callback.largest + " bytes";
      System.out.println("whole: " + first + ": " + callback + " " + Synthesize.sha256(callback.sound.toByteArray()));
      service.onDestroy();
    }
    Service service = new Service();
    for (int piece : new int[] {1, 3}) { // again with the same service
      Callback callback = new Callback(service, 1 << 20);
      callback.stopAt = piece;
      service.say("hello world", callback);
      System.out.println("stopped in piece " + piece + ": " + callback.pieces + " pieces: " + callback);
    }
    Callback blocked = new Callback(service, 1 << 20);
    blocked.block = new CountDownLatch(1);
    Thread thread = new Thread(() -> service.say("hello world", blocked));
    thread.start();
    blocked.reached.await();
    service.onStop();
    blocked.block.countDown();
    thread.join();
    System.out.println("stopped by another thread: " + blocked.pieces + " pieces: " + blocked);
    Callback unwilling = new Callback(service, 1 << 20);
    unwilling.answer = TextToSpeech.ERROR;
    service.say("hello world", unwilling);
    System.out.println("a callback that wants no more: " + unwilling.pieces + " pieces: " + unwilling);
    for (String text : new String[] {"Never packed.", "cut off", "absent"}) {
      Callback callback = new Callback(service, 1 << 20);
      service.say(text, callback);
      System.out.println(text + ": " + callback);
    }
    System.out.println("languages: " + service.languages());
    service.onDestroy();
  }

  /** The service, which counts the frames that it asks for. */
  private static final class Service extends VoiceService {
    int frames;

    @Override
    protected Voice openVoice() throws IOException {
      return Voice.open(voiceFile);
    }

    @Override
    protected MelSource openSource() throws IOException {
      PackedSentences packed = new PackedSentences(name -> new FileInputStream(new File(folder, name)), "sentences.txt");
      return new MelSource() {
        @Override
        public java.util.Locale locale() {
          return packed.locale();
        }

        @Override
        public Frames say(CharSequence text, float rate) throws IOException {
          frames = 0;
          Frames found = packed.say(text, rate);
          if (found == null) return null;
          return frame -> {
            frames += 1;
            return found.next(frame);
          };
        }
      };
    }

    void say(String text, Callback callback) {
      onSynthesizeText(new SynthesisRequest(text), callback);
    }

    @Override
    public void onStop() { // for this test to call
      super.onStop();
    }

    String languages() {
      return String.join(" ", onGetLanguage())
          + onLoadLanguage("eng", "USA", "") + " "
          + onLoadLanguage("eng", "GBR", "") + " "
          + onIsLanguageAvailable("deu", "DEU", "");
    }
  }

  /** Notes what it is told; it can stop the service, wait, or refuse. */
  private static final class Callback implements SynthesisCallback {
    final ByteArrayOutputStream sound = new ByteArrayOutputStream();
    final CountDownLatch reached = new CountDownLatch(1);
    final StringBuilder told = new StringBuilder();
    final Service service;
    final int most;
    int answer = TextToSpeech.SUCCESS;
    int stopAt;
    int pieces;
    int largest;
    int framesBeforeSound;
    CountDownLatch block;

    Callback(Service service, int most) {
      this.service = service;
      this.most = most;
    }

    @Override
    public int getMaxBufferSize() {
      return most;
    }

    @Override
    public int start(int sampleRate, int format, int channels) {
      boolean usual = format == AudioFormat.ENCODING_PCM_16BIT && channels == 1;
      told.append(usual ? "start " + sampleRate : "start of another format");
      return TextToSpeech.SUCCESS;
    }

    @Override
    public int audioAvailable(byte[] buffer, int offset, int length) {
      if (pieces == 0) framesBeforeSound = service.frames;
      pieces += 1;
      largest = Math.max(largest, length);
      sound.write(buffer, offset, length);
      if (pieces == stopAt) service.onStop();
      reached.countDown();
      try {
        if (block != null) block.await();
      } catch (InterruptedException e) {
        return TextToSpeech.ERROR;
      }
      return answer;
    }

    @Override
    public int done() {
      told.append(" done");
      return TextToSpeech.SUCCESS;
    }

    @Override
    public void error(int code) {
      told.append(" error ").append(code);
    }

    @Override
    public String toString() {
      return told.toString().trim();
    }
  }
}
