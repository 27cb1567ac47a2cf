package madang

import java.nio.charset.CharacterCodingException
import java.nio.file.Files
import java.time.Duration
import java.time.Instant
import java.util.concurrent.CountDownLatch
import java.util.concurrent.atomic.AtomicInteger
import kotlin.time.Duration.Companion.milliseconds
import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Job
import kotlinx.coroutines.async
import kotlinx.coroutines.cancel
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.channels.Channel
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.launch
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import kotlinx.coroutines.withTimeoutOrNull
import org.junit.jupiter.api.AfterAll
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNotEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows

/** What hosts hand over that is wrong, and when: without a server. */
class BoundaryTest {
    private fun claim(test: suspend CoroutineScope.() -> Unit): Unit = runBlocking { withTimeout(30.seconds, test) }

    /** Nobody listens at port 1. */
    private suspend fun open(store: StoreLocation = StoreLocation.Memory, tokens: TokenProvider = tokens { "t" }) =
        Client.open(ClientConfig("http://127.0.0.1:1", store), tokens)

    private suspend fun Client.room() = createRoom(NewRoom("lunch"))

    private suspend fun Client.waiting() = outbox().use { it.items() }

    private suspend inline fun <reified E : Throwable> refused(crossinline call: suspend () -> Unit): E {
        val thrown = runCatching { call() }.exceptionOrNull()
        return assertThrows<E> { throw checkNotNull(thrown) { "nothing was thrown" } }
    }

    @Test
    fun `half a pair of surrogates is refused and nothing is kept`() = claim {
        open().use { client ->
            val room = client.room()
            refused<CharacterCodingException> { client.send(room, Draft("half \ud83d")) }
            refused<CharacterCodingException> { client.setDraft(room, "\udc00") }
            assertEquals(1, client.waiting().size)
        }
    }

    @Test
    fun `what was taken for a call that is refused is given back`() = claim {
        val long = "x".repeat(10 shl 20)
        val before = resident()
        open().use { client ->
            repeat(30) { refused<CharacterCodingException> { client.setDraft(long, "\udc00") } }
        }
        repeat(30) {
            refused<CharacterCodingException> { serverInfo(long, NetworkConfig(listOf("\udc00"), Proxy.None)) }
        }
        // Each would have left 300 MB, and the heap is bounded.
        val grown = (resident() - before) / 1024
        assertTrue(grown < 400, "$grown MiB are held")
    }

    @Test
    fun `a text with a NUL and one of 10 MB arrive or are refused`() = claim {
        open().use { client ->
            val room = client.room()
            assertEquals(
                ClientErrorKind.INVALID,
                refused<ClientException> { client.send(room, Draft("x".repeat(10 shl 20))) }.kind,
            )
            client.setDraft(room, "a\u0000b")
            assertEquals("a\u0000b", client.draft(room))
        }
    }

    @Test
    fun `a negative duration is refused`() = claim {
        open().use { client ->
            refused<IllegalArgumentException> { client.drain(Duration.ofSeconds(-1)) }
            assertTrue(client.drain(Duration.ofSeconds(5)))
        }
    }

    @Test
    fun `far times are taken`() = claim {
        open().use { client ->
            val room = client.room()
            for (time in listOf("0000-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z", "1969-12-31T23:59:59.5Z")) {
                // Whether something is held there is another question.
                try {
                    client.timelineAt(room, Anchor.Date(Instant.parse(time))).close()
                } catch (_: ClientException) {
                }
            }
            client.setStatus(UserStatus.BUSY, CustomStatus("x", "y", Instant.parse("9999-12-31T23:59:59Z")))
        }
    }

    @Test
    fun `a page of impossible size is refused and places before the first are the first`() = claim {
        open().use { client ->
            client.timeline(client.room()).use { timeline ->
                assertEquals(ClientErrorKind.INVALID, refused<ClientException> { timeline.loadOlder(-1) }.kind)
                assertEquals(ClientErrorKind.INVALID, refused<ClientException> { timeline.loadNewer(1 shl 16) }.kind)
            }
            client.roomsWhere(RoomQuery(RoomFilter(), RoomSort.RECENT, Places(-5, 1))).use { assertEquals(1, it.items().size) }
        }
    }

    @Test
    fun `after close a call fails and close does nothing`() = claim {
        val client = open()
        client.close()
        client.close()
        refused<IllegalStateException> { client.state() }
        refused<IllegalStateException> { client.send("r", Draft("x")) }
    }

    @Test
    fun `close during a call lets the call end`() = claim {
        val client = open()
        client.room()
        val drained = async(start = CoroutineStart.UNDISPATCHED) { client.drain(Duration.ofMillis(300)) }
        client.close()
        assertEquals(false, drained.await())
    }

    @Test
    fun `a wait that is cancelled ends and the next gets what comes`() = claim {
        open().use { client ->
            client.rooms().use { rooms ->
                repeat(50) { round -> assertNull(withTimeoutOrNull((round % 5).milliseconds) { rooms.next() }) }
                val next = async(start = CoroutineStart.UNDISPATCHED) { rooms.next() }
                client.room()
                assertTrue(next.await()!!.isNotEmpty())
            }
        }
    }

    @Test
    fun `what a provider throws is told`() = claim {
        val asked = AtomicInteger()
        val throwing = object : TokenProvider {
            override fun tokenWanted(request: TokenRequest) {
                asked.incrementAndGet()
                error("no token today")
            }
        }
        open(tokens = throwing).use { client ->
            val failure = refused<ClientException> { client.searchUsers("a") }
            assertTrue("no token today" in failure.failure.message, failure.failure.message)
            assertTrue(asked.get() > 0)
        }
    }

    @Test
    fun `a source of tokens may throw or give rubbish`() = claim {
        for (source in listOf<suspend (Boolean) -> String>({ error("half \ud83d") }, { "\ud83d" })) {
            open(tokens = tokens(source)).use { client ->
                assertEquals(ClientErrorKind.OFFLINE, refused<ClientException> { client.searchUsers("a") }.kind)
            }
        }
        open(tokens = tokens { throw SignInNeededException("again") }).use { client ->
            assertEquals(ClientErrorKind.UNAUTHENTICATED, refused<ClientException> { client.searchUsers("a") }.kind)
        }
    }

    @Test
    fun `a provider that blocks blocks nobody else`() = claim {
        val over = CountDownLatch(1)
        val blocking = object : TokenProvider {
            override fun tokenWanted(request: TokenRequest) = request.use {
                over.await()
                it.give("t")
            }
        }
        open(tokens = blocking).use { client ->
            val room = client.room()
            repeat(50) { client.send(room, Draft("x")) }
            over.countDown()
        }
    }

    @Test
    fun `a provider may call the client`() = claim {
        lateinit var client: Client
        val called = Job()
        val calling = tokens {
            client.createRoom(NewRoom("from a callback"))
            client.state()
            called.complete()
            "t"
        }
        client = open(tokens = calling)
        client.use {
            refused<ClientException> { it.searchUsers("a") }
            called.join()
            assertEquals(ChangeKind.CREATE_ROOM, it.waiting().first().kind)
        }
    }

    /** What the log tells of for sure: a file that is no store, and is set aside. */
    private suspend fun openDamaged() {
        val store = Files.createTempDirectory("madang-").resolve("store")
        Files.writeString(store, "no store")
        open(StoreLocation.File(store.toString())).use { client ->
            assertNotEquals(null, client.rescued())
            client.shutdown(Duration.ZERO)
        }
    }

    /** Has the log go there for a while. */
    private suspend fun logged(sink: LogSink, work: suspend () -> Unit) {
        assertTrue(setLogSink(LogLevel.WARN, sink))
        work()
        setLogSink(LogLevel.OFF, object : LogSink { override fun log(line: LogLine) = Unit })
    }

    @Test
    fun `the log reaches the sink`() = claim {
        val lines = Channel<LogLine>(Channel.UNLIMITED)
        val sink = object : LogSink {
            override fun log(line: LogLine) {
                lines.trySend(line)
            }
        }
        logged(sink) {
            openDamaged()
            val line = lines.receive()
            assertTrue(line.level == LogLevel.WARN && line.target.startsWith("madang_sdk_core"), "$line")
            assertTrue(line.message.startsWith("the store could not be read and was set aside"), line.message)
        }
    }

    @Test
    fun `a log sink that throws is kept from the client`() = claim {
        val called = AtomicInteger()
        val throwing = object : LogSink {
            override fun log(line: LogLine) {
                called.incrementAndGet()
                error("the host's log is full")
            }
        }
        logged(throwing) { openDamaged() }
        assertTrue(called.get() > 0)
    }

    @Test
    fun `what was sent and given up at once is in the outbox`() = claim {
        open().use { client ->
            val room = client.room()
            repeat(20) { number ->
                launch(start = CoroutineStart.UNDISPATCHED) { client.send(room, Draft("number $number")) }.cancelAndJoin()
            }
            client.send(room, Draft("last"))
            assertEquals((0..19).map { "number $it" } + "last", client.waiting().drop(1).map { it.text })
        }
    }

    @Test
    fun `a second client of a store is refused`() = claim {
        val store = StoreLocation.File(Files.createTempDirectory("madang-").resolve("store").toString())
        open(store).use { client ->
            val failure = refused<ClientException> { open(store) }
            assertEquals(ClientErrorKind.STORAGE to LocalReason.STORE_BUSY, failure.kind to failure.local)
            assertNotEquals(failure.sentence(Language.ENGLISH), failure.sentence(Language.KOREAN))
            client.shutdown(Duration.ZERO)
        }
    }

    @Test
    fun `a command does not wait for a change`() = claim {
        open().use { client ->
            client.rooms().use { rooms ->
                val next = async(start = CoroutineStart.UNDISPATCHED) { rooms.next() }
                repeat(100) { assertEquals(0, rooms.total()) }
                rooms.setSort(RoomSort.NAME)
                assertTrue(next.isActive)
                rooms.stop()
                assertNull(next.await())
            }
        }
    }

    @Test
    fun `a list for a screen follows and is let go of with its scope`() = claim {
        open().use { client ->
            val lists = liveObjects().lists
            val screen = CoroutineScope(Dispatchers.Default)
            val rooms = client.rooms().stateIn(screen)
            repeat(3) { client.createRoom(NewRoom("room $it")) }
            assertEquals(setOf("room 0", "room 1", "room 2"), rooms.first { it.size == 3 }.map { it.name }.toSet())
            screen.cancel()
            while (liveObjects().lists != lists) delay(10.milliseconds)
            // In a scope that has ended it is let go of at once.
            client.rooms().stateIn(screen)
            while (liveObjects().lists != lists) delay(10.milliseconds)
        }
    }

    @Test
    fun `lists that nobody closes are let go of`() = claim {
        open().use { client ->
            val lists = liveObjects().lists
            repeat(20) { client.rooms() }
            while (liveObjects().lists > lists) {
                System.gc()
                delay(10.milliseconds)
            }
        }
    }

    companion object {
        /** The log sink that takes nothing stays. */
        @AfterAll
        @JvmStatic
        fun `in the end nothing is alive`() = runBlocking { onlyAlive(LiveObjects(0, 0, 0, 1, 0)) }
    }
}
