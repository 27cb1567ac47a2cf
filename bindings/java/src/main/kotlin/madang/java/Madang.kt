package madang.java

import java.util.concurrent.CompletableFuture
import madang.NetworkConfig
import madang.ServerInfo

/** What needs no client. */
public object Madang {
    /**
     * What a server says about itself, asked before anybody is signed in: the issuer and the client id among it. The
     * network is how it is reached; null: directly.
     */
    @JvmStatic
    public fun serverInfo(server: String, network: NetworkConfig?): CompletableFuture<ServerInfo> =
        called { madang.serverInfo(server, network) }
}
