/// Thrown by a source of tokens when the person must sign in again.
public struct SignInNeeded: Error, Sendable {
    /// Words for the log.
    public let message: String

    /// With words for the log.
    public init(_ message: String) { self.message = message }
}

/// Tokens from a function: it is told whether a fresh one is wanted, and has 20 s. It throws `SignInNeeded` when the person must
/// sign in; after anything else that it throws the client asks again.
public final class Tokens: TokenProvider {
    private let source: @Sendable (_ fresh: Bool) async throws -> String

    /// From a function.
    public init(_ source: @escaping @Sendable (_ fresh: Bool) async throws -> String) { self.source = source }

    // The library waits for an answer, not for this.
    public func tokenWanted(request: TokenRequest) throws {
        Task { [source] in
            do {
                request.give(token: try await source(request.isFresh()))
            } catch let needed as SignInNeeded {
                request.signInNeeded(message: needed.message)
            } catch {
                request.fail(message: "\(error)")
            }
        }
    }
}
