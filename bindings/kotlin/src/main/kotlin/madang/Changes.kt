@file:JvmName("ListChanges")

package madang

// What lists tell, made to a list of the host's. It is the one that the changes before have led to.

/** Makes the change. */
public fun RoomChange.applyTo(list: MutableList<RoomItem>) {
    when (this) {
        is RoomChange.Appended -> list.addAll(items)
        is RoomChange.Inserted -> list.add(index, item)
        is RoomChange.Changed -> list[index] = item
        is RoomChange.Moved -> list.move(from, to, item)
        is RoomChange.Removed -> list.removeAt(index)
        is RoomChange.Truncated -> list.truncate(len)
        is RoomChange.Reset -> list.reset(items)
    }
}

/** Makes the change. */
public fun TimelineChange.applyTo(list: MutableList<TimelineItem>) {
    when (this) {
        is TimelineChange.Appended -> list.addAll(items)
        is TimelineChange.Inserted -> list.add(index, item)
        is TimelineChange.Changed -> list[index] = item
        is TimelineChange.Moved -> list.move(from, to, item)
        is TimelineChange.Removed -> list.removeAt(index)
        is TimelineChange.Truncated -> list.truncate(len)
        is TimelineChange.Reset -> list.reset(items)
    }
}

/** Makes the change. */
public fun MemberChange.applyTo(list: MutableList<RoomMember>) {
    when (this) {
        is MemberChange.Appended -> list.addAll(items)
        is MemberChange.Inserted -> list.add(index, item)
        is MemberChange.Changed -> list[index] = item
        is MemberChange.Moved -> list.move(from, to, item)
        is MemberChange.Removed -> list.removeAt(index)
        is MemberChange.Truncated -> list.truncate(len)
        is MemberChange.Reset -> list.reset(items)
    }
}

/** Makes the change. */
public fun OutboxChange.applyTo(list: MutableList<WaitingChange>) {
    when (this) {
        is OutboxChange.Appended -> list.addAll(items)
        is OutboxChange.Inserted -> list.add(index, item)
        is OutboxChange.Changed -> list[index] = item
        is OutboxChange.Moved -> list.move(from, to, item)
        is OutboxChange.Removed -> list.removeAt(index)
        is OutboxChange.Truncated -> list.truncate(len)
        is OutboxChange.Reset -> list.reset(items)
    }
}

private fun <T> MutableList<T>.move(from: Int, to: Int, item: T) {
    removeAt(from)
    add(to, item)
}

private fun <T> MutableList<T>.truncate(length: Int) = subList(length, size).clear()

private fun <T> MutableList<T>.reset(items: List<T>) {
    clear()
    addAll(items)
}
