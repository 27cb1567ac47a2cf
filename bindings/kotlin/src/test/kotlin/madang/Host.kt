package madang

import java.util.concurrent.atomic.AtomicInteger
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.drop
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.update

/** The host of a client: has a sign-in at the issuer, and answers the client's questions for a token. */
internal class Host(private val ground: Ground, val login: String) {
    /** Answers `token`, the one that it has, and `fresh`, the next one. */
    @Volatile
    private var answer: (String) -> String = anew()
    private val renewals = MutableStateFlow(0)

    val tokens: TokenProvider = tokens { fresh ->
        if (fresh) renewals.update { it + 1 }
        answer(if (fresh) "fresh" else "token")
    }

    /** What it answers from now on. */
    fun answers(how: String) {
        answer = when (how) {
            "anew" -> anew()
            "missing" -> { _ -> error("no token for now") }
            "sign_in" -> { _ -> throw SignInNeededException("sign in") }
            else -> error("no such answer")
        }
    }

    /** Waits until a fresh token is wanted. */
    suspend fun renewed() {
        renewals.drop(1).first()
    }

    /** A token of a new sign-in. */
    private fun anew(): (String) -> String {
        val name = next.incrementAndGet()
        return { word -> ground.say("$word $login $name")["token"].asString }
    }

    private companion object {
        val next = AtomicInteger()
    }
}
