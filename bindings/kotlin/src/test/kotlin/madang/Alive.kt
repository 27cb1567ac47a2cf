package madang

import kotlinx.coroutines.delay
import kotlin.time.Duration.Companion.milliseconds

private const val LOOKS = 100

/** Waits until this is all of the library that is alive. */
internal suspend fun onlyAlive(wanted: LiveObjects = LiveObjects(0, 0, 0, 0, 0)) {
    repeat(LOOKS) {
        System.gc()
        if (liveObjects() == wanted) return
        delay(50.milliseconds)
    }
    error("alive is ${liveObjects()}")
}
