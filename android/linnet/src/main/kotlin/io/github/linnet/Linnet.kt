package io.github.linnet

import android.content.Context
import java.io.File
import java.io.IOException

/** Where voices come from. Opening reads the whole file once, for its checksum: call it off the main thread. */
object Linnet {
    /** The kernel sets that this phone can run, best first. */
    val kernels: List<String>
        get() = Voice.kernels()

    /**
     * Map a voice file: its weights are not copied.
     *
     * @throws LinnetException where it is no voice that this library can read
     * @throws IOException where it cannot be opened
     */
    fun open(file: File): Voice = Voice.open(file)

    /**
     * Map a voice that is packed in the app, after copying it out of the package once. The copy lies in codeCacheDir,
     * which Android empties with each update of the app.
     *
     * @throws LinnetException where it is no voice that this library can read
     * @throws IOException where there is no such asset, or no space for the copy
     */
    fun open(context: Context, asset: String): Voice {
        val copy = File(context.codeCacheDir, "linnet/$asset")
        if (!copy.exists()) extract(context, asset, copy)
        return Voice.open(copy)
    }

    /** The copy appears whole or not at all. */
    private fun extract(context: Context, asset: String, copy: File) {
        val folder = checkNotNull(copy.parentFile)
        folder.mkdirs()
        val partial = File.createTempFile("partial", null, folder)
        try {
            context.assets.open(asset).use { input ->
                partial.outputStream().use { output -> input.copyTo(output) }
            }
            if (!partial.renameTo(copy)) throw IOException("$copy cannot be written")
        } finally {
            partial.delete()
        }
    }
}
