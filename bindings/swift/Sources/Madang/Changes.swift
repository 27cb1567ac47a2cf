/// Everything that is pulled, as a sequence. It ends with the client, or when what it follows is stopped. Swift does not tell
/// uniffi that a task was cancelled: leaving a loop that waits is `stop()`, which ends the wait.
public struct Changes<News: Sendable>: AsyncSequence, Sendable {
    public typealias Element = News

    let pull: @Sendable () async throws -> News?
    let stop: @Sendable () -> Void

    public struct AsyncIterator: AsyncIteratorProtocol {
        let changes: Changes

        public mutating func next() async throws -> News? {
            try await withTaskCancellationHandler(operation: changes.pull, onCancel: changes.stop)
        }
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(changes: self) }
}

extension RoomList {
    /// All changes from now on, batch by batch.
    public var changes: Changes<[RoomChange]> { Changes(pull: { try await self.next() }, stop: { self.stop() }) }
}

extension Timeline {
    /// All changes from now on, batch by batch.
    public var changes: Changes<[TimelineChange]> { Changes(pull: { try await self.next() }, stop: { self.stop() }) }
}

extension MemberList {
    /// All changes from now on, batch by batch.
    public var changes: Changes<[MemberChange]> { Changes(pull: { try await self.next() }, stop: { self.stop() }) }
}

extension OutboxList {
    /// All changes from now on, batch by batch.
    public var changes: Changes<[OutboxChange]> { Changes(pull: { try await self.next() }, stop: { self.stop() }) }
}

extension UnreadTotals {
    /// The totals, whenever they are others.
    public var changes: Changes<Totals> { Changes(pull: { try await self.next() }, stop: { self.stop() }) }
}

extension ConnectionStates {
    /// The state now, then every other.
    public var changes: Changes<ConnectionState> { Changes(pull: { try await self.next() }, stop: { self.stop() }) }
}

extension Typers {
    /// Who is writing, by id, whenever it is somebody else.
    public var changes: Changes<[String]> { Changes(pull: { try await self.next() }, stop: { self.stop() }) }
}

extension Presence {
    /// Whether each person is here, by id, whenever it is otherwise.
    public var changes: Changes<[String: Bool]> { Changes(pull: { try await self.next() }, stop: { self.stop() }) }
}

extension Readers {
    /// How many have read the message, whenever it is known otherwise.
    public var changes: Changes<ReadersNews> { Changes(pull: { try await self.next() }, stop: { self.stop() }) }
}
