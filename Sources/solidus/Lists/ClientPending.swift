// solidus client pending, solidus client purge

import ArgumentParser
import ClusterFiles
import CommandOutcome
import QuorumClient
import QuorumProtocol
import QuorumTransport

/// Whose unfinished versions a command is about, and as whom it asks.
struct PendingArguments: ParsableArguments {
    @OptionGroup var target: ClusterAndClient
    @Option(
        name: .customLong("as"),
        help: "The client to be, by its name in access.toml; the first one listed when not given.")
    var asking: String?
    @Option(help: "How many seconds the servers may take.")
    var timeout: Double = 15

    mutating func validate() throws {
        guard timeout > 0, timeout <= 86_400 else {
            throw ValidationError("--timeout must be more than 0 and at most 86400 seconds.")
        }
    }

    /// What each server says.
    struct Found {
        let home: ClientHome
        /// In order, with how many servers name it.
        let objects: [(key: ObjectKey, serverCount: Int)]
        /// Servers that did not say, and why.
        let silent: [(server: NodeID, reason: String)]
    }

    func find() async throws -> Found {
        let place = try target.place
        let home = try ClientHome(clusterDirectory: place.path, client: asking)
        let client = try id(home.cluster)
        let answers: [NodeID: PendingObjects.Answer]
        do {
            answers = try await PendingObjects.ask(
                .versions, home, of: client, timeoutMilliseconds: max(1, Int(timeout * 1000)))
        } catch {
            throw Failure(.configuration, error.description)
        }
        var counts: [ObjectKey: Int] = [:]
        var silent: [(server: NodeID, reason: String)] = []
        for (server, answer) in answers.sorted(by: { $0.key < $1.key }) {
            switch answer {
            case .answer(let keys): for key in keys { counts[key, default: 0] += 1 }
            case .silent(let reason): silent.append((server, reason))
            case .unreachable(let error): silent.append((server, error.description))
            }
        }
        for (server, reason) in silent { Standard.complain("warning: \(server) did not say: \(reason)") }
        guard silent.count < answers.count else {
            throw Failure(.unavailable, "no server says what client \(target.name) has left unfinished")
        }
        return Found(
            home: home, objects: counts.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }, silent: silent)
    }

    /// A client that is listed no more is known by its number only.
    private func id(_ cluster: ClusterDescription) throws -> ClientID {
        if let listed = cluster.lists.access.contents.client(named: target.name) { return listed.id }
        guard let id = ClientID(hexadecimal: target.name) else {
            throw Failure(
                .configuration,
                "no client is called '\(target.name)'; name one that was revoked by its id, which 'solidus client "
                    + "revoke' has printed")
        }
        return id
    }
}

struct ClientPending: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "pending",
        abstract: "List objects that a client began to write and nobody has committed.",
        discussion: """
            Servers keep such versions, and each keeps at most 10,000 of a client. The client finishes one by writing or \
            deleting the object. What another client has left takes the right 'admin' on every bucket to see. A client that \
            was revoked is named by its id.

            Example: solidus client pending demo guest
            """)

    @OptionGroup var pending: PendingArguments
    @OptionGroup var report: ReportOptions

    private struct Outcome: Encodable {
        struct Object: Encodable {
            let object: String
            let servers: Int
        }
        let objects: [Object]
        let silentServers: [Int]
    }

    func run() async throws {
        let found = try await pending.find()
        let lines = found.objects.map { "\($0.key)  at \(serverCount($0.serverCount))" }
        try Report.finish(
            report,
            Outcome(
                objects: found.objects.map { Outcome.Object(object: $0.key.text, servers: $0.serverCount) },
                silentServers: found.silent.map { Int($0.server.rawValue) }),
            text: (lines + ["\(lines.count) objects with versions of \(pending.target.name) and none committed"])
                .joined(separator: "\n"))
    }
}

struct ClientPurge: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "purge",
        abstract: "Have servers forget what a client began to write and nobody has committed.",
        discussion: """
            Deletes each such object, twice, so that a deletion stands above whatever was begun there. An object that turns \
            out to exist is left alone. Meant for clients that were revoked: nobody else should begin to write these objects \
            meanwhile. A server that lies may name objects that nobody began; what is deleted of these does not exist. Takes \
            the right 'admin' on every bucket.

            Example: solidus client purge demo 0123456789abcdef0123456789abcdef
            """)

    @OptionGroup var pending: PendingArguments
    @OptionGroup var report: ReportOptions

    private struct Outcome: Encodable {
        let purged: [String]
        let existing: [String]
        let silentServers: [Int]
    }

    func run() async throws {
        let found = try await pending.find()
        var options = ClientOptions()
        options.timeoutMilliseconds = max(1, Int(pending.timeout * 1000))
        let client = try ObjectClient(home: found.home, options: options)
        var purged: [ObjectKey] = []
        var existing: [ObjectKey] = []
        do throws(ClientError) {
            for (key, _) in found.objects {
                if try await Self.exists(key, client) {
                    existing.append(key)
                } else {
                    // What was begun may have the counter of the first deletion, never that of the second.
                    for _ in 0..<2 { _ = try await client.writeTombstone(key) }
                    purged.append(key)
                }
            }
            await client.close()
        } catch {
            await client.close()
            throw error
        }
        try Report.finish(
            report,
            Outcome(
                purged: purged.map(\.text), existing: existing.map(\.text),
                silentServers: found.silent.map { Int($0.server.rawValue) }),
            text: "purged \(purged.count) objects that \(pending.target.name) began to write; "
                + "\(existing.count) exist and were left alone")
    }

    private static func exists(_ key: ObjectKey, _ client: ObjectClient) async throws(ClientError) -> Bool {
        do throws(ClientError) {
            _ = try await client.head(key)
            return true
        } catch {
            if case .notFound = error { return false }
            throw error
        }
    }
}
