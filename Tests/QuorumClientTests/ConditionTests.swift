// What servers say of themselves, and what that comes to in a sentence.

import Foundation
import QuorumProtocol
import QuorumTransport
import QuorumWire
import Testing

@testable import QuorumClient

@Suite("The condition of a cluster") struct ConditionTests {
    private static func status(_ change: (inout ServerStatus) -> Void = { _ in }) -> ClusterHealth.Answer {
        var status = ServerStatus(
            version: "1.2.3", epoch: 0, incarnation: 1, addressesVersion: 1, keysVersion: 1, accessVersion: 1,
            uptimeMilliseconds: 1, storage: .writable, usedBytes: 1, freeBytes: 1, reservedBytes: 1, sessions: 1,
            requests: 1, lostParts: 0, wants: 0, failedWants: 0, serversToMeet: 0, scrubEndMilliseconds: 0,
            scrubNeedsMilliseconds: 0,
            certificateEndSeconds: UInt64(CertificateValidity.currentSecond()) + 1000 * 86_400, refusals: [:],
            refusedConnections: [:])
        change(&status)
        return .answer(status)
    }

    private static func rebuilding(_ phase: ServerStatus.Rebuild.Phase) -> ClusterHealth.Answer {
        status { $0.rebuild.phase = phase }
    }

    private static let well = status()
    private static let dead = ClusterHealth.Answer.unreachable(.cannotConnect(peer: "a", reason: "refused"))
    private static let silent = ClusterHealth.Answer.silent("no word")
    private static let full = status { $0.storage = .full }
    private static let failed = status { $0.storage = .failed }
    private static let lacking = status { $0.wants = 12 }
    private static let ignorant = status { $0.serversToMeet = 1 }

    /// - Parameter groups: their servers; nil for one of all.
    private static func condition(
        _ answers: [ClusterHealth.Answer], faults: Int = 1, groups: [[Int]]? = nil
    ) throws -> ClusterCondition {
        let groups = try (groups ?? [Array(answers.indices)]).enumerated().map { number, members in
            try Group(id: GroupID(UInt32(number)), members: members.map { NodeID(UInt16($0)) })
        }
        let configuration = try Configuration(
            cluster: ClusterID(high: 1, low: 2), epoch: 1, mode: .fingerprint,
            quorums: QuorumConfiguration(faults: faults),
            nodes: answers.indices.map { Node(id: NodeID(UInt16($0))) }, groups: groups,
            slots: Array(repeating: groups[0].id, count: Slot.count))
        let servers = answers.enumerated().map { number, answer in
            ClusterCondition.Server(number: number, address: "a:\(number)", zone: nil, answer, process: nil)
        }
        return ClusterCondition(servers, of: ClusterParameters(configuration))
    }

    @Test("is well when every server is, and says how many may fail")
    func well() throws {
        let verdict = try Self.condition([Self.well, Self.well, Self.well, Self.well]).verdict
        #expect(verdict.level == .well && verdict.concerns.isEmpty)
        #expect(verdict.summary == "All 4 servers answer; every object can lose 1 more server.")
        let large = try Self.condition(Array(repeating: Self.well, count: 7), faults: 2).verdict
        #expect(large.summary == "All 7 servers answer; every object can lose 2 more servers.")
    }

    @Test(
        "is strained by what one server has, which is named",
        arguments: [
            (Self.dead, ClusterCondition.State.unreachable, "does not answer"), (Self.silent, .unreachable, "no word"),
            (Self.full, .full, "takes no puts"), (Self.failed, .failed, "could not write"),
            (Self.rebuilding(.listing), .rebuilding, "is being rebuilt"),
            (Self.rebuilding(.healing), .rebuilding, "is being rebuilt"),
            (Self.rebuilding(.rolledBack), .rolledBack, "earlier state"),
        ])
    func strained(_ answer: ClusterHealth.Answer, _ state: ClusterCondition.State, _ word: String) throws {
        let condition = try Self.condition([Self.well, answer, Self.well, Self.well])
        #expect(condition.servers[1].state == state && condition.groups[0].spare == 0)
        let verdict = condition.verdict
        #expect(verdict.level == .strained)
        #expect(
            verdict.summary
                == "3 of 4 servers work; everything can be read and written, and no object can lose another server.")
        #expect(verdict.concerns.count == 1)
        let concern = try #require(verdict.concerns.first)
        #expect(concern.hasPrefix("Server 1 ") && concern.contains(word), "\(concern)")
        // With f = 2 there is one left.
        let large = try Self.condition([answer] + Array(repeating: Self.well, count: 6), faults: 2).verdict
        #expect(large.level == .strained && large.summary.hasSuffix("every object can lose 1 more server."))
    }

    @Test("is strained while a server has something to bring back, of some objects")
    func lacking() throws {
        for (answer, word) in [
            (Self.lacking, "some objects can lose no other server before what is lacking is back."),
            (Self.ignorant, "how many servers every object can lose is known when all have heard what they missed."),
        ] {
            let verdict = try Self.condition([Self.well, Self.well, answer, Self.well]).verdict
            #expect(verdict.level == .strained && verdict.concerns.count == 1)
            #expect(verdict.summary.contains("All 4 servers answer; everything can be read and written"))
            #expect(verdict.summary.hasSuffix(word), "\(verdict.summary)")
        }
    }

    @Test("is failing when a group has too few servers, which is named, and for what")
    func failing() throws {
        let two = try Self.condition([Self.dead, Self.dead, Self.well, Self.well])
        #expect(!two.isAvailable && two.verdict.level == .failing)
        #expect(two.verdict.summary == "2 of 4 servers work; objects of group 0 are out of reach.")
        #expect(two.verdict.concerns.first == "Of group 0 (servers 0, 1, 2, 3) 2 answer, and 3 are needed.")
        let unwritable = try Self.condition([Self.full, Self.full, Self.well, Self.well])
        #expect(unwritable.isAvailable && unwritable.verdict.level == .failing)
        #expect(
            unwritable.verdict.summary
                == "2 of 4 servers work; everything can be read, and nothing be stored in group 0.")
        // One that has forgotten everything answers no requests; one that is being healed does.
        #expect(try !Self.condition([Self.rebuilding(.listing), Self.dead, Self.well, Self.well]).isAvailable)
        #expect(try Self.condition([Self.rebuilding(.healing), Self.well, Self.dead, Self.well]).isAvailable)
    }

    @Test("is told group by group")
    func groups() throws {
        let groups = [[0, 1, 2, 3], [4, 5, 6, 7]]
        var answers = Array(repeating: Self.well, count: 8)
        answers[5] = Self.dead
        let one = try Self.condition(answers, groups: groups)
        #expect(one.groups.map(\.spare) == [1, 0])
        #expect(one.verdict.summary.hasSuffix("and no object of group 1 can lose another server."))
        answers[6] = Self.dead
        let two = try Self.condition(answers, groups: groups).verdict
        #expect(two.level == .failing && two.summary == "6 of 8 servers work; objects of group 1 are out of reach.")
    }

    @Test("has concerns that no server's state shows")
    func concerns() throws {
        let soon = UInt64(CertificateValidity.currentSecond()) + 86_400
        let cases: [(ClusterHealth.Answer, String)] = [
            (Self.status { $0.certificateEndSeconds = soon }, "Server 3 CERTIFICATE"),
            (Self.status { $0.evidence = 2 }, "Server 3 has 2 PROOFS"),
            (Self.status { $0.scrubNeedsMilliseconds = 86_400_000 * 3 / 2 }, "needs 1.5 days"),
            (Self.status { $0.version = "1.2.4\u{202E}" }, "different releases: 1.2.3, 1.2.4\u{FFFD}."),
        ]
        for (answer, word) in cases {
            let verdict = try Self.condition([Self.well, Self.well, Self.well, answer]).verdict
            #expect(verdict.level == .strained && verdict.concerns.count == 1)
            #expect(verdict.concerns.first?.contains(word) ?? false, "\(verdict.concerns)")
            #expect(verdict.summary == "All 4 servers answer; every object can lose 1 more server.")
        }
        // What it has refused is told with it, and is nobody's concern.
        let refusing = try Self.condition([
            Self.status { $0.refusals = ["stale": 7] }, Self.well, Self.well, Self.well,
        ])
        #expect(refusing.verdict.level == .well && refusing.servers[0].remarks == ["refused requests: stale 7"])
    }
}
