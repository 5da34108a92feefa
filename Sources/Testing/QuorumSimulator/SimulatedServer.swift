// One server of a world: the replica under test, its disk, its keys, and the liar in its place if there is one.

import ErasureCode
import QuorumFaults
import QuorumProtocol

/// A server's state; the world moves it.
final class SimulatedServer {
    let index: ServerIndex
    let parameters: ClusterParameters
    let signer: StatementSigner
    /// Its own, with a memory of its own: what one server has come to believe, no other does.
    private(set) var verifier: StatementVerifier
    var replica: Replica
    var disk = VirtualDisk()
    var isUp = true
    /// Its disk is gone, and it never comes back.
    var isLost = false
    /// Counts its processes; what belongs to an earlier one is void.
    private(set) var life = 0
    var liar: Liar?
    /// What it reads to verify, by number, and what waits for that.
    var verifications: [Int: RunningVerification] = [:]
    var queue = SimulatedServer.emptyQueue
    /// With a budget that a few objects use up.
    private static var emptyQueue: VerificationQueue {
        VerificationQueue(
            budget: VerificationBudget(bytesPerSecond: 1 << 12, processorPercent: 1), patienceMilliseconds: 100)
    }
    private let verificationKeys: [StatementVerificationKey]

    /// A liar around the replica.
    final class Liar {
        var fault: any ServerFault
        var context: FaultContext
        /// Requests that were let through to the replica and are not answered yet.
        var passed: [RequestTag: Request] = [:]

        init(fault: any ServerFault, context: FaultContext) {
            self.fault = fault
            self.context = context
        }
    }

    init(
        _ index: ServerIndex, parameters: ClusterParameters, signer: StatementSigner,
        verificationKeys: [StatementVerificationKey]
    ) {
        self.index = index
        self.parameters = parameters
        self.signer = signer
        self.verificationKeys = verificationKeys
        verifier = StatementVerifier(parameters: parameters, keys: verificationKeys)
        replica = Replica(parameters: parameters, server: index, incarnation: signer.incarnation)
    }

    /// The process ends: nothing is left but what is on the disk.
    func crash(_ generator: inout SeededGenerator, isSudden: Bool = false) {
        isUp = false
        life += 1
        disk.crash(&generator, isSudden: isSudden)
        verifications = [:]
        queue = Self.emptyQueue
        liar?.passed = [:]
        verifier = StatementVerifier(parameters: parameters, keys: verificationKeys)
        replica = Replica(parameters: parameters, server: index, incarnation: signer.incarnation)
    }
}

extension SimulatedServer: ReplicaStore {
    func record(of key: ObjectKey) -> Result<ObjectRecord?, StoreFailure> { disk.record(key) }

    func descriptor(of timestamp: Timestamp, key: ObjectKey) -> SealedDescriptor? { disk.descriptor(key, timestamp) }

    func fragments(of timestamp: Timestamp, key: ObjectKey, stripeCount: Int) -> [SharedBytes]? {
        disk.fragments(key, timestamp)
    }

    func due(beforeMilliseconds time: UInt64, limit: Int) -> [ObjectKey] { disk.due(beforeMilliseconds: time) }
}
