package io.github.linnet.sample

import io.github.linnet.Linnet

/** The packed voice and the packed sentences as a system voice. */
class SampleVoiceService : VoiceService() {
    override fun openVoice() = Linnet.open(this, "voice.linnet")

    override fun openSource() = PackedSentences(assets::open, "sentences.txt")
}
