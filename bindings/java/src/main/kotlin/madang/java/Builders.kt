package madang.java

import madang.Backoff
import madang.ClientConfig
import madang.Draft
import madang.Mode
import madang.NetworkConfig
import madang.NewRoom
import madang.ProfileChange
import madang.RoomFilter
import madang.RoomKind
import madang.RoomSettings
import madang.StoreLocation

/** What a host tells the client before it begins. Server and store are enough. */
public class ClientConfigBuilder(server: String, store: StoreLocation) {
    private var built = ClientConfig(server, store)

    /** How the server is reached. */
    public fun network(network: NetworkConfig): ClientConfigBuilder = apply { built = built.copy(network = network) }

    /** What the client is there for. */
    public fun mode(mode: Mode): ClientConfigBuilder = apply { built = built.copy(mode = mode) }

    /**
     * Encrypts the store: 32 random bytes, which the host keeps where the system keeps secrets. A store is made with a
     * key or without, and stays so. Only in libraries that are built for it.
     */
    public fun key(key: ByteArray): ClientConfigBuilder = apply { built = built.copy(key = key) }

    /** Language of texts that the server makes, as in ko; else en. */
    public fun language(language: String): ClientConfigBuilder = apply { built = built.copy(language = language) }

    /** Operating system, shown in the list of devices; else as the system says. */
    public fun platform(platform: String): ClientConfigBuilder = apply { built = built.copy(platform = platform) }

    /** Version of the app, shown in the list of devices; else that of this library. */
    public fun appVersion(appVersion: String): ClientConfigBuilder =
        apply { built = built.copy(appVersion = appVersion) }

    /** Id of the installation; else made once and kept in the store. */
    public fun deviceId(deviceId: String): ClientConfigBuilder = apply { built = built.copy(deviceId = deviceId) }

    /** Waits between attempts; else up to half a second at first, up to a minute later. */
    public fun backoff(backoff: Backoff): ClientConfigBuilder = apply { built = built.copy(backoff = backoff) }

    /** What was said so far. */
    public fun build(): ClientConfig = built
}

/** A room to be made. */
public class NewRoomBuilder(name: String) {
    private var built = NewRoom(name)

    /** Anyone may join, instead of by invitation. */
    public fun open(open: Boolean): NewRoomBuilder = apply { built = built.copy(open = open) }

    /** People besides the person, by id. */
    public fun members(members: List<String>): NewRoomBuilder = apply { built = built.copy(members = members) }

    /** What it is about. */
    public fun topic(topic: String): NewRoomBuilder = apply { built = built.copy(topic = topic) }

    /** Rules; else the defaults. */
    public fun settings(settings: RoomSettings): NewRoomBuilder = apply { built = built.copy(settings = settings) }

    /** What was said so far. */
    public fun build(): NewRoom = built
}

/** Which rooms a list shows. By default all that the person is in. */
public class RoomFilterBuilder() {
    private var built = RoomFilter()

    /** Only rooms with unread items. */
    public fun unread(unread: Boolean): RoomFilterBuilder = apply { built = built.copy(unread = unread) }

    /** Only rooms with unread messages that mention the person. */
    public fun mentions(mentions: Boolean): RoomFilterBuilder = apply { built = built.copy(mentions = mentions) }

    /** Only rooms of these kinds; empty: of all. */
    public fun kinds(kinds: List<RoomKind>): RoomFilterBuilder = apply { built = built.copy(kinds = kinds) }

    /**
     * Only rooms whose shown name has this in it, in capitals or not; an initial consonant stands for any syllable
     * that begins with it, as ㅎㄱㄷ for 홍길동. Empty: all.
     */
    public fun text(text: String): RoomFilterBuilder = apply { built = built.copy(text = text) }

    /** What was said so far. */
    public fun build(): RoomFilter = built
}

/** A message to be sent. */
public class DraftBuilder(text: String) {
    private var built = Draft(text)

    /** People mentioned, by id. */
    public fun mentions(mentions: List<String>): DraftBuilder = apply { built = built.copy(mentions = mentions) }

    /** Mentions everybody in the room. */
    public fun mentionAll(mentionAll: Boolean): DraftBuilder = apply { built = built.copy(mentionAll = mentionAll) }

    /** The item it answers; 0: none. */
    public fun replyTo(replyTo: Long): DraftBuilder = apply { built = built.copy(replyTo = replyTo) }

    /** What was said so far. */
    public fun build(): Draft = built
}

/** What a profile is to say; what is null stays. */
public class ProfileChangeBuilder() {
    private var built = ProfileChange()

    /** Shown name; cannot be cleared. */
    public fun displayName(displayName: String): ProfileChangeBuilder =
        apply { built = built.copy(displayName = displayName) }

    /** Title. */
    public fun title(title: String): ProfileChangeBuilder = apply { built = built.copy(title = title) }

    /** About the person. */
    public fun bio(bio: String): ProfileChangeBuilder = apply { built = built.copy(bio = bio) }

    /** Telephone. */
    public fun phone(phone: String): ProfileChangeBuilder = apply { built = built.copy(phone = phone) }

    /** What was said so far. */
    public fun build(): ProfileChange = built
}
