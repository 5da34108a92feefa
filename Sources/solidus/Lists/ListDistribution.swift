// Having the servers of this machine take over newer lists, and finding out who has.

import ClusterFiles
import CommandOutcome
import Foundation
import Glibc
import QuorumProtocol
import QuorumServer
import ServerProcesses

/// Which servers go by the lists of a cluster's directory.
struct ListDistribution {
    static let patienceMilliseconds = 15_000
    private static let pollMicroseconds: UInt32 = 10_000

    /// Those that said that they do, in order.
    private(set) var confirmed: [Int] = []
    /// The pins of the certificates that those show.
    private(set) var certificates: [Int: String] = [:]
    /// Those that said why they do not take a list.
    private(set) var refused: [(server: Int, why: String)] = []
    /// Those that do not run here, or did not answer in time.
    private(set) var unreached: [Int] = []
    /// Those among them that run here, and what seems to keep them from answering.
    private(set) var silent: [(server: Int, why: String)] = []
    /// The groups of which fewer than q servers confirmed.
    private(set) var groupsWithoutQuorum: [Int] = []
    private let serverCount: Int

    /// Signals the running servers and waits for their reports.
    ///
    /// - Throws: when no process can be found on this machine.
    init(
        _ target: ClusterDirectory, _ cluster: ClusterDescription, patienceMilliseconds: Int = Self.patienceMilliseconds
    ) throws(Failure) {
        try ProcessStamp.checkProcesses()
        let servers = cluster.servers.map { Int($0.node.rawValue) }
        serverCount = servers.count
        var waiting: [Int] = []
        for server in servers {
            guard let stamp = target.run.server(server) else {
                unreached.append(server)
                continue
            }
            unlink(Self.reportPath(target, server))
            stamp.signal(SIGHUP)
            waiting.append(server)
        }
        let deadline = ContinuousClock.now + .milliseconds(patienceMilliseconds)
        while !waiting.isEmpty, ContinuousClock.now < deadline {
            waiting.removeAll { server in
                guard let report = Self.report(target, server) else { return false }
                if report.covers(cluster) {
                    certificates[server] = report.certificatePin
                    // The lists hold, and a certificate was not taken.
                    for why in report.complaints { refused.append((server, why)) }
                    confirmed.append(server)
                } else if let complaint = report.complaints.first {
                    refused.append((server, complaint))
                } else {
                    // Of an earlier signal.
                    return false
                }
                return true
            }
            if !waiting.isEmpty { usleep(Self.pollMicroseconds) }
        }
        unreached += waiting
        silent = waiting.map { ($0, Self.silence(target.home($0))) }
        unreached.sort()
        confirmed.sort()
        let known = Set(confirmed.map { NodeID(UInt16($0)) })
        let configuration = cluster.parameters.configuration
        groupsWithoutQuorum = configuration.groups
            .filter { $0.members.count(where: known.contains) < configuration.quorums.quorum }
            .map { Int($0.id.rawValue) }
    }

    /// Why a server that runs may not have written its report.
    private static func silence(_ home: String) -> String {
        var disk = statvfs()
        if statvfs(home, &disk) == 0, disk.f_bavail == 0 {
            return "the disk of \(home), where it would report, is full; make room there and try again"
        }
        return "its log, \(home)/server.log unless it was started otherwise, may tell why"
    }

    private static func reportPath(_ target: ClusterDirectory, _ server: Int) -> String {
        "\(target.home(server))/\(ReportFile.listsName)"
    }

    private static func report(_ target: ClusterDirectory, _ server: Int) -> ListReport? {
        guard let data = FileManager.default.contents(atPath: reportPath(target, server)) else { return nil }
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try? decoder.decode(ListReport.self, from: data)
    }

    /// Whether what is in the lists holds: q servers of each group go by them, so no quorum goes by older ones.
    var isInForce: Bool { groupsWithoutQuorum.isEmpty }

    /// What people are told, without the last line's end.
    var text: String {
        if confirmed.count == serverCount { return "in force at all \(serverCount) servers" }
        var parts = ["in force at \(confirmed.count) of \(serverCount) servers"]
        if !unreached.isEmpty {
            parts.append("could not reach server " + unreached.map(String.init).joined(separator: ", "))
        }
        return parts.joined(separator: "; ")
    }

    /// Tells what servers complained about.
    func warn() {
        for (server, why) in refused {
            Standard.complain("warning: server \(server) does not take what lies there: \(why)")
        }
        for (server, why) in silent {
            Standard.complain("warning: server \(server) runs here, and does not say which lists it goes by: \(why)")
        }
    }

    /// What a command fails with that is not done before the lists hold.
    var failure: Failure {
        Failure(
            .unavailable,
            "\(text): fewer than a quorum of group \(groupsWithoutQuorum.map(String.init).joined(separator: ", ")); "
                + "copy the lists to the homes on other machines, and 'solidus cluster reload' each")
    }
}

/// The same in JSON.
struct DistributedLists: Encodable {
    struct Refusal: Encodable {
        let server: Int
        let why: String
    }
    let addresses: UInt64
    let keys: UInt64
    let access: UInt64
    let confirmed: [Int]
    let refused: [Refusal]
    let unreached: [Int]
    let inForce: Bool

    init(_ cluster: ClusterDescription, _ distribution: ListDistribution) {
        addresses = cluster.lists.addresses.version
        keys = cluster.lists.keys.version
        access = cluster.lists.access.version
        confirmed = distribution.confirmed
        refused = distribution.refused.map { Refusal(server: $0.server, why: $0.why) }
        unreached = distribution.unreached
        inForce = distribution.isInForce
    }
}
