import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking
import madang.Client
import madang.ClientConfig
import madang.ClientException
import madang.Language
import madang.NewRoom
import madang.StoreLocation
import madang.changes
import madang.sentence
import madang.tokens

/** Makes a room without a server, and asks for one that is not there. */
fun main() = runBlocking<Unit> {
    val config = ClientConfig("http://127.0.0.1:1", StoreLocation.Memory)
    Client.open(config, tokens { "t" }).use { client ->
        client.rooms().use { rooms ->
            client.createRoom(NewRoom("lunch"))
            rooms.changes().first()
            println(rooms.items().first().name)
        }
        try {
            client.serverInfo()
        } catch (failure: ClientException) {
            println(failure.sentence(Language.ENGLISH))
        }
    }
}
