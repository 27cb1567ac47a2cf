import java.time.Duration
import kotlin.system.exitProcess
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.onEach
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withContext
import madang.Client
import madang.ClientConfig
import madang.ClientException
import madang.ConnectionState
import madang.Draft
import madang.Language
import madang.NewRoom
import madang.RoomItem
import madang.StoreLocation
import madang.TimelineItem
import madang.changes
import madang.sentence
import madang.stateIn
import madang.tokens

// A live room list in a console: Rooms SERVER STORE, and a token in the environment. What is typed is `NUMBER TEXT`: a message
// into the room with that number, or `new NAME`. An empty line ends it.
fun main(arguments: Array<String>) {
    if (arguments.size != 2) {
        println("Rooms SERVER STORE")
        exitProcess(2)
    }
    try {
        runBlocking { run(arguments[0], arguments[1]) }
    } catch (failure: ClientException) {
        println(failure.sentence(Language.ENGLISH))
        exitProcess(1)
    }
}

private suspend fun run(server: String, store: String) = coroutineScope {
    // An app asks its sign-in library here, and gives a fresh token when one is wanted.
    val tokens = tokens { _ -> System.getenv("MADANG_TOKEN") }
    val config = ClientConfig(server, StoreLocation.File(store), platform = "console")
    Client.open(config, tokens).use { client ->
        val states = launch { showStates(client) }
        val rooms = client.rooms().stateIn(this)
        val screen = launch { rooms.collect(::show) }
        while (true) {
            // Reading waits, and must not wait here: this is the thread of the screen.
            val line = withContext(Dispatchers.IO) { readlnOrNull() }
            if (line.isNullOrEmpty()) break
            obey(client, rooms.value, line)
        }
        client.shutdown(Duration.ofSeconds(5))
        screen.cancel()
        states.join()
    }
}

private suspend fun showStates(client: Client) {
    client.states().use { states ->
        states.changes().onEach { println("-- ${it.javaClass.simpleName}") }.first { it is ConnectionState.Ended }
    }
}

private fun show(rooms: List<RoomItem>) = rooms.forEachIndexed { at, room ->
    val last = (room.lastMessage as? TimelineItem.Message)?.v1
    println("${at + 1}. ${room.name} (${room.unread}) ${last?.let { "${it.sender.name}: ${it.text}" }.orEmpty()}")
}

private suspend fun obey(client: Client, rooms: List<RoomItem>, line: String) {
    val (word, rest) = line.split(" ", limit = 2) + ""
    val room = word.toIntOrNull()?.let { rooms.getOrNull(it - 1) }
    try {
        when {
            rest.isEmpty() -> println("NUMBER TEXT, or new NAME")
            word == "new" -> client.createRoom(NewRoom(rest))
            // It is on the disk when this returns, with a network or without.
            room != null -> client.send(room.id, Draft(rest))
            else -> println("no such room")
        }
    } catch (refusal: ClientException) {
        println(refusal.sentence(Language.ENGLISH))
    }
}
