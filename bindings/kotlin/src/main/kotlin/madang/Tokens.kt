package madang

import kotlin.time.Duration.Companion.seconds
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.launch
import kotlinx.coroutines.withTimeout

/** Thrown by a source of tokens when the person must sign in again. */
public class SignInNeededException(message: String) : Exception(message)

/**
 * Tokens from a function: it is told whether a fresh one is wanted, and has 20 s. It throws [SignInNeededException] when the
 * person must sign in; after anything else that it throws the client asks again.
 */
public fun tokens(source: suspend (fresh: Boolean) -> String): TokenProvider = SourceOfTokens(source)

private class SourceOfTokens(private val source: suspend (Boolean) -> String) : TokenProvider {
    // The library waits for an answer, not for this.
    override fun tokenWanted(request: TokenRequest) {
        asking.launch { request.use { answer(it) } }
    }

    private suspend fun answer(request: TokenRequest) {
        try {
            request.give(withTimeout(patience) { source(request.isFresh()) })
        } catch (needed: SignInNeededException) {
            request.signInNeeded(readable(needed.message.orEmpty()))
        } catch (failure: Exception) {
            request.fail(readable(failure.toString()))
        }
    }

    /** Half a pair of surrogates must not cost the answer. */
    private fun readable(text: String) = text.encodeToByteArray().decodeToString()

    private companion object {
        /** Then the client has given up on the answer. */
        val patience = 20.seconds

        /** What asks for tokens may block. */
        val asking = CoroutineScope(SupervisorJob() + Dispatchers.IO)
    }
}
