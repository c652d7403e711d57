package io.github.linnet.sample;

import android.speech.tts.SynthesisCallback;
import android.speech.tts.SynthesisRequest;
import android.speech.tts.TextToSpeech;
import android.speech.tts.TextToSpeechService;
import io.github.linnet.Voice;
import java.io.IOException;
import java.util.Locale;

/**
 * A system voice, which screen readers and other apps speak with: texts through an acoustic model and a linnet voice.
 *
 * <p>Android calls {@link #onSynthesizeText} on a thread of its own, for one utterance at a time, and {@link #onStop}
 * from others. What cannot be opened is tried again with the next text.
 */
public abstract class VoiceService extends TextToSpeechService {
  private static final float USUAL_RATE = 100; // of a request

  private Voice voice;
  private MelSource source;
  private volatile Utterance current;

  /** The voice, opened; it is closed with the service. */
  protected abstract Voice openVoice() throws IOException;

  /** The acoustic model. */
  protected abstract MelSource openSource() throws IOException;

  @Override
  protected void onSynthesizeText(SynthesisRequest request, SynthesisCallback callback) {
    Utterance utterance = new Utterance();
    current = utterance;
    try {
      open();
      MelSource.Frames frames = source.say(request.getCharSequenceText(), request.getSpeechRate() / USUAL_RATE);
      if (frames == null) {
        callback.error(TextToSpeech.ERROR_INVALID_REQUEST);
        return;
      }
      utterance.speak(voice, frames, callback);
      callback.done();
    } catch (IOException | RuntimeException e) {
      callback.error(TextToSpeech.ERROR_SYNTHESIS);
    } finally {
      current = null;
    }
  }

  @Override
  protected void onStop() {
    Utterance utterance = current;
    if (utterance != null) utterance.stop();
  }

  @Override
  protected int onIsLanguageAvailable(String language, String country, String variant) {
    Locale locale = locale();
    if (locale == null || !locale.getISO3Language().equals(language)) return TextToSpeech.LANG_NOT_SUPPORTED;
    boolean same = locale.getISO3Country().equals(country);
    return same ? TextToSpeech.LANG_COUNTRY_AVAILABLE : TextToSpeech.LANG_AVAILABLE;
  }

  @Override
  protected int onLoadLanguage(String language, String country, String variant) {
    return onIsLanguageAvailable(language, country, variant);
  }

  @Override
  protected String[] onGetLanguage() {
    Locale locale = locale();
    if (locale == null) return new String[] {"", "", ""};
    return new String[] {locale.getISO3Language(), locale.getISO3Country(), ""};
  }

  @Override
  public void onDestroy() {
    onStop();
    super.onDestroy();
    synchronized (this) {
      if (voice != null) voice.close();
      voice = null;
    }
  }

  private synchronized void open() throws IOException {
    if (source == null) source = openSource();
    if (voice == null) voice = openVoice();
  }

  /** What the source speaks; null while it cannot be opened. */
  private synchronized Locale locale() {
    try {
      if (source == null) source = openSource();
      return source.locale();
    } catch (IOException e) {
      return null;
    }
  }
}
