package madang

import java.io.File
import kotlin.random.Random
import kotlin.system.exitProcess
import kotlin.system.measureTimeMillis
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.async
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.yield

// Steps at whose ends memory is looked at.
private const val STEPS = 10

// Memory of the last step over that of the second: what an allocator may round up. A short run is judged by what no leak of a
// few hundred bytes a call would keep to: the runtime still warms up.
private const val LONG = 1_000_000
private const val GROWTH = 1.02
private const val GROWTH_OF_SHORT = 1.25

/** Calls by the hundred thousand, some given up at random, and memory that must not grow: CALLS SEED */
internal fun main(arguments: Array<String>) {
    val (calls, seed) = arguments.map(String::toInt)
    val sizes = runBlocking { sizes(calls, Random(seed)) }
    val flat = sizes.last() <= sizes[1] * (if (calls < LONG) GROWTH_OF_SHORT else GROWTH)
    println(if (flat) "memory is flat" else "memory grows")
    exitProcess(if (flat) 0 else 1)
}

private suspend fun sizes(calls: Int, random: Random): List<Long> {
    val config = ClientConfig("http://127.0.0.1:1", StoreLocation.Memory)
    val sizes = Client.open(config, tokens { "t" }).use { client ->
        val room = client.createRoom(NewRoom("lunch"))
        client.rooms().use { rooms ->
            (1..STEPS).map { step ->
                var cancelled = 0
                val time = measureTimeMillis { repeat(calls / STEPS) { cancelled += one(client, rooms, room, random) } }
                System.gc()
                resident().also { println("${step * (calls / STEPS)} calls, $cancelled given up, $it KiB, $time ms") }
            }
        }
    }
    onlyAlive()
    return sizes
}

private suspend fun one(client: Client, rooms: RoomList, room: String, random: Random): Int {
    when (random.nextInt(8)) {
        0 -> client.state()
        1 -> client.typing(room)
        2 -> rooms.items()
        3 -> {
            client.setDraft(room, "draft ${random.nextInt(100)}")
            client.draft(room)
        }
        4 -> refused { client.settled("unknown") }
        5 -> refused { client.send(room, Draft("")) }
        6 -> client.outbox().close()
        else -> return giveUp(rooms, random)
    }
    return 0
}

private suspend fun refused(call: suspend () -> Unit) {
    try {
        call()
        error("it was not refused")
    } catch (_: ClientException) {
    }
}

private suspend fun giveUp(rooms: RoomList, random: Random): Int = coroutineScope {
    val next = async(start = CoroutineStart.UNDISPATCHED) { rooms.next() }
    if (random.nextBoolean()) yield()
    next.cancelAndJoin()
    if (next.isCancelled) 1 else 0
}

/** What the process holds, in KiB. */
internal fun resident(): Long =
    File("/proc/self/status").readLines().first { it.startsWith("VmRSS:") }.filter(Char::isDigit).toLong()
