// What the servers of a cluster say of themselves at a moment, and what that means for each group.

import ClusterFiles
import CommandOutcome
import Foundation
import QuorumClient
import QuorumProtocol
import QuorumTransport
import QuorumWire
import ServerProcesses

struct ClusterCondition: Encodable {
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
        let isRolledBack: Bool
        let slotsDone: UInt64
        let slots: UInt64
        let serversMissing: UInt64
        let openVersions: UInt64

        init?(_ rebuild: ServerStatus.Rebuild) {
            guard rebuild.phase != .none else { return nil }
            answers = rebuild.phase == .healing
            isRolledBack = rebuild.phase == .rolledBack
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
        let serversToMeet: UInt64
        let rebuild: Rebuild?
        let scrubEndSeconds: Double
        let scrubNeedsSeconds: Double
        let certificateEndSeconds: UInt64
        let certificateDaysLeft: Int64
        let evidence: UInt64
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
            serversToMeet = status.serversToMeet
            rebuild = Rebuild(status.rebuild)
            scrubEndSeconds = Double(status.scrubEndMilliseconds) / 1000
            scrubNeedsSeconds = Double(status.scrubNeedsMilliseconds) / 1000
            certificateEndSeconds = status.certificateEndSeconds
            certificateDaysLeft = Self.certificate(status.certificateEndSeconds)
                .daysLeft(now: CertificateValidity.currentSecond())
            evidence = status.evidence
            refusals = status.refusals
            refusedConnections = status.refusedConnections
        }

        fileprivate static func certificate(_ endSeconds: UInt64) -> CertificateValidity {
            CertificateValidity(notBefore: 0, notAfter: Int64(clamping: endSeconds))
        }

        var isWritable: Bool { storage == ServerStatus.StorageState.writable.name }
    }
    struct Group: Encodable {
        let number: Int
        let servers: [Int]
        let reachable: Int
        let writable: Int
        let needed: Int
    }

    /// When all had answered, where the command goes on asking.
    var time: String?
    let reachable: Int
    let servers: [Server]
    let groups: [Group]

    /// Asks every server at once, as the client whose home this is.
    init(asking home: ClientHome, _ run: RunDirectory, timeoutMilliseconds: Int) async throws(Failure) {
        let configuration = home.cluster.parameters.configuration
        let answers: [NodeID: ClusterHealth.Answer]
        do {
            answers = try await ClusterHealth.ask(home, timeoutMilliseconds: timeoutMilliseconds)
        } catch {
            throw Failure(.configuration, error.description)
        }
        let servers = zip(home.cluster.servers, configuration.nodes).map { entry, node in
            let stamp = run.server(Int(entry.node.rawValue))
            return Server(entry, zone: node.zone, answers[entry.node], stamp.map { Int($0.processID) })
        }
        // One that has to be told first what it has forgotten answers nothing else.
        let answering = servers.filter { $0.status?.rebuild?.answers ?? true }
        let reachable = Set(answering.filter(\.reachable).map(\.number))
        let writable = Set(answering.filter { $0.status?.isWritable ?? false }.map(\.number))
        self.servers = servers
        self.reachable = reachable.count
        groups = configuration.groups.map { group in
            let members = group.members.map { Int($0.rawValue) }
            return Group(
                number: Int(group.id.rawValue), servers: members, reachable: members.count(where: reachable.contains),
                writable: members.count(where: writable.contains), needed: configuration.quorums.quorum)
        }
    }

    /// Whether every group has as many servers at work as it needs.
    var isAvailable: Bool { groups.allSatisfy { $0.reachable >= $0.needed } }

    /// What people are told.
    var lines: [String] { servers.flatMap(\.lines) + groups.map(\.line) }
}

extension ClusterCondition.Server {
    fileprivate init(_ entry: ServerEntry, zone: String, _ answer: ClusterHealth.Answer?, _ process: Int?) {
        let (status, problem): (ServerStatus?, String?) =
            switch answer {
            case .answer(let status)?: (status, nil)
            case .silent(let why)?: (nil, why)
            case .unreachable(let error)?: (nil, error.description)
            case nil: (nil, "it was not asked")
            }
        self.init(
            number: Int(entry.node.rawValue), address: entry.address, zone: zone.isEmpty ? nil : zone,
            reachable: status != nil, problem: problem, status: status.map(ClusterCondition.Status.init),
            process: process)
    }

    fileprivate var lines: [String] {
        let head = "server \(number)  \(address)  " + (zone.map { "zone \($0)  " } ?? "")
        guard let status else {
            let running = process.map { " (its process \($0) runs here)" } ?? ""
            return [head + "not reachable\(running): \((problem ?? "").printable)"]
        }
        return [head + status.line + (process.map { ", process \($0)" } ?? "")]
            + status.remarks.map { "          " + $0 }
    }
}

extension ClusterCondition.Status {
    fileprivate var line: String {
        let state =
            switch storage {
            case _ where rebuild?.isRolledBack == true:
                "ROLLED BACK: its store is an earlier state of what it was; stop it, move the store away, and rebuild it"
            case ServerStatus.StorageState.writable.name where rebuild?.answers == false:
                "REBUILDING: answers no requests yet"
            case ServerStatus.StorageState.writable.name: "works"
            case ServerStatus.StorageState.full.name: "FULL: takes no puts before there is space"
            default: "READ-ONLY: a write failed; look at its disk and start it again"
            }
        return state + "; \(usedBytes >> 20) MiB used, \(freeBytes >> 20) MiB free, "
            + "release \(version.printable), epoch \(epoch), certificate for \(certificateDaysLeft) days"
    }

    fileprivate var remarks: [String] {
        var remarks: [String] = []
        for (what, reasons) in [("requests", refusals), ("connections", refusedConnections)] where !reasons.isEmpty {
            let text = reasons.sorted { $0.key < $1.key }.map { "\($0.key.printable) \($0.value)" }
            remarks.append("refused \(what): " + text.joined(separator: ", "))
        }
        if let rebuild, !rebuild.isRolledBack {
            let told =
                rebuild.answers
                ? "counts as faulty until it has everything back"
                : "enough others have listed \(rebuild.slotsDone) of \(rebuild.slots) slots"
            let missing = rebuild.serversMissing > 0 ? ", \(rebuild.serversMissing) servers have yet to tell all" : ""
            let open = rebuild.openVersions > 0 ? ", \(rebuild.openVersions) versions are open" : ""
            remarks.append("rebuilding its store (incarnation \(incarnation)): " + told + missing + open)
        }
        if serversToMeet > 0 {
            remarks.append("has to hear from \(serverCount(Int(clamping: serversToMeet))) yet what it has missed")
        }
        if wants > 0 {
            let failed = failedWants > 0 ? ", of which \(failedWants) cannot be had now" : ""
            remarks.append("lacks something of \(wants) objects, and brings it back" + failed)
        }
        if scrubNeedsSeconds > 0 {
            let days = (scrubNeedsSeconds / 86400).formatted(.number.precision(.fractionLength(1)))
            remarks.append("to read all that it has needs \(days) days, more than scrub_seconds allows")
        }
        if let warning = Self.certificate(certificateEndSeconds).warning(now: CertificateValidity.currentSecond()) {
            remarks.append("CERTIFICATE: " + warning)
        }
        if evidence > 0 {
            remarks.append(
                "has \(evidence) PROOFS that another server lied: solidus evidence list, in this one's home")
        }
        if lostParts > 0 { remarks.append("lost parts of objects: \(lostParts)") }
        return remarks
    }
}

extension ClusterCondition.Group {
    fileprivate var line: String {
        let members = servers.map(String.init).joined(separator: " ")
        let state =
            reachable < needed ? "; its objects are out of reach" : writable < needed ? "; it takes no puts" : ""
        return "group \(number) of servers \(members): \(reachable) work, \(needed) are needed" + state
    }
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
