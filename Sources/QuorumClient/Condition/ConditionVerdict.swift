// Whether all is well with a cluster, in a sentence, and what somebody should look at.

import QuorumProtocol

/// What a cluster's condition comes to.
package struct ConditionVerdict: Encodable, Equatable, Sendable {
    package enum Level: String, Encodable, Sendable {
        /// Nothing is wrong.
        case well
        /// Everything is read and written, and something is wrong.
        case strained
        /// Something cannot be read or written.
        case failing
        /// Nobody knows.
        case unknown
    }

    package let level: Level
    package let summary: String
    /// What is wrong, a sentence each.
    package let concerns: [String]

    package init(level: Level, summary: String, concerns: [String]) {
        self.level = level
        self.summary = summary
        self.concerns = concerns
    }
}

extension ClusterCondition {
    package var verdict: ConditionVerdict {
        let concerns = groups.compactMap(\.concern) + servers.flatMap(\.concerns) + releaseConcerns
        let works = servers.count { $0.state == .works }
        let those = works == servers.count ? "All \(works) servers answer" : "\(works) of \(servers.count) servers work"
        if case let groups = groups.filter({ $0.reachable < $0.needed }), !groups.isEmpty {
            return ConditionVerdict(
                level: .failing, summary: "\(those); objects of \(Self.names(groups)) are out of reach.",
                concerns: concerns)
        }
        if case let groups = groups.filter({ $0.writable < $0.needed }), !groups.isEmpty {
            return ConditionVerdict(
                level: .failing,
                summary: "\(those); everything can be read, and nothing be stored in \(Self.names(groups)).",
                concerns: concerns)
        }
        guard servers.allSatisfy(\.isWhole) else {
            return ConditionVerdict(
                level: .strained, summary: "\(those); everything can be read and written, and \(resilience).",
                concerns: concerns)
        }
        return ConditionVerdict(
            level: concerns.isEmpty ? .well : .strained, summary: "\(those); \(resilience).", concerns: concerns)
    }

    /// What may still fail.
    private var resilience: String {
        let least = groups.map(\.spare).min() ?? 0
        guard least == 0 else { return "every object can lose \(least) more \(least == 1 ? "server" : "servers")" }
        let weakest = groups.filter { $0.spare == 0 }
        let members = Set(weakest.flatMap(\.servers))
        let unwhole = servers.filter { members.contains($0.number) && $0.state == .works && !$0.isWhole }
        if !unwhole.isEmpty {
            // The objects that none of them lacks are better off.
            return unwhole.contains { $0.status?.wants ?? 0 > 0 }
                ? "some objects can lose no other server before what is lacking is back"
                : "how many servers every object can lose is known when all have heard what they missed"
        }
        return weakest.count == groups.count
            ? "no object can lose another server" : "no object of \(Self.names(weakest)) can lose another server"
    }

    private var releaseConcerns: [String] {
        let releases = Set(servers.compactMap { $0.status?.version.printable }).sorted()
        return releases.count > 1 ? ["Servers run different releases: \(releases.joined(separator: ", "))."] : []
    }

    /// "group 1", "groups 1, 2".
    private static func names(_ groups: [Group]) -> String {
        (groups.count == 1 ? "group " : "groups ") + groups.map { "\($0.number)" }.joined(separator: ", ")
    }
}

extension ClusterCondition.Group {
    fileprivate var concern: String? {
        let members = servers.map(String.init).joined(separator: ", ")
        if reachable < needed {
            return "Of group \(number) (servers \(members)) \(reachable) answer, and \(needed) are needed."
        }
        if writable < needed {
            return "Of group \(number) (servers \(members)) \(writable) take what is stored, and \(needed) are needed."
        }
        return nil
    }
}

extension ClusterCondition.Server {
    fileprivate var concerns: [String] {
        var concerns: [String] = []
        switch state {
        case .works:
            if let wants = status?.wants, wants > 0 { concerns.append("lacks something of \(wants) objects.") }
            if let others = status?.serversToMeet, others > 0 {
                concerns.append("does not know yet what it has missed.")
            }
        case .full: concerns.append("takes no puts before there is space.")
        case .failed: concerns.append("could not write: look at its disk and start it again.")
        case .rebuilding: concerns.append("is being rebuilt, and counts as faulty until it has everything back.")
        case .rolledBack:
            concerns.append(
                "has a store that is an earlier state of what it was: stop it, move the store away, and rebuild it.")
        case .unreachable: concerns.append("does not answer: \((problem ?? "it was not asked").printable)")
        }
        concerns += (status?.remarks ?? []).filter(\.isUrgent).map { $0.text.printable + "." }
        return concerns.map { "Server \(number) \($0)" }
    }
}
