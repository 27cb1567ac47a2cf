package madang

import com.google.gson.JsonObject
import com.google.gson.JsonParser
import java.io.File
import kotlinx.coroutines.runBlocking

/** The scenarios of bindings/scenario.json, played by what a Kotlin app uses: GROUND scenario.json TRANSCRIPT */
internal fun main(arguments: Array<String>): Unit = runBlocking {
    val (program, scenarios, transcript) = arguments
    val lines = StringBuilder()
    Ground(program).use { ground ->
        for (scenario in JsonParser.parseString(File(scenarios).readText()).asJsonObject["scenarios"].asJsonArray) {
            play(scenario.asJsonObject, ground, lines)
        }
    }
    File(transcript).writeText(lines.toString())
    onlyAlive()
}

private suspend fun play(scenario: JsonObject, ground: Ground, lines: StringBuilder) {
    lines.append("# ${scenario["name"].asString}\n")
    Scene(ground).use { scene ->
        scenario["steps"].asJsonArray.forEachIndexed { at, step ->
            val seen = runCatching { scene.play(step.asJsonObject) }
            lines.append("${at + 1} ${seen.getOrElse { throw IllegalStateException("$step of\n$lines", it) }}\n")
        }
        scene.end()
    }
}
