/// A call that may take long, begun at once. Swift does not tell uniffi that a task was cancelled, so the call itself is not
/// ended: `cancel()`, and cancelling the task that asks for the value, end the wait for it. Nothing that was typed is lost.
public final class Operation<Value: Sendable>: Sendable {
    private let outcome: AsyncThrowingStream<Value, any Error>
    private let end: AsyncThrowingStream<Value, any Error>.Continuation

    init(_ call: @escaping @Sendable () async throws -> Value) {
        (outcome, end) = AsyncThrowingStream.makeStream(bufferingPolicy: .bufferingOldest(1))
        Task { [end] in
            do {
                end.yield(try await call())
                end.finish()
            } catch {
                end.finish(throwing: error)
            }
        }
    }

    /// Waits for the call, once. Throws what it throws, and `CancellationError` when the wait was given up.
    public var value: Value {
        get async throws {
            for try await value in outcome { return value }
            throw CancellationError()
        }
    }

    /// Gives the wait up. What has come before that is still there.
    public func cancel() { end.finish(throwing: CancellationError()) }
}

extension Client {
    /// `settled`, to be given up: with no way to the server it waits until there is one.
    public func settling(changeId: String) -> Operation<Int64> {
        Operation { try await self.settled(changeId: changeId) }
    }

    /// `searchUsers`, to be given up: as when the person types on.
    public func searchingUsers(prefix: String) -> Operation<[User]> {
        Operation { try await self.searchUsers(prefix: prefix) }
    }

    /// `syncRoomNow`, to be given up: as when the person leaves the room.
    public func syncingRoom(roomId: String) -> Operation<Void> {
        Operation { try await self.syncRoomNow(roomId: roomId) }
    }
}
