package madang

import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.launch

// Everything that is pulled, as a flow. A flow ends with the client, or when what it follows is stopped; its collectors share
// the news, so give it one.

/** All changes from now on, batch by batch. */
public fun RoomList.changes(): Flow<List<RoomChange>> = pulled(::next)

/**
 * The list, whole and always as it is now, for a screen. It is followed in the scope, and let go of with it.
 */
public suspend fun RoomList.stateIn(scope: CoroutineScope): StateFlow<List<RoomItem>> =
    followed(scope, items(), ::next, RoomChange::applyTo)

/** All changes from now on, batch by batch. */
public fun Timeline.changes(): Flow<List<TimelineChange>> = pulled(::next)

/**
 * The list, whole and always as it is now, for a screen. It is followed in the scope, and let go of with it.
 */
public suspend fun Timeline.stateIn(scope: CoroutineScope): StateFlow<List<TimelineItem>> =
    followed(scope, items(), ::next, TimelineChange::applyTo)

/** All changes from now on, batch by batch. */
public fun MemberList.changes(): Flow<List<MemberChange>> = pulled(::next)

/**
 * The list, whole and always as it is now, for a screen. It is followed in the scope, and let go of with it.
 */
public suspend fun MemberList.stateIn(scope: CoroutineScope): StateFlow<List<RoomMember>> =
    followed(scope, items(), ::next, MemberChange::applyTo)

/** All changes from now on, batch by batch. */
public fun OutboxList.changes(): Flow<List<OutboxChange>> = pulled(::next)

/**
 * The list, whole and always as it is now, for a screen. It is followed in the scope, and let go of with it.
 */
public suspend fun OutboxList.stateIn(scope: CoroutineScope): StateFlow<List<WaitingChange>> =
    followed(scope, items(), ::next, OutboxChange::applyTo)

/** The totals, whenever they are others. */
public fun UnreadTotals.changes(): Flow<Totals> = pulled(::next)

/** The state now, then every other. */
public fun ConnectionStates.changes(): Flow<ConnectionState> = pulled(::next)

/** Who is writing, by id, whenever it is somebody else. */
public fun Typers.changes(): Flow<List<String>> = pulled(::next)

/** Whether each person is here, by id, whenever it is otherwise. */
public fun Presence.changes(): Flow<Map<String, Boolean>> = pulled(::next)

/** How many have read the message, whenever it is known otherwise. */
public fun Readers.changes(): Flow<ReadersNews> = pulled(::next)

private fun <T : Any> pulled(next: suspend () -> T?): Flow<T> = flow {
    while (true) emit(next() ?: break)
}

private fun <T, C> AutoCloseable.followed(
    scope: CoroutineScope,
    items: List<T>,
    next: suspend () -> List<C>?,
    apply: C.(MutableList<T>) -> Unit,
): StateFlow<List<T>> {
    val state = MutableStateFlow(items)
    val following = scope.launch {
        pulled(next).collect { batch ->
            state.value = state.value.toMutableList().also { list -> batch.forEach { it.apply(list) } }
        }
    }
    // Also when the scope ended before it began.
    following.invokeOnCompletion { close() }
    return state.asStateFlow()
}
