@file:JvmName("ClientErrors")

package madang

import java.time.Duration

// What went wrong, without a step through the failure, and in words for people.

/** All that is known of it. */
public val ClientException.failure: Failure
    get() = when (this) {
        is ClientException.Failed -> failure
    }

/** What kind of failure. */
public val ClientException.kind: ClientErrorKind get() = failure.kind

/** The server's reason, where it gave one. */
public val ClientException.reason: ErrorReason? get() = failure.reason

/** The client's own reason, where there is one. */
public val ClientException.local: LocalReason? get() = failure.local

/** All fields that break their limits. */
public val ClientException.violations: List<FieldViolation> get() = failure.violations

/** Do not repeat before. */
public val ClientException.retryAfter: Duration? get() = failure.retryAfter

/** Finds the call in the server's log. */
public val ClientException.requestId: String? get() = failure.requestId

/** The failure as a sentence for people, without names and numbers. */
public fun ClientException.sentence(language: Language): String = sentenceOf(failure, language)
