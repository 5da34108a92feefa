// What a status says, put together from what a server counts and knows.

import ClusterFiles
import NIOCore
import ObjectStorage
import QuorumProtocol
import QuorumTransport
import QuorumWire

extension ServerStatus.Rebuild {
    init(_ progress: RebuildProgress?, isRolledBack: Bool) {
        self.init()
        guard !isRolledBack else {
            phase = .rolledBack
            return
        }
        guard let progress else { return }
        switch progress.phase {
        case .listing?: phase = .listing
        case .healing?: phase = .healing
        case nil: phase = .none
        }
        slotsDone = UInt64(progress.slotsDone)
        slotsAll = UInt64(progress.slotsAll)
        serversMissing = UInt64(progress.serversMissing)
        openVersions = UInt64(progress.openVersions)
    }
}

extension ServerStatus {
    init(
        _ store: StoreCondition, of cluster: ClusterDescription, incarnation: Incarnation, uptime: TimeAmount,
        sessionCount: Int, rebuild: RebuildProgress?, isRolledBack: Bool, certificate: CertificateValidity,
        _ counters: ServerCounters, _ connections: TransportCounters
    ) {
        let storage: StorageState =
            switch store.state {
            case .writable: .writable
            case .full: .full
            case .failed: .failed
            }
        self.init(
            version: Release.version, epoch: cluster.parameters.configuration.epoch,
            incarnation: incarnation.rawValue, addressesVersion: cluster.lists.addresses.version,
            keysVersion: cluster.lists.keys.version, accessVersion: cluster.lists.access.version,
            uptimeMilliseconds: UInt64(max(0, uptime.nanoseconds / 1_000_000)), storage: storage,
            usedBytes: store.usedBytes, freeBytes: store.freeBytes, reservedBytes: store.reservedBytes,
            sessions: UInt64(sessionCount), requests: counters.requests, lostParts: counters.lostParts,
            wants: counters.wants, failedWants: counters.failedWants, serversToMeet: counters.serversToMeet,
            rebuild: Rebuild(rebuild, isRolledBack: isRolledBack),
            scrubEndMilliseconds: counters.scrubEndMilliseconds,
            scrubNeedsMilliseconds: counters.scrubNeedsMilliseconds,
            certificateEndSeconds: UInt64(max(0, certificate.notAfter)),
            evidence: counters.evidence,
            refusals: counters.refusals, refusedConnections: connections.refusalsByReason)
    }
}
