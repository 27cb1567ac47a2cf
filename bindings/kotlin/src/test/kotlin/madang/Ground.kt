package madang

import com.google.gson.JsonObject
import com.google.gson.JsonParser

/** The program with the server: see bindings/scenario.md. */
internal class Ground(program: String) : AutoCloseable {
    private val process = ProcessBuilder(program).redirectError(ProcessBuilder.Redirect.INHERIT).start()
    private val input = process.outputWriter()
    private val output = process.inputReader()
    val server: String = answer()["server"].asString

    @Synchronized
    fun say(line: String): JsonObject {
        input.write("$line\n")
        input.flush()
        return answer()
    }

    private fun answer(): JsonObject {
        val answer = JsonParser.parseString(checkNotNull(output.readLine()) { "the ground has ended" }).asJsonObject
        check(!answer.has("error")) { answer["error"].asString }
        return answer
    }

    override fun close() {
        input.close()
        process.waitFor()
    }
}
