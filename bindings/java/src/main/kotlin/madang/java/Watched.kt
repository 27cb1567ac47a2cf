package madang.java

import java.util.concurrent.CompletableFuture
import java.util.concurrent.Flow.Publisher
import madang.ConnectionState
import madang.ReadCount
import madang.ReadersNews
import madang.Totals
import madang.changes

/** What is unread in all rooms together. */
public class UnreadTotals internal constructor(private val core: madang.UnreadTotals) : AutoCloseable {
    /** Waits until they are others, and tells them. Null: it was stopped, or the client has ended. */
    public fun next(): CompletableFuture<Totals?> = called { core.next() }

    /** The totals as they were last told. */
    public fun now(): CompletableFuture<Totals> = called { core.now() }

    /** Ends the waits for the next totals, for good. */
    public fun stop(): Unit = core.stop()

    /** All news from now on: for one subscriber. */
    public fun changes(): Publisher<Totals> = core.changes().published()

    /** Lets go of it. A wait that runs ends by itself. */
    override fun close(): Unit = core.close()
}

/**
 * How the client stands to its server, as it changes. States that pass while nobody asks are not told.
 */
public class ConnectionStates internal constructor(private val core: madang.ConnectionStates) : AutoCloseable {
    /** The state at first, then waits until it is another. Null: it was stopped, or the client is gone. */
    public fun next(): CompletableFuture<ConnectionState?> = called { core.next() }

    /** Ends the waits for the next state, for good. */
    public fun stop(): Unit = core.stop()

    /** All news from now on: for one subscriber. */
    public fun changes(): Publisher<ConnectionState> = core.changes().published()

    /** Lets go of it. A wait that runs ends by itself. */
    override fun close(): Unit = core.close()
}

/** Who is writing in one room. */
public class Typers internal constructor(private val core: madang.Typers) : AutoCloseable {
    /** Who is writing now, by id. */
    public fun items(): CompletableFuture<List<String>> = called { core.items() }

    /** Waits until it is somebody else, and tells who. Null: it was stopped, or the client has ended. */
    public fun next(): CompletableFuture<List<String>?> = called { core.next() }

    /** Ends the waits for the next news, for good. */
    public fun stop(): Unit = core.stop()

    /** All news from now on: for one subscriber. */
    public fun changes(): Publisher<List<String>> = core.changes().published()

    /** Lets go of it. A wait that runs ends by itself. */
    override fun close(): Unit = core.close()
}

/** Who is here, of the people on a screen. The server tells of up to 200 of them. */
public class Presence internal constructor(private val core: madang.Presence) : AutoCloseable {
    /** Waits until it is otherwise, and tells how. Null: it was stopped, or the client has ended. */
    public fun next(): CompletableFuture<Map<String, Boolean>?> = called { core.next() }

    /** Whether each person is here, by id; who is missing is not known, as while there is no connection. */
    public fun now(): CompletableFuture<Map<String, Boolean>> = called { core.now() }

    /** Ends the waits for the next news, for good. */
    public fun stop(): Unit = core.stop()

    /** All news from now on: for one subscriber. */
    public fun changes(): Publisher<Map<String, Boolean>> = core.changes().published()

    /** Lets go of it. A wait that runs ends by itself. */
    override fun close(): Unit = core.close()
}

/** How many have read a message on a screen. The server counts for up to five messages, once a second. */
public class Readers internal constructor(private val core: madang.Readers) : AutoCloseable {
    /** Waits until it is another, and tells it. Null: it was stopped, or the client has ended. */
    public fun next(): CompletableFuture<ReadersNews?> = called { core.next() }

    /** The count; null while it is not known. */
    public fun now(): CompletableFuture<ReadCount?> = called { core.now() }

    /** Ends the waits for the next news, for good. */
    public fun stop(): Unit = core.stop()

    /** All news from now on: for one subscriber. */
    public fun changes(): Publisher<ReadersNews> = core.changes().published()

    /** Lets go of it. A wait that runs ends by itself. */
    override fun close(): Unit = core.close()
}
