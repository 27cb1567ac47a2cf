/// What went wrong, without a step through the failure, and in words for people.
extension ClientError {
    /// All that is known of it.
    public var failure: Failure {
        switch self {
        case let .Failed(failure): return failure
        }
    }

    /// What kind of failure.
    public var kind: ClientErrorKind { failure.kind }

    /// The server's reason, where it gave one.
    public var reason: ErrorReason? { failure.reason }

    /// The client's own reason, where there is one.
    public var local: LocalReason? { failure.local }

    /// The failure as a sentence for people, without names and numbers.
    public func sentence(_ language: Language) -> String { sentenceOf(failure: failure, language: language) }
}
