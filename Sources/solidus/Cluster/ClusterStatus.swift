// solidus cluster status, solidus status

import ArgumentParser
import ClusterFiles
import CommandOutcome
import Glibc
import QuorumClient
import QuorumProtocol
import QuorumTransport
import QuorumWire

struct ClusterStatus: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Ask every server how it is, and show what that means for each group.",
        discussion: """
            Asks over the network, as a client of the cluster, so it works from any machine with a client's home. What a \
            server says of itself is not signed. Fails with exit code 4 when a group has fewer servers at work than are \
            needed.

            Examples:
              solidus cluster status demo
              solidus status --json
            """)

    @OptionGroup var target: ClusterArgument
    @Option(help: "The client to be, by its name in access.toml; the first one listed when not given.")
    var client: String?
    @Option(help: "How many seconds the servers may take.")
    var timeout: Double = 5
    @OptionGroup var report: ReportOptions

    mutating func validate() throws {
        guard timeout > 0, timeout <= 86_400 else {
            throw ValidationError("--timeout must be more than 0 and at most 86400 seconds.")
        }
    }

    private struct Outcome: Encodable {
        struct Server: Encodable {
            let number: Int
            let address: String
            let zone: String?
            let reachable: Bool
            let problem: String?
            let status: Status?
            /// Its process, where it runs on this machine.
            let process: Int?
        }
        struct Rebuild: Encodable {
            let answers: Bool
            let slotsDone: UInt64
            let slots: UInt64
            let serversMissing: UInt64
            let openVersions: UInt64

            init?(_ rebuild: ServerStatus.Rebuild) {
                guard rebuild.phase != .none else { return nil }
                answers = rebuild.phase == .healing
                slotsDone = rebuild.slotsDone
                slots = rebuild.slotsAll
                serversMissing = rebuild.serversMissing
                openVersions = rebuild.openVersions
            }
        }
        struct Status: Encodable {
            let version: String
            let epoch: UInt64
            let incarnation: UInt64
            let lists: [String: UInt64]
            let uptimeSeconds: Double
            let storage: String
            let usedBytes: UInt64
            let freeBytes: UInt64
            let reservedBytes: UInt64
            let sessions: UInt64
            let requests: UInt64
            let lostParts: UInt64
            let wants: UInt64
            let failedWants: UInt64
            let rebuild: Rebuild?
            let scrubEndSeconds: Double
            let refusals: [String: UInt64]
            let refusedConnections: [String: UInt64]

            init(_ status: ServerStatus) {
                version = status.version
                epoch = status.epoch
                incarnation = status.incarnation
                lists = [
                    "addresses": status.addressesVersion, "keys": status.keysVersion, "access": status.accessVersion,
                ]
                uptimeSeconds = Double(status.uptimeMilliseconds) / 1000
                storage = status.storage.name
                usedBytes = status.usedBytes
                freeBytes = status.freeBytes
                reservedBytes = status.reservedBytes
                sessions = status.sessions
                requests = status.requests
                lostParts = status.lostParts
                wants = status.wants
                failedWants = status.failedWants
                rebuild = Rebuild(status.rebuild)
                scrubEndSeconds = Double(status.scrubEndMilliseconds) / 1000
                refusals = status.refusals
                refusedConnections = status.refusedConnections
            }
        }
        struct Group: Encodable {
            let number: Int
            let servers: [Int]
            let reachable: Int
            let writable: Int
            let needed: Int
        }
        let reachable: Int
        let servers: [Server]
        let groups: [Group]
    }

    func run() async throws {
        let target = try target.place
        let home = try ClientHome(clusterDirectory: target.path, client: client)
        let configuration = home.cluster.parameters.configuration
        let answers: [NodeID: ClusterHealth.Answer]
        do {
            answers = try await ClusterHealth.ask(home, timeoutMilliseconds: max(1, Int(timeout * 1000)))
        } catch {
            throw Failure(.configuration, error.description)
        }
        let servers = zip(home.cluster.servers, configuration.nodes).map { entry, node in
            let stamp = target.run.server(Int(entry.node.rawValue))
            return Self.server(entry, zone: node.zone, answers[entry.node], stamp.map { Int($0.processID) })
        }
        // One that has to be told first what it has forgotten answers nothing else.
        let answering = servers.filter { $0.status?.rebuild?.answers ?? true }
        let reachable = Set(answering.filter(\.reachable).map(\.number))
        let writable = Set(
            answering.filter { $0.status?.storage == ServerStatus.StorageState.writable.name }.map(\.number))
        let groups = configuration.groups.map { group in
            let members = group.members.map { Int($0.rawValue) }
            return Outcome.Group(
                number: Int(group.id.rawValue), servers: members, reachable: members.count(where: reachable.contains),
                writable: members.count(where: writable.contains), needed: configuration.quorums.quorum)
        }
        try Report.finish(
            report, Outcome(reachable: reachable.count, servers: servers, groups: groups),
            text: (servers.flatMap(Self.lines) + groups.map(Self.line)).joined(separator: "\n"))
        if groups.contains(where: { $0.reachable < $0.needed }) { throw ReportedVerdict(status: .unavailable) }
    }

    private static func server(
        _ entry: ServerEntry, zone: String, _ answer: ClusterHealth.Answer?, _ process: Int?
    ) -> Outcome.Server {
        let (status, problem): (ServerStatus?, String?) =
            switch answer {
            case .answer(let status)?: (status, nil)
            case .silent(let why)?: (nil, why)
            case .unreachable(let error)?: (nil, error.description)
            case nil: (nil, "it was not asked")
            }
        return Outcome.Server(
            number: Int(entry.node.rawValue), address: entry.address, zone: zone.isEmpty ? nil : zone,
            reachable: status != nil, problem: problem, status: status.map(Outcome.Status.init), process: process)
    }

    private static func lines(_ server: Outcome.Server) -> [String] {
        let head =
            "server \(server.number)  \(server.address)  " + (server.zone.map { "zone \($0)  " } ?? "")
        guard let status = server.status else {
            let running = server.process.map { " (its process \($0) runs here)" } ?? ""
            return [head + "not reachable\(running): \((server.problem ?? "").printable)"]
        }
        let state =
            switch status.storage {
            case ServerStatus.StorageState.writable.name where status.rebuild?.answers == false:
                "REBUILDING: answers no requests yet"
            case ServerStatus.StorageState.writable.name: "works"
            case ServerStatus.StorageState.full.name: "FULL: takes no puts before there is space"
            default: "READ-ONLY: a write failed; look at its disk and start it again"
            }
        var lines = [
            head + state + "; \(megabytes(status.usedBytes)) MiB used, \(megabytes(status.freeBytes)) MiB free, "
                + "release \(status.version.printable), epoch \(status.epoch)"
                + (server.process.map { ", process \($0)" } ?? "")
        ]
        for (what, reasons) in [("requests", status.refusals), ("connections", status.refusedConnections)]
        where !reasons.isEmpty {
            let text = reasons.sorted { $0.key < $1.key }.map { "\($0.key.printable) \($0.value)" }
            lines.append("          refused \(what): " + text.joined(separator: ", "))
        }
        if let rebuild = status.rebuild {
            let told =
                rebuild.answers
                ? "counts as faulty until it has everything back"
                : "enough others have listed \(rebuild.slotsDone) of \(rebuild.slots) slots"
            let missing = rebuild.serversMissing > 0 ? ", \(rebuild.serversMissing) servers have yet to tell all" : ""
            let open = rebuild.openVersions > 0 ? ", \(rebuild.openVersions) versions are open" : ""
            lines.append("          rebuilding its store (incarnation \(status.incarnation)): " + told + missing + open)
        }
        if status.wants > 0 {
            let failed = status.failedWants > 0 ? ", of which \(status.failedWants) cannot be had now" : ""
            lines.append("          lacks something of \(status.wants) objects, and brings it back" + failed)
        }
        if status.lostParts > 0 { lines.append("          lost parts of objects: \(status.lostParts)") }
        return lines
    }

    private static func line(_ group: Outcome.Group) -> String {
        let members = group.servers.map(String.init).joined(separator: " ")
        let state =
            group.reachable < group.needed
            ? "; its objects are out of reach" : group.writable < group.needed ? "; it takes no puts" : ""
        return "group \(group.number) of servers \(members): \(group.reachable) work, \(group.needed) are needed"
            + state
    }

    private static func megabytes(_ bytes: UInt64) -> UInt64 { bytes >> 20 }
}

extension ServerStatus.StorageState {
    /// The state's name in JSON.
    fileprivate var name: String {
        switch self {
        case .writable: "writable"
        case .full: "full"
        case .failed: "failed"
        }
    }
}
