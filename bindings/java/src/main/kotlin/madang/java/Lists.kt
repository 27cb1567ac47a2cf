package madang.java

import java.util.concurrent.CompletableFuture
import java.util.concurrent.Flow.Publisher
import madang.Anchor
import madang.MemberChange
import madang.OutboxChange
import madang.Places
import madang.RoomChange
import madang.RoomFilter
import madang.RoomItem
import madang.RoomMember
import madang.RoomQuery
import madang.RoomSort
import madang.TimelineChange
import madang.TimelineItem
import madang.WaitingChange
import madang.applyTo
import madang.changes

/** The room list. */
public class RoomList internal constructor(private val core: madang.RoomList) : AutoCloseable {
    /** The rooms after the changes that next has told. */
    public fun items(): CompletableFuture<List<RoomItem>> = called { core.items() }

    /**
     * Waits until something has changed, and tells all of it; no change at all: only the total is another. Nothing is
     * lost when the wait is given up. Null: it was stopped, or the client has ended.
     */
    public fun next(): CompletableFuture<List<RoomChange>?> = called { core.next() }

    /** What the list shows. */
    public fun query(): CompletableFuture<RoomQuery> = called { core.query() }

    /** Shows other rooms. That comes as changes. */
    public fun setFilter(filter: RoomFilter): CompletableFuture<Void?> = done { core.setFilter(filter) }

    /** Shows these places of the list; null: all. That comes as changes. */
    public fun setRange(range: Places?): CompletableFuture<Void?> = done { core.setRange(range) }

    /** Shows rooms in another order. That comes as changes. */
    public fun setSort(sort: RoomSort): CompletableFuture<Void?> = done { core.setSort(sort) }

    /** Ends the waits for the next changes, for good. */
    public fun stop(): Unit = core.stop()

    /** How many rooms the query wants, shown or not. */
    public fun total(): CompletableFuture<Int> = called { core.total() }

    /** All changes from now on, batch by batch: for one subscriber. */
    public fun changes(): Publisher<List<RoomChange>> = core.changes().published()

    /** The list, whole: now, and after each change. Who is slow is told the newest alone. */
    public fun snapshots(): Publisher<List<RoomItem>> =
        snapshotsOf({ core.items() }, core.changes(), RoomChange::applyTo).published()

    /** Lets go of it. A wait that runs ends by itself. */
    override fun close(): Unit = core.close()
}

/** An open timeline. Open means on the screen: the room is in focus until it is let go of. */
public class Timeline internal constructor(private val core: madang.Timeline) : AutoCloseable {
    /** Whether it ends with the newest item, and so follows it. */
    public fun isAtNewest(): CompletableFuture<Boolean> = called { core.isAtNewest() }

    /** The items after the changes that next has told, oldest first. */
    public fun items(): CompletableFuture<List<TimelineItem>> = called { core.items() }

    /**
     * Lies elsewhere from now on; that comes as changes. Fails, and stays, when nothing is held there and nothing can
     * be fetched.
     */
    public fun jump(anchor: Anchor): CompletableFuture<Void?> = done { core.jump(anchor) }

    /** Shows up to count newer items, as loadOlder does older ones. */
    public fun loadNewer(count: Int): CompletableFuture<Boolean> = called { core.loadNewer(count) }

    /**
     * Shows up to count older items, from the store or else from the server; they come as changes. Tells whether there
     * are still older ones.
     */
    public fun loadOlder(count: Int): CompletableFuture<Boolean> = called { core.loadOlder(count) }

    /** Items of the room that come after the last one here; 0 at the newest. */
    public fun newer(): CompletableFuture<Long> = called { core.newer() }

    /**
     * Waits until something has changed, and tells all of it. Nothing is lost when the wait is given up. Null: it was
     * stopped, or the client has ended.
     */
    public fun next(): CompletableFuture<List<TimelineChange>?> = called { core.next() }

    /** The room. */
    public fun roomId(): String = core.roomId()

    /**
     * Says which item is in front of the person, when that is not the newest: should the room begin anew after a long
     * time without a connection, it is what stays on the screen.
     */
    public fun scrolledTo(seq: Long?): CompletableFuture<Void?> = done { core.scrolledTo(seq) }

    /** Ends the waits for the next changes, for good. */
    public fun stop(): Unit = core.stop()

    /** All changes from now on, batch by batch: for one subscriber. */
    public fun changes(): Publisher<List<TimelineChange>> = core.changes().published()

    /** The list, whole: now, and after each change. Who is slow is told the newest alone. */
    public fun snapshots(): Publisher<List<TimelineItem>> =
        snapshotsOf({ core.items() }, core.changes(), TimelineChange::applyTo).published()

    /** Lets go of it. A wait that runs ends by itself. */
    override fun close(): Unit = core.close()
}

/** Who is in a room, admins first, then by name. */
public class MemberList internal constructor(private val core: madang.MemberList) : AutoCloseable {
    /** The members after the changes that next has told. */
    public fun items(): CompletableFuture<List<RoomMember>> = called { core.items() }

    /**
     * Waits until something has changed, and tells all of it. Nothing is lost when the wait is given up. Null: it was
     * stopped, or the client has ended.
     */
    public fun next(): CompletableFuture<List<MemberChange>?> = called { core.next() }

    /** Ends the waits for the next changes, for good. */
    public fun stop(): Unit = core.stop()

    /** All changes from now on, batch by batch: for one subscriber. */
    public fun changes(): Publisher<List<MemberChange>> = core.changes().published()

    /** The list, whole: now, and after each change. Who is slow is told the newest alone. */
    public fun snapshots(): Publisher<List<RoomMember>> =
        snapshotsOf({ core.items() }, core.changes(), MemberChange::applyTo).published()

    /** Lets go of it. A wait that runs ends by itself. */
    override fun close(): Unit = core.close()
}

/** What waits, is on its way or has failed, of all rooms, oldest first. */
public class OutboxList internal constructor(private val core: madang.OutboxList) : AutoCloseable {
    /** The entries after the changes that next has told. */
    public fun items(): CompletableFuture<List<WaitingChange>> = called { core.items() }

    /**
     * Waits until something has changed, and tells all of it. Nothing is lost when the wait is given up. Null: it was
     * stopped, or the client has ended.
     */
    public fun next(): CompletableFuture<List<OutboxChange>?> = called { core.next() }

    /** Ends the waits for the next changes, for good. */
    public fun stop(): Unit = core.stop()

    /** All changes from now on, batch by batch: for one subscriber. */
    public fun changes(): Publisher<List<OutboxChange>> = core.changes().published()

    /** The list, whole: now, and after each change. Who is slow is told the newest alone. */
    public fun snapshots(): Publisher<List<WaitingChange>> =
        snapshotsOf({ core.items() }, core.changes(), OutboxChange::applyTo).published()

    /** Lets go of it. A wait that runs ends by itself. */
    override fun close(): Unit = core.close()
}
