package madang.java

import java.time.Duration
import java.util.concurrent.CompletableFuture
import madang.Anchor
import madang.ClientConfig
import madang.ClientException
import madang.ConnectionState
import madang.Counters
import madang.CustomStatus
import madang.Draft
import madang.Explanation
import madang.MessageKey
import madang.NewRoom
import madang.ProfileChange
import madang.Rescued
import madang.RoomItem
import madang.RoomMember
import madang.RoomQuery
import madang.ServerInfo
import madang.SyncOutcome
import madang.TimelineOptions
import madang.User
import madang.UserStatus

/**
 * A signed-in installation: its store, its connection, and everything that a screen needs. Ended by shutdown, or
 * when the last who holds it lets go.
 */
public class Client private constructor(private val core: madang.Client) : AutoCloseable {
    /** What the client has done since it was opened. */
    public fun counters(): Counters = core.counters()

    /** Id of this installation, under which the server knows its session. */
    public fun deviceId(): String = core.deviceId()

    /** Why a message is on this device as it is, from what this device knows; asks nobody. */
    public fun explain(roomId: String, message: MessageKey): CompletableFuture<Explanation> =
        called { core.explain(roomId, message) }

    /** Rooms that the person has left or was removed from and that are still known on this device. */
    public fun formerRooms(): CompletableFuture<List<RoomItem>> = called { core.formerRooms() }

    /** The person; known once the server has answered for the first time. */
    public fun me(): String? = core.me()

    /** What was rescued when the store could not be read and had to be made anew; null: it could. */
    public fun rescued(): Rescued? = core.rescued()

    /** What the server says about itself; needs no sign-in. */
    public fun serverInfo(): CompletableFuture<ServerInfo> = called { core.serverInfo() }

    /** How the client stands to its server. */
    public fun state(): ConnectionState = core.state()

    /**
     * What support wants to know, as JSON: versions, settings, numbers of the store, counters and the last 1,000
     * events. Holds ids, numbers, kinds and reasons; nothing that anybody wrote, no names, no tokens, no addresses.
     * Does not fail: of a store that cannot be read it says so.
     */
    public fun supportBundle(): CompletableFuture<String> = called { core.supportBundle() }

    /** Unread items of all rooms. */
    public fun unreadTotal(): CompletableFuture<Long> = called { core.unreadTotal() }

    /**
     * Drops every message, member and receipt that can be had from the server again, and gives the disk back what they
     * took. What was typed, drafts, marks and badges stay; a room's messages come again when it is opened.
     */
    public fun clearCache(): CompletableFuture<Void?> = done { core.clearCache() }

    /**
     * Lets go of the connection and opens no other until reconnect: the host wants to be offline. The store stays
     * open, and everything works as without a network.
     */
    public fun disconnect(): Unit = core.disconnect()

    /** Waits until the outbox is empty, at most this long. Tells whether it is. */
    public fun drain(timeout: Duration): CompletableFuture<Boolean> = called { core.drain(timeout) }

    /**
     * The system says that the network is another one: what is connected is let go of, and it is connected anew at
     * once.
     */
    public fun networkChanged(): Unit = core.networkChanged()

    /**
     * Connects, at once: after disconnect, after a new sign-in, or instead of waiting for the next attempt. A client
     * that is there for the background connects only in syncOnce.
     */
    public fun reconnect(): Unit = core.reconnect()

    /**
     * Goes on after suspend, and connects at once. Whatever another process did to the file meanwhile is seen. Fails
     * as opening does, as with STORE_BUSY, and then stays at rest; may be repeated.
     */
    public fun resume(): CompletableFuture<Void?> = done { core.resume() }

    /** Says which rooms are on the screen beside open timelines: they are kept complete. */
    public fun setFocus(roomIds: List<String>): Unit = core.setFocus(roomIds)

    /**
     * Whether the app is in front of the person. A dead connection is then found out within 20 s instead of 45 s, for
     * which the device is woken every 10 s; and bringing the app to the front looks whether the connection is still
     * there, and does not wait for the next attempt. A client begins in front, unless it is there for the background:
     * an app that runs on behind others says so here, and is woken by the server's heartbeats alone.
     */
    public fun setForeground(foreground: Boolean): Unit = core.setForeground(foreground)

    /**
     * Whether the network is paid for by what goes over it. Then nothing is fetched that nobody has asked for: the
     * next stream brings the rows of rooms on the screen alone, and of the others what the room list shows; they come
     * when a room is opened. syncOnce tells the newest message of a room instead of all. Room list and badges are as
     * right as ever.
     */
    public fun setMetered(metered: Boolean): Unit = core.setMetered(metered)

    /**
     * Drains the outbox, at most this long, then ends the client with all its clones and lists. When it returns the
     * file is closed and no thread is left. What was not sent waits on the disk.
     */
    public fun shutdown(timeout: Duration): CompletableFuture<Void?> = done { core.shutdown(timeout) }

    /**
     * Signs this device out: the server revokes its session, if it can be reached within 5 s, and everything that the
     * store has on the disk is removed, also what was typed and not sent. Then the client has ended. Tells whether the
     * server knows; else the session ends by its own age. Fails if the store cannot be removed, as with STORE_BUSY.
     */
    public fun signOut(): CompletableFuture<Boolean> = called { core.signOut() }

    /**
     * Puts the client to rest, as before the system freezes the app: nothing runs, and the store's file is closed,
     * with nothing beside it, when this returns; at most 2 s. Calls fail with SUSPENDED until resume, lists wait, and
     * what was typed waits on the disk. A syncOnce that runs is broken off.
     */
    public fun suspend(): CompletableFuture<Void?> = done { core.suspend() }

    /**
     * Connects, catches up, sends what waits, and says what to notify of: for a push or a background fetch. Takes no
     * longer than deadline and a moment, and does not fail for being offline: then it is not finished. Works on a
     * client that is at rest, which is at rest again afterwards, and on one that runs. Fails when the person must sign
     * in, when the server will not have this client, with STORE_BUSY when another process has the store meanwhile, and
     * with SUSPENDED when the host puts the client to rest during it.
     */
    public fun syncOnce(deadline: Duration): CompletableFuture<SyncOutcome> = called { core.syncOnce(deadline) }

    /** Catches a room up before it returns. */
    public fun syncRoomNow(roomId: String): CompletableFuture<Void?> = done { core.syncRoomNow(roomId) }

    /** Who is in a room, admins first, then by name: what is held at once, the rest as it comes. */
    public fun memberList(roomId: String): CompletableFuture<MemberList> =
        called { MemberList(core.memberList(roomId)) }

    /** What was typed and the server does not have, oldest first. */
    public fun outbox(): CompletableFuture<OutboxList> = called { OutboxList(core.outbox()) }

    /** Who is here, of the people on the screen. */
    @Throws(ClientException::class)
    public fun presence(userIds: List<String>): Presence = Presence(core.presence(userIds))

    /** How many have read a message on the screen. */
    @Throws(ClientException::class)
    public fun readers(roomId: String, seq: Long): Readers = Readers(core.readers(roomId, seq))

    /** The room list. */
    public fun rooms(): CompletableFuture<RoomList> = called { RoomList(core.rooms()) }

    /** The room list, or a part of it: which rooms, in which order, and which places of that are shown. */
    public fun roomsWhere(query: RoomQuery): CompletableFuture<RoomList> = called { RoomList(core.roomsWhere(query)) }

    /** How the client stands to its server, as it changes. */
    @Throws(ClientException::class)
    public fun states(): ConnectionStates = ConnectionStates(core.states())

    /**
     * Opens the timeline of a room: what is held at once, the rest as it comes. The room is in focus while it is open.
     */
    public fun timeline(roomId: String): CompletableFuture<Timeline> = called { Timeline(core.timeline(roomId)) }

    /**
     * Opens the timeline of a room somewhere. Fails when nothing is held there and nothing can be fetched.
     */
    public fun timelineAt(roomId: String, anchor: Anchor): CompletableFuture<Timeline> =
        called { Timeline(core.timelineAt(roomId, anchor)) }

    /** Opens the timeline of a room as told. */
    public fun timelineWith(roomId: String, options: TimelineOptions): CompletableFuture<Timeline> =
        called { Timeline(core.timelineWith(roomId, options)) }

    /** Who is writing in a room. */
    @Throws(ClientException::class)
    public fun typers(roomId: String): Typers = Typers(core.typers(roomId))

    /** What is unread in all rooms together. */
    public fun unreadTotals(): CompletableFuture<UnreadTotals> = called { UnreadTotals(core.unreadTotals()) }

    /**
     * Makes a room with its members; it opens at once, offline too, and messages may be sent into it. The answer is
     * its id, which is also the id of the change.
     */
    public fun createRoom(room: NewRoom): CompletableFuture<String> = called { core.createRoom(room) }

    /** Brings people in, by id. The answer is the id of the change. */
    public fun invite(roomId: String, userIds: List<String>): CompletableFuture<String> =
        called { core.invite(roomId, userIds) }

    /** Enters an open room, or one that the person has left. The answer is the id of the change. */
    public fun join(roomId: String): CompletableFuture<String> = called { core.join(roomId) }

    /**
     * Leaves a room; what is held of it stays on this device, and out of the list. The answer is the id of the change.
     */
    public fun leave(roomId: String): CompletableFuture<String> = called { core.leave(roomId) }

    /** Who is in a room: from the store where it holds them all, else from the server. */
    public fun members(roomId: String): CompletableFuture<List<RoomMember>> = called { core.members(roomId) }

    /**
     * The one room with a person, made if there is none: only the server knows, so this needs a connection. The answer
     * is its id.
     */
    public fun openDirect(userId: String): CompletableFuture<String> = called { core.openDirect(userId) }

    /** Takes a person out. The answer is the id of the change. */
    public fun remove(roomId: String, userId: String): CompletableFuture<String> =
        called { core.remove(roomId, userId) }

    /** People whose login or name begins with a text; the first page. */
    public fun searchUsers(prefix: String): CompletableFuture<List<User>> = called { core.searchUsers(prefix) }

    /** Sets one's own status as a whole; it is shown at once. The answer is the id of the change. */
    public fun setStatus(status: UserStatus, custom: CustomStatus?): CompletableFuture<String> =
        called { core.setStatus(status, custom) }

    /** Changes one's own profile; it is shown at once. The answer is the id of the change. */
    public fun updateProfile(profile: ProfileChange): CompletableFuture<String> = called { core.updateProfile(profile) }

    /** A profile, from the store or else from the server. null: no such person. */
    public fun user(userId: String): CompletableFuture<User?> = called { core.user(userId) }

    /**
     * Deletes a message for everybody; one that has never left is thrown away. The answer is the id of the change.
     */
    public fun delete(roomId: String, message: MessageKey): CompletableFuture<String> =
        called { core.delete(roomId, message) }

    /** Throws a change that has failed away; with a room that could not be made all that was meant for it. */
    public fun discardFailed(changeId: String): CompletableFuture<Void?> = done { core.discardFailed(changeId) }

    /** What the person began to write in a room; empty: nothing. */
    public fun draft(roomId: String): CompletableFuture<String> = called { core.draft(roomId) }

    /**
     * Replaces the text of one's own message, also of one that is not there yet. The answer is the id of the change;
     * of a message that has never left it is that of the message, which says the new text when it leaves.
     */
    public fun edit(roomId: String, message: MessageKey, draft: Draft): CompletableFuture<String> =
        called { core.edit(roomId, message, draft) }

    /** Marks everything up to an item as read. Marks merge by maximum: one that moves nothing is none. */
    public fun markRead(roomId: String, seq: Long): CompletableFuture<Void?> = done { core.markRead(roomId, seq) }

    /** Marks an item and all after it as unread. No older mark of another device undoes it. */
    public fun markUnread(roomId: String, seq: Long): CompletableFuture<Void?> = done { core.markUnread(roomId, seq) }

    /**
     * Tries a change that has failed again, at its old place. With a room that could not be made goes all that was
     * meant for it.
     */
    public fun retryFailed(changeId: String): CompletableFuture<Void?> = done { core.retryFailed(changeId) }

    /**
     * Sends a message. It is on the disk when this returns, and leaves in the order of the calls; the answer is its
     * id, by which the timeline shows how far it is.
     */
    public fun send(roomId: String, draft: Draft): CompletableFuture<String> = called { core.send(roomId, draft) }

    /** Keeps what the person began to write; empty: nothing. */
    public fun setDraft(roomId: String, text: String): CompletableFuture<Void?> = done { core.setDraft(roomId, text) }

    /**
     * Waits until the server has done a change, or refused it: then the error is its refusal, and the change waits to
     * be tried again or thrown away. The answer is the position of a message, else 0. Giving the wait up changes
     * nothing.
     */
    public fun settled(changeId: String): CompletableFuture<Long> = called { core.settled(changeId) }

    /** Says that the person is writing. Lossy, and cheap to call at every key: the host need not count. */
    public fun typing(roomId: String): Unit = core.typing(roomId)

    /** Lets go of it. What runs ends by itself; [shutdown] is what also waits. */
    override fun close(): Unit = core.close()

    /** Begins a client. */
    public companion object {
        /**
         * Opens the store and starts to connect. Works without a connection; fails if the address is none or the
         * store cannot be opened: with STORE_BUSY at once if another process or client has it.
         */
        @JvmStatic
        public fun open(config: ClientConfig, tokens: TokenSource): CompletableFuture<Client> =
            called { Client(madang.Client.open(config, tokens.provider())) }
    }
}
