// One server of a world: the replicas under test, its disk, its keys, and the liar in its place if there is one.

import ErasureCode
import QuorumFaults
import QuorumProtocol

/// A server's state; the world moves it.
final class SimulatedServer {
    let node: NodeID
    let parameters: ClusterParameters
    private(set) var signer: StatementSigner
    /// Its own, with a memory of its own: what one server has come to believe, no other does.
    private(set) var verifier: StatementVerifier
    /// One for each group that it is in.
    var replicas: [Replica]
    /// What they all charge.
    var accounts = Accounts()
    /// For each group of the configuration its replica's position among them; nil when the server is not in it.
    let replicaPositions: [Int?]
    var disk: VirtualDisk
    var isUp = true
    /// Its disk is gone, and it never comes back.
    var isLost = false
    /// Its disk has lost what no version held, too, which nobody brings back.
    var hasDecayed = false
    /// Counts its processes; what belongs to an earlier one is void.
    private(set) var life = 0
    var liar: Liar?
    /// What it reads to verify, by number, and what waits for that.
    var verifications: [Int: RunningVerification] = [:]
    var queue = SimulatedServer.emptyQueue
    /// What it repairs, by the number of what that waits for.
    var repairs: [Int: RunningRepair] = [:]
    var repairQueue: RepairQueue
    private let repairDelayMilliseconds: UInt64
    /// Certificates that it has asked others for, by number.
    var questions: [Int: RunningQuestion] = [:]
    /// With a budget that a few objects use up.
    private static var emptyQueue: VerificationQueue {
        VerificationQueue(
            budget: VerificationBudget(bytesPerSecond: 1 << 12, processorPercent: 1), patienceMilliseconds: 100)
    }
    private var verificationKeys: StatementKeys
    /// The version of the list of keys that it goes by, and the changes that were decided before it did and are not
    /// durable.
    var keysVersion = 0
    var undecided: [Set<WorkToken>] = []
    /// Since it was wiped, until it is well.
    var rebuild: RunningRebuild?
    var restatements: [ObjectKey: RunningRestatement] = [:]
    /// Whether it answers nothing, since it has not been told enough.
    var isRebuilding: Bool { rebuild.map { !$0.isServing } ?? false }

    private static func emptyRepairs(_ delayMilliseconds: UInt64) -> RepairQueue {
        RepairQueue(bytesPerSecond: 1 << 30, delayMilliseconds: delayMilliseconds)
    }

    /// A liar around the replica.
    final class Liar {
        var fault: any ServerFault
        var context: FaultContext
        /// Requests that were let through to the replica and are not answered yet.
        var passed: [RequestTag: Request] = [:]
        /// How it lies about listings; nil: it does not.
        var listing: ListingLiar?
        /// How it lies to auditors; nil: it does not.
        var audit: AuditLiar?

        init(fault: any ServerFault, context: FaultContext) {
            self.fault = fault
            self.context = context
        }
    }

    /// - Parameter store: the real store on its disk; nil when that is only simulated, too.
    init(
        _ node: NodeID, parameters: ClusterParameters, signer: StatementSigner, verificationKeys: StatementKeys,
        store: ServerStore?, repairDelayMilliseconds: UInt64
    ) {
        self.repairDelayMilliseconds = repairDelayMilliseconds
        repairQueue = Self.emptyRepairs(repairDelayMilliseconds)
        disk = VirtualDisk(store: store)
        self.node = node
        self.parameters = parameters
        self.signer = signer
        self.verificationKeys = verificationKeys
        verifier = StatementVerifier(history: parameters.history, keys: verificationKeys)
        var count = 0
        replicaPositions = parameters.configuration.groups.map { group in
            guard group.contains(node) else { return nil }
            count += 1
            return count - 1
        }
        replicas = Self.replicas(parameters, node, signer.incarnation, verificationKeys.fences)
    }

    private static func replicas(
        _ parameters: ClusterParameters, _ node: NodeID, _ incarnation: Incarnation, _ fences: Fences
    ) -> [Replica] {
        parameters.configuration.groups(of: node).map {
            Replica(parameters: parameters, group: $0, node: node, incarnation: incarnation, fences: fences)
        }
    }

    /// Goes by more keys.
    func learn(_ keys: StatementKeys) {
        verificationKeys = keys
        verifier.learn(history: parameters.history, keys: keys)
    }

    /// Nothing is left of what it had; it goes on with an empty disk.
    func wipe(_ generator: inout SeededGenerator, store: ServerStore?) {
        crash(&generator)
        disk = VirtualDisk(store: store)
        hasDecayed = true
    }

    /// It goes on as another life, with nothing but these keys.
    func beginLife(_ signer: StatementSigner, keys: StatementKeys, version: Int) {
        self.signer = signer
        verificationKeys = keys
        keysVersion = version
        verifier = StatementVerifier(history: parameters.history, keys: keys)
        replicas = Self.replicas(parameters, node, signer.incarnation, keys.fences)
    }

    /// The process ends: nothing is left but what is on the disk.
    func crash(_ generator: inout SeededGenerator, isSudden: Bool = false) {
        isUp = false
        life += 1
        disk.crash(&generator, isSudden: isSudden)
        verifications = [:]
        queue = Self.emptyQueue
        repairs = [:]
        questions = [:]
        repairQueue = Self.emptyRepairs(repairDelayMilliseconds)
        liar?.passed = [:]
        verifier = StatementVerifier(history: parameters.history, keys: verificationKeys)
        replicas = Self.replicas(parameters, node, signer.incarnation, verificationKeys.fences)
        undecided = []
        restatements = [:]
        rebuild?.told = [:]
    }
}

/// By what a server goes when it says something, and in which life it says it.
struct ServerLife {
    let incarnation: Incarnation
    let keysVersion: Int

    init(of server: SimulatedServer) {
        incarnation = server.signer.incarnation
        keysVersion = server.keysVersion
    }
}

extension SimulatedServer: ReplicaStore {
    func record(of key: ObjectKey) -> StoredParts<ObjectRecord> { disk.record(key) }

    func descriptor(of timestamp: Timestamp, key: ObjectKey) -> StoredParts<SealedDescriptor> {
        disk.descriptor(key, timestamp)
    }

    func fragments(of timestamp: Timestamp, key: ObjectKey, stripeCount: Int) -> StoredParts<[SharedBytes]> {
        disk.fragments(key, timestamp, stripeCount: stripeCount)
    }

    func stagedEntry(of attempt: AttemptName, stripe: UInt32, key: ObjectKey) -> StoredParts<[UInt8]> {
        disk.stagedEntry(of: attempt, stripe: stripe, key: key)
    }

    func stagedFragment(of attempt: AttemptName, stripe: UInt32, key: ObjectKey) -> StoredParts<SharedBytes> {
        disk.stagedFragment(of: attempt, stripe: stripe, key: key)
    }

    func bareObjects(of client: ClientID, after: ObjectKey?, limit: Int) -> [ObjectKey] {
        disk.bareObjects(of: client, after: after, limit: limit)
    }

    func due(beforeMilliseconds time: UInt64, limit: Int) -> [ObjectKey] {
        disk.due(beforeMilliseconds: time, limit: limit)
    }
}
