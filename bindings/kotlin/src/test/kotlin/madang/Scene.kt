package madang

import com.google.gson.JsonObject
import java.nio.file.Files
import java.time.Duration
import java.time.Instant
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
    private val hosts = mutableMapOf<String, Host>()
    private val lists = mutableMapOf<String, Timeline>()
    private val rooms = mutableMapOf<String, String>()
    private val messages = mutableMapOf<String, String>()

    suspend fun end() {
        lists.values.forEach { it.close() }
        clients.values.forEach { it.shutdown(Duration.ZERO) }
    }

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
        val seen = failure.failure.words()
        check(seen == step.text("fails")) { "failed with $seen" }
        return seen
    }

    private suspend fun act(name: String, step: JsonObject): String {
        when (name) {
            "open" -> return open(step)
            "close", "drop" -> letGo(step, shutdown = name == "close")
            "end" -> step.client().shutdown(Duration.ZERO)
            "suspend" -> step.client().suspend()
            "resume" -> step.client().resume()
            "sign_out" -> return if (step.client().signOut()) "told" else "not told"
            "disconnect" -> step.client().disconnect()
            "reconnect" -> step.client().reconnect()
            "ground" -> ground.say(step.text("say")).let { return step.text("say") }
            "old_store" -> oldStore(step)
            "revoke" -> ground.say("revoke ${step.host().login} ${step.client().deviceId()}")
            "tokens" -> step.host().answers(step.text("are")).let { return step.text("are") }
            "renewed" -> step.host().renewed()
            "state" -> until(step.client()) { it.words() == step.text("is") }.let { return step.text("is") }
            "create_room" -> return createRoom(step)
            "open_direct" -> openDirect(step)
            "room" -> return shownRoom(step)
            "no_room" -> roomList(step) { it == null }
            "send" -> send(step)
            "edit" -> step.client().edit(step.room(), MessageKey.Own(step.message()), draft(step))
            "delete" -> step.client().delete(step.room(), MessageKey.Own(step.message()))
            "send_many" -> return sendMany(step)
            "shows" -> return shows(step)
            "mark_read" -> step.client().markRead(step.room(), seqOf(step))
            "mark_unread" -> step.client().markUnread(step.room(), seqOf(step))
            "remove", "invite", "join", "leave" -> membership(name, step)
            "settled" -> step.client().settled(step.message())
            "watch" -> lists[step.text("client")] = step.client().timeline(step.room())
            "told" -> return told(step)
            "jump" -> return jump(step)
            "give_up" -> return giveUp(step)
            "page" -> return page(step)
            else -> error("no such step")
        }
        return ""
    }

    private suspend fun open(step: JsonObject): String {
        val (name, person) = step.text("client") to step.text("person")
        val host = Host(ground, person)
        hosts[name] = host
        val client = Client.open(
            ClientConfig(
                server = step["server"]?.asString ?: ground.server,
                store = StoreLocation.File(folder.resolve(step["store"]?.asString ?: name).toString()),
                backoff = Backoff(Duration.ofMillis(20), Duration.ofMillis(200)),
            ),
            host.tokens,
        )
        clients[name] = client
        if (!step.has("offline")) until(client) { it is ConnectionState.Live }
        return person
    }

    private suspend fun letGo(step: JsonObject, shutdown: Boolean) = clients.remove(step.text("client"))!!.use {
        if (shutdown) it.shutdown(Duration.ZERO)
    }

    private suspend fun until(client: Client, wanted: (ConnectionState) -> Boolean) =
        client.states().use { states -> states.changes().first(wanted) }

    /** Lays the store of an earlier version down where a client will look for it. */
    private fun oldStore(step: JsonObject) {
        val answer = ground.say("store ${step["version"].asInt} ${folder.resolve(step.text("store"))}")
        rooms[step.text("room")] = answer.text("room")
    }

    private suspend fun createRoom(step: JsonObject): String {
        val id = step.client().createRoom(NewRoom(step.text("name"), members = people(step, "members")))
        step.client().settled(id)
        rooms[step.text("room")] = id
        return step.text("name")
    }

    /** Whoever opens it first makes it; all find the same. */
    private suspend fun openDirect(step: JsonObject) {
        val id = step.client().openDirect(people(step, "members").single())
        check(rooms.getOrPut(step.text("room")) { id } == id) { "another room" }
    }

    private suspend fun membership(name: String, step: JsonObject) {
        val (client, room, people) = Triple(step.client(), step.room(), people(step, "members"))
        val id = when (name) {
            "invite" -> client.invite(room, people)
            "remove" -> client.remove(room, people.single())
            "join" -> client.join(room)
            else -> client.leave(room)
        }
        client.settled(id)
    }

    private suspend fun shownRoom(step: JsonObject): String {
        val wanted = step["is"].asJsonObject
        val (members, unread, mentions) = listOf("members", "unread", "mentions").map { wanted[it]?.asInt ?: 0 }
        val words = "${wanted.text("name")} ${wanted.text("kind")} members $members unread $unread mentions $mentions"
        roomList(step) { it == words }
        return words
    }

    /** Follows the room list by its changes until the room is as it is wanted. */
    private suspend fun roomList(step: JsonObject, wanted: (String?) -> Boolean) {
        step.client().rooms().use { list ->
            val shown = list.items().toMutableList()
            while (!wanted(shown.find { it.id == step.room() }?.line())) list.next()!!.forEach { it.applyTo(shown) }
        }
    }

    private suspend fun send(step: JsonObject) {
        val id = step.client().send(step.room(), draft(step))
        step["message"]?.let { messages[it.asString] = id }
    }

    private fun draft(step: JsonObject) = Draft(
        text = step.text("text").repeat(step["times"]?.asInt ?: 1),
        mentions = people(step, "mentions"),
        mentionAll = step.has("mention_all"),
    )

    private suspend fun sendMany(step: JsonObject): String {
        val count = step["count"].asInt
        val last = (1..count).map { step.client().send(step.room(), Draft("number $it")) }.last()
        if (step.has("message")) messages[step.text("message")] = last else step.client().settled(last)
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
            return span(list.items())
        }
    }

    /** What a list that nobody has asked for a while tells at once. */
    private suspend fun told(step: JsonObject): String {
        val list = lists.getValue(step.text("client"))
        val batch = list.next()!!
        check(batch.singleOrNull() is TimelineChange.Reset) { "told ${batch.size} changes" }
        return "Reset ${span(list.items())}"
    }

    private suspend fun jump(step: JsonObject): String {
        val to = step["to"].asJsonPrimitive
        step.client().timeline(step.room()).use { list ->
            list.jump(if (to.isNumber) Anchor.Date(Instant.ofEpochSecond(to.asLong)) else Anchor.FirstUnread)
            list.next()
            val items = list.items()
            val first = messages(if (to.isNumber) items else items.dropWhile { it !is TimelineItem.NewLine }).first().text
            check(first == step.text("is")) { "shows $first" }
            return first
        }
    }

    /** The people of these clients, by id. */
    private fun people(step: JsonObject, key: String) =
        step[key]?.asJsonArray?.map { clients.getValue(it.asString).me()!! }.orEmpty()

    private fun JsonObject.host() = hosts.getValue(text("client"))

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

        fun RoomItem.line() = "$name ${kind.spoken()} members $memberCount unread $unread mentions $mentions"

        /** How many there are, the first and the last. */
        fun span(items: List<TimelineItem>): String {
            val shown = messages(items)
            return "${shown.size} from ${shown.first().text} to ${shown.last().text}"
        }

        fun ConnectionState.words() =
            javaClass.simpleName + if (this is ConnectionState.Ended) " ${reason.words()}" else ""

        fun Failure.words(): String {
            val (kind, reason, local) = listOf(kind, reason, local).map { it?.spoken() ?: "-" }
            return "$kind reason $reason local $local" + violations.joinToString("") { ", ${it.field}: ${it.limit}" }
        }

        /** As all languages say it. */
        fun Enum<*>.spoken() =
            name.split("_").joinToString("") { it.lowercase().replaceFirstChar(Char::uppercase) }
    }
}
