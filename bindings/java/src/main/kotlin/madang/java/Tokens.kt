package madang.java

import java.util.concurrent.CompletionException
import java.util.concurrent.CompletionStage
import kotlinx.coroutines.future.await
import madang.TokenProvider
import madang.tokens

/** Where access tokens come from. */
public fun interface TokenSource {
    /**
     * A token that is good now, within 20 s; fresh: the last one was refused or is about to end. Ends with, or throws,
     * madang.SignInNeededException when the person must sign in; after anything else the client asks again.
     */
    @Throws(Exception::class)
    public fun token(fresh: Boolean): CompletionStage<String>
}

@JvmSynthetic
internal fun TokenSource.provider(): TokenProvider = tokens { fresh ->
    try {
        token(fresh).await()
    } catch (thrown: CompletionException) {
        throw thrown.cause ?: thrown
    }
}
