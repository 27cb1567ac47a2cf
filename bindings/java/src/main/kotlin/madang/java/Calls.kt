package madang.java

import java.util.concurrent.CompletableFuture
import java.util.concurrent.Flow.Publisher
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.catch
import kotlinx.coroutines.flow.conflate
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.future.future
import kotlinx.coroutines.jdk9.asPublisher

/** Where calls go on: never on a thread of the library's. */
private val calls = CoroutineScope(SupervisorJob() + Dispatchers.Default)

/** A call that is begun at once, so that what is typed is handed over in the order of the calls. */
@JvmSynthetic
internal fun <T> called(call: suspend () -> T): CompletableFuture<T> =
    calls.future(start = CoroutineStart.UNDISPATCHED) { call() }

/** The same, of a call that answers nothing. */
@JvmSynthetic
internal fun done(call: suspend () -> Unit): CompletableFuture<Void?> = called {
    call()
    null
}

/** What a subscriber asks for is pulled, and no more. What its owner has closed has no more news: that is no failure. */
@JvmSynthetic
internal fun <T : Any> Flow<T>.published(): Publisher<T> =
    catch { if (it !is IllegalStateException) throw it }.asPublisher(Dispatchers.Default)

@JvmSynthetic
internal fun <T, C> snapshotsOf(
    items: suspend () -> List<T>,
    changes: Flow<List<C>>,
    apply: C.(MutableList<T>) -> Unit,
): Flow<List<T>> = flow {
    val list = items().toMutableList()
    emit(list.toList())
    changes.collect { batch ->
        batch.forEach { it.apply(list) }
        emit(list.toList())
    }
}.conflate()
