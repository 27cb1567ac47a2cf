package madang

import com.google.gson.JsonObject
import java.nio.file.Files
import java.time.Duration
import kotlin.io.path.deleteRecursively
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.TimeoutCancellationException
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.withTimeout
import kotlinx.coroutines.withTimeoutOrNull

/** A scenario that is played. */
@OptIn(kotlin.io.path.ExperimentalPathApi::class)
internal class Scene(private val ground: Ground) : AutoCloseable {
    private val folder = Files.createTempDirectory("madang-")
    private val clients = mutableMapOf<String, Client>()
    private val rooms = mutableMapOf<String, String>()
    private val messages = mutableMapOf<String, String>()

    suspend fun end() = clients.values.forEach { it.shutdown(Duration.ZERO) }

    override fun close() {
        clients.values.forEach { it.close() }
        folder.deleteRecursively()
    }

    suspend fun play(step: JsonObject): String = withTimeout(patience) {
        val name = step.text("do")
        val seen = if (step.has("fails")) refused(step) else act(name, step)
        if (seen.isEmpty()) name else "$name: $seen"
    }

    private suspend fun refused(step: JsonObject): String {
        val failure = runCatching { act(step.text("do"), step) }.exceptionOrNull()
        if (failure !is ClientException) throw IllegalStateException("it did not fail as it should", failure)
        val (kind, reason, local) = listOf(failure.kind, failure.reason, failure.local).map { it?.spoken() ?: "-" }
        val seen = "$kind reason $reason local $local"
        check(seen == step.text("fails")) { "failed with $seen" }
        return seen
    }

    private suspend fun act(name: String, step: JsonObject): String {
        when (name) {
            "open" -> return open(step)
            "close", "drop" -> leave(step, shutdown = name == "close")
            "disconnect" -> step.client().disconnect()
            "reconnect" -> step.client().reconnect()
            "ground" -> ground.say(step.text("say")).let { return step.text("say") }
            "state" -> until(step.client()) { it.javaClass.simpleName == step.text("is") }.let { return step.text("is") }
            "create_room" -> return createRoom(step)
            "room" -> return shownRoom(step)
            "no_room" -> roomList(step) { it == null }
            "send" -> send(step)
            "edit" -> step.client().edit(step.room(), MessageKey.Own(step.message()), Draft(step.text("text")))
            "delete" -> step.client().delete(step.room(), MessageKey.Own(step.message()))
            "send_many" -> return sendMany(step)
            "shows" -> return shows(step)
            "mark_read" -> step.client().markRead(step.room(), seqOf(step))
            "mark_unread" -> step.client().markUnread(step.room(), seqOf(step))
            "remove" -> step.client().settled(step.client().remove(step.room(), me(step.text("member"))))
            "give_up" -> return giveUp(step)
            "page" -> return page(step)
            else -> error("no such step")
        }
        return ""
    }

    private suspend fun open(step: JsonObject): String {
        val (name, person) = step.text("client") to step.text("person")
        val client = Client.open(
            ClientConfig(
                server = step["server"]?.asString ?: ground.server,
                store = StoreLocation.File(folder.resolve(step["store"]?.asString ?: name).toString()),
                backoff = Backoff(Duration.ofMillis(20), Duration.ofMillis(200)),
            ),
            ground.tokensOf(person),
        )
        clients[name] = client
        if (!step.has("offline")) until(client) { it is ConnectionState.Live }
        return person
    }

    private suspend fun leave(step: JsonObject, shutdown: Boolean) = clients.remove(step.text("client"))!!.use {
        if (shutdown) it.shutdown(Duration.ZERO)
    }

    private suspend fun until(client: Client, wanted: (ConnectionState) -> Boolean) =
        client.states().use { states -> states.changes().first(wanted) }

    private suspend fun createRoom(step: JsonObject): String {
        val members = step["members"].asJsonArray.map { me(it.asString) }
        val id = step.client().createRoom(NewRoom(step.text("name"), members = members))
        step.client().settled(id)
        rooms[step.text("room")] = id
        return step.text("name")
    }

    private suspend fun shownRoom(step: JsonObject): String {
        val wanted = step["is"].asJsonObject
        val (members, unread) = listOf("members", "unread").map { wanted[it].asInt }
        val words = "${wanted.text("name")} ${wanted.text("kind")} members $members unread $unread"
        roomList(step) { it == words }
        return words
    }

    /** Follows the room list by its changes until the room is as it is wanted. */
    private suspend fun roomList(step: JsonObject, wanted: (String?) -> Boolean) {
        val said = { room: RoomItem -> "${room.name} ${room.kind.spoken()} members ${room.memberCount} unread ${room.unread}" }
        step.client().rooms().use { list ->
            val shown = list.items().toMutableList()
            while (!wanted(shown.find { it.id == step.room() }?.let(said))) list.next()!!.forEach { it.applyTo(shown) }
        }
    }

    private suspend fun send(step: JsonObject) {
        val id = step.client().send(step.room(), Draft(step.text("text")))
        step["message"]?.let { messages[it.asString] = id }
    }

    private suspend fun sendMany(step: JsonObject): String {
        val count = step["count"].asInt
        val last = (1..count).map { step.client().send(step.room(), Draft("number $it")) }.last()
        step.client().settled(last)
        return "$count"
    }

    private suspend fun shows(step: JsonObject): String {
        val wanted = step["items"].asJsonArray.map { it.asString }
        val shown = timeline(step) { found -> found.map { it.line() } == wanted }
        val escaped = { line: String -> line.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t") }
        return shown.joinToString(" | ") { escaped(it.line()) }
    }

    private suspend fun seqOf(step: JsonObject): Long {
        val said = { message: MessageItem -> message.text == step.text("text") && message.seq != null }
        return timeline(step) { it.any(said) }.first(said).seq!!
    }

    /** Follows the timeline by its changes until its messages are as they are wanted. */
    private suspend fun timeline(step: JsonObject, wanted: (List<MessageItem>) -> Boolean): List<MessageItem> {
        step.client().timeline(step.room()).use { list ->
            val shown = list.items().toMutableList()
            while (!wanted(messages(shown))) {
                try {
                    list.next()!!.forEach { it.applyTo(shown) }
                } catch (late: TimeoutCancellationException) {
                    throw IllegalStateException("shows ${messages(shown).map { it.line() }}", late)
                }
            }
            return messages(shown)
        }
    }

    private suspend fun giveUp(step: JsonObject): String {
        check(withTimeoutOrNull(200.milliseconds) { step.client().settled(step.message()) } == null) { "the answer came" }
        return "cancelled"
    }

    private suspend fun page(step: JsonObject): String {
        step.client().timelineAt(step.room(), Anchor.Newest).use { list ->
            repeat(step["pages"].asInt) {
                list.loadOlder(step["older"].asInt)
                // Changes are told by the next wait.
                withTimeoutOrNull(1.seconds) { list.next() }
            }
            val shown = messages(list.items())
            return "${shown.size} from ${shown.first().text} to ${shown.last().text}"
        }
    }

    private fun me(client: String) = clients.getValue(client).me()!!

    private fun JsonObject.text(key: String): String = this[key].asString

    private fun JsonObject.client() = clients.getValue(text("client"))

    private fun JsonObject.room() = rooms.getValue(text("room"))

    private fun JsonObject.message() = text("message").let { messages[it] ?: it }

    private companion object {
        val patience = 60.seconds

        fun messages(items: List<TimelineItem>) = items.filterIsInstance<TimelineItem.Message>().map { it.v1 }

        fun MessageItem.line(): String {
            val marks = (if (edited) " edited" else "") + (if (deleted) " deleted" else "")
            return "${sender.name} ${state.javaClass.simpleName}$marks: $text"
        }

        /** As all languages say it. */
        fun Enum<*>.spoken() =
            name.split("_").joinToString("") { it.lowercase().replaceFirstChar(Char::uppercase) }
    }
}
