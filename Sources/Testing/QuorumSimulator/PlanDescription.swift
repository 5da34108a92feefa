// A plan in words.

import QuorumProtocol

extension PlannedOperation.Crash.Moment: CustomStringConvertible {
    package var description: String {
        switch self {
        case .after(let microseconds): "after \(microseconds) us"
        case .beforeCommit: "before COMMIT"
        case .afterPrepares(let count): "after \(count) PREPAREs"
        case .afterCommits(let count): "after \(count) COMMITs"
        }
    }
}

extension WorldPlan {
    /// What the plan has in store, a line for each thing.
    package var summary: [String] {
        var lines = [
            "seed \(seed): mode \(mode), n = \(groupSize), f = \(faultCount), m = \(dataFragmentCount), \(objectCount) objects, "
                + "\(clientCount) clients\(clientsRemember ? " that remember certificates" : "")\(writesArePartial ? ", partial writes" : "")"
                + ", \(operations.count) operations\(endsWithWrites ? " and a last write of each object" : "")"
                + (serversMeetLate ? "; servers meet when the clients are done" : ""),
            "\(serverCount) servers, groups "
                + groups.members.map { $0.map(String.init).joined(separator: " ") }.joined(separator: ", ")
                + (earlierEpoch.map { epoch in
                    "; before: m = \(epoch.dataFragmentCount), "
                        + epoch.members.map(String.init).joined(separator: " ")
                } ?? ""),
            "limits: \(limits.pendingVersionsPerClientMax) pending, \(limits.retainedVersionsMax) retained, "
                + "\(limits.retentionMilliseconds) ms retention, \(limits.requestsPerObjectMax) waiting requests",
            "network: \(network.delayMinMicroseconds)...\(network.delayMaxMicroseconds) us, lost "
                + "\(network.lossPermille), doubled \(network.duplicationPermille), slowed "
                + "\(network.slowdownPermille) in 1000 (up to \(network.slowdownMax) times), echoed "
                + "\(network.echoPermille) (up to \(network.echoMaxMicroseconds) us later)",
            "disk: \(diskDelayMinMicroseconds)...\(diskDelayMaxMicroseconds) us; deferred work "
                + "\(deferredWorkPercent) in 100; faults end at \(healMicroseconds) us",
        ]
        if let stores {
            lines.append(
                "real stores: segments of \(stores.segmentSizeBytes) bytes, parts up to "
                    + "\(stores.inlinePartSizeBytesMax) in the index, \(stores.reservedFreeBytes) in reserve, "
                    + "the index flushed every \(stores.flushIntervalBytes), or every "
                    + "\(stores.reclaimFlushBytes) dropped")
        }
        for (number, bad) in badServers.sorted(by: { $0.key < $1.key }) {
            let lie = listingLies[number].map { ", of listings \($0.rawValue)" } ?? ""
            lines.append("bad-server:\(number) \(bad.server), \(bad.kind)\(lie)")
        }
        for (number, kind) in byzantineClients.sorted(by: { $0.key < $1.key }) {
            lines.append("byzantine-client:\(number) \(kind.rawValue)")
        }
        for (number, crash) in serverCrashes.sorted(by: { $0.key < $1.key }) {
            lines.append(
                "server-crash:\(number) \(crash.server) at \(crash.atMicroseconds) us for \(crash.downMicroseconds) us")
        }
        for (number, failure) in powerFailures.sorted(by: { $0.key < $1.key }) {
            lines.append(
                "power-failure:\(number) after read \(failure.afterReadCount) for \(failure.downMicroseconds) us, servers "
                    + String(failure.servers, radix: 2) + (failure.includesClients ? " and the clients" : ""))
        }
        for (number, wipe) in wipes.sorted(by: { $0.key < $1.key }) {
            lines.append("wipe:\(number) at \(wipe.atMicroseconds) us or later, for \(wipe.downMicroseconds) us")
        }
        for (number, slow) in slowServers.sorted(by: { $0.key < $1.key }) {
            lines.append("slow-server:\(number) \(slow.server), \(slow.factor) times")
        }
        for (number, partition) in partitions.sorted(by: { $0.key < $1.key }) {
            lines.append(
                "partition:\(number) at \(partition.startMicroseconds) us for \(partition.durationMicroseconds) us, side "
                    + String(partition.side, radix: 2))
        }
        for operation in operations {
            let crash = operation.crash.map { ", crash \($0.moment)" } ?? ""
            lines.append(
                "operation:\(operation.number) client \(operation.client), object \(operation.object), "
                    + "\(operation.kind)\(operation.staging?.summary ?? "")\(crash)")
        }
        return lines
    }
}
