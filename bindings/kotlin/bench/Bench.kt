package madang

import java.util.Locale
import kotlin.system.exitProcess
import kotlin.system.measureNanoTime
import kotlinx.coroutines.runBlocking

// The middle of the rounds counts, after some that warm up.
private const val ROUNDS = 21
private const val WARM_UP = 20
// A call is thirty times one of C#'s: JNA makes objects for what it carries.
private const val CALLS = 2_000
private const val WAITS = 1_000
private const val MESSAGES = 50

/** What calls cost, seen from here and without a server: a line of JSON, for `cargo xtask bench ffi`. */
internal fun main() {
    runBlocking { measure() }
    exitProcess(0)
}

private suspend fun measure() {
    val config = ClientConfig("http://127.0.0.1:1", StoreLocation.Memory)
    Client.open(config, tokens { "t" }).use { client ->
        val call = middle(CALLS) { client.setMetered(false) }
        val answer = middle(CALLS) { client.state() }
        val wait = client.rooms().use { rooms -> middle(WAITS) { rooms.total() } }
        val diff = diff(client)
        val line = """{"call_ns":%.1f,"answer_ns":%.1f,"wait_us":%.2f,"diff_us":%.1f}"""
        println(line.format(Locale.ROOT, call, answer, wait / 1e3, diff / 1e3))
    }
}

/** A timeline of 50 messages, told whole again and again. */
private suspend fun diff(client: Client): Double {
    val room = client.createRoom(NewRoom("lunch"))
    repeat(MESSAGES) { client.send(room, Draft("number $it of what is said here, as long as people write")) }
    return client.timeline(room).use { timeline ->
        middle(MESSAGES) { check(timeline.items().count { it is TimelineItem.Message } == MESSAGES) { "messages are missing" } }
    }
}

/** Nanoseconds of one. */
private suspend fun middle(calls: Int, work: suspend () -> Unit): Double {
    val times = (1..WARM_UP + ROUNDS).map { measureNanoTime { repeat(calls) { work() } } / calls.toDouble() }
    return times.drop(WARM_UP).sorted()[ROUNDS / 2]
}
