// Servers that read all that they have to see whether it is whole, as Scrubber does it, and disks that decay one after the
// other once their servers are whole again.

import QuorumProtocol

extension World {
    /// How many servers lose all their fragments one after the other, if there may be one more at a time.
    static let decayCountMax = 3

    /// Looks at everything that the server has.
    func scrub(_ server: SimulatedServer) {
        guard server.liar == nil, server.isUp else { return }
        for key in keys {
            let lost = damage(at: server, key)
            guard !lost.isEmpty, let replica = replica(of: server, for: key) else { continue }
            note("\(server.node) finds \(lost.count) parts of \(key) damaged")
            feed(server, replica, .lost(key, lost, answering: nil))
        }
    }

    /// What the record says is there and is not.
    private func damage(at server: SimulatedServer, _ key: ObjectKey) -> [LostParts] {
        guard case .held(let record) = server.record(of: key) else { return [] }
        var lost: [LostParts] = []
        for version in record.held {
            guard case .held(let descriptor) = server.descriptor(of: version.timestamp, key: key) else {
                // Of a version that is pending it is noted with its fragments.
                if version.fragments != .lost { lost.append(.descriptor(version.timestamp)) }
                continue
            }
            let stripeCount = descriptor.descriptor.stripes.count
            guard version.holdsFragments, stripeCount > 0 else { continue }
            if case .lost = server.fragments(of: version.timestamp, key: key, stripeCount: stripeCount) {
                lost.append(.fragments(version.timestamp))
            }
        }
        for attempt in record.staged {
            for stripe in attempt.good.ranges.joined() {
                let entry = server.stagedEntry(of: attempt.name, stripe: stripe, key: key)
                let fragment = server.stagedFragment(of: attempt.name, stripe: stripe, key: key)
                if entry.value == nil || fragment.value == nil { lost.append(.stripe(attempt.name, stripe)) }
            }
        }
        return lost
    }

    /// Something that the server has and that rotted without anybody's having noticed.
    func hiddenDamage(at server: SimulatedServer) -> String? {
        guard plan.stores == nil else { return nil }
        return keys.first { !damage(at: server, $0).isEmpty }.map {
            "\(server.node) has not noticed what rotted of \($0)"
        }
    }

    /// All servers are whole. One of them loses every fragment, if so many may fail that one more may; it has to be
    /// whole again before the next one does.
    func decays() -> Bool {
        guard decayCount < Self.decayCountMax, plan.stores == nil, unhealed.isEmpty else { return false }
        let whole = servers.filter(isToBeWhole)
        // What is poisonous, or at too few servers anyway, nobody brings back.
        guard whole.allSatisfy({ $0.disk.wants().isEmpty }) else { return false }
        let bad = badServers.subtracting(whole.map(\.node))
        let faults = parameters.quorums.faults
        let groups = parameters.configuration.groups
        guard groups.allSatisfy({ $0.members.count { bad.contains($0) } < faults }) else { return false }
        guard let node = generator.pick(servers.map(\.node).filter { !badServers.contains($0) }) else { return false }
        decayCount += 1
        note("\(node) loses all its fragments")
        server(node).disk.loseFragments()
        server(node).hasDecayed = true
        judgeAudits(lacking: node)
        restDeadlineMicroseconds = nowMicroseconds + Self.restMicroseconds
        return true
    }
}
