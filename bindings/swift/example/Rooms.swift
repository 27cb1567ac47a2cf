import Foundation
import Madang

// A live room list in a console: Rooms SERVER STORE, and a token in the environment. What is typed is `NUMBER TEXT`: a message
// into the room with that number, or `new NAME`. An empty line ends it.
@main
struct Rooms {
    static func main() async {
        let arguments = CommandLine.arguments
        guard arguments.count == 3 else {
            print("Rooms SERVER STORE")
            exit(2)
        }
        do {
            try await run(server: arguments[1], store: arguments[2])
        } catch let failure as ClientError {
            print(failure.sentence(.english))
            exit(1)
        } catch {
            print(error)
            exit(1)
        }
    }

    static func run(server: String, store: String) async throws {
        // An app asks its sign-in library here, and gives a fresh token when one is wanted.
        let tokens = Tokens { _ in ProcessInfo.processInfo.environment["MADANG_TOKEN"] ?? "" }
        let config = ClientConfig(server: server, store: .file(store), platform: "console")
        let client = try await Client.open(config: config, tokens: tokens)
        let states = try client.states()
        let rooms = try await client.rooms()
        let showing = Task {
            for try await state in states.changes { print("-- \(name(of: state))") }
        }
        let following = Task {
            show(try await rooms.items())
            for try await _ in rooms.changes { show(try await rooms.items()) }
        }
        for try await line in FileHandle.standardInput.bytes.lines {
            if line.isEmpty { break }
            await obey(client, try await rooms.items(), line)
        }
        try await client.shutdown(timeout: 5)
        _ = try await (showing.value, following.value)
    }

    static func name(of state: ConnectionState) -> String {
        switch state {
        case .connecting: return "Connecting"
        case .live: return "Live"
        case .offline: return "Offline"
        case .suspended: return "Suspended"
        case .signedOut: return "SignedOut"
        case .ended: return "Ended"
        }
    }

    static func show(_ rooms: [RoomItem]) {
        for (at, room) in rooms.enumerated() {
            var last = ""
            if case let .message(message) = room.lastMessage { last = "\(message.sender.name): \(message.text)" }
            print("\(at + 1). \(room.name) (\(room.unread)) \(last)")
        }
    }

    static func obey(_ client: Client, _ rooms: [RoomItem], _ line: String) async {
        let words = line.split(separator: " ", maxSplits: 1).map(String.init)
        do {
            if words.count < 2 {
                print("NUMBER TEXT, or new NAME")
            } else if words[0] == "new" {
                _ = try await client.createRoom(room: NewRoom(name: words[1]))
            } else if let number = Int(words[0]), rooms.indices.contains(number - 1) {
                // It is on the disk when this returns, with a network or without.
                _ = try await client.send(roomId: rooms[number - 1].id, draft: Draft(text: words[1]))
            } else {
                print("no such room")
            }
        } catch let refusal as ClientError {
            print(refusal.sentence(.english))
        } catch {
            print(error)
        }
    }
}
