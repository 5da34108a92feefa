// Plans for tests, and a lone replica to make changes for a disk.

import ErasureCode
import Fingerprint
import QuorumFaults
import QuorumProtocol
import QuorumSimulator

/// A plan in which nothing goes wrong but what the options say; of one group unless they say otherwise.
func plan(
    _ seed: UInt64, faults names: [String] = ["none"], f faultCount: Int? = 1, m dataFragmentCount: Int? = nil,
    planted: PlantedError? = nil, mode: VerificationMode = .fingerprint, several hasSeveralGroups: Bool? = false
) throws -> WorldPlan {
    var options = WorldOptions()
    options.faults = try FaultSelection(names: names)
    options.faultCount = faultCount
    options.dataFragmentCount = dataFragmentCount
    options.planted = planted
    options.mode = mode
    options.hasSeveralGroups = hasSeveralGroups
    return try WorldPlan(seed: seed, options: options)
}

/// A replica whose PREPAREs become changes for a disk; it signs with a scheme that signs nothing.
struct ChangeMaker {
    let parameters: ClusterParameters
    let key: ObjectKey
    private var replica: Replica
    private var accounts = Accounts()
    private let verifier: StatementVerifier
    private let writer = ClientID(high: 1, low: 1)

    init() throws {
        let quorums = try QuorumConfiguration(faults: 1)
        let configuration = Configuration(cluster: ClusterID(high: 1, low: 2), quorums: quorums)
        parameters = ClusterParameters(configuration)
        key = try ObjectKey("bucket/name")
        replica = Replica(
            parameters: parameters, group: configuration.groups[0],
            node: parameters.placement(of: key).node(at: Position(0)), incarnation: Incarnation(1))
        verifier = StatementVerifier(
            history: parameters.history,
            keys: StatementKeys(ofFirstLives: quorums.positions.map { _ in .scheme { _, _ in false } }))
    }

    /// The `.store` effect that a PREPARE of a value leads to, and the version's timestamp. The replica is told that
    /// each is durable.
    mutating func prepare(_ text: String) -> (item: VirtualDisk.Item, timestamp: Timestamp) {
        let (fragments, crossChecksum) = CrossChecksum.encode(
            block: SharedBytes(Array(text.utf8)), code: parameters.quorums.code)
        let descriptor = SealedDescriptor(
            Descriptor(
                value: key, lengthBytes: UInt64(text.utf8.count), stripeSizeBytes: 1024, stripes: [crossChecksum],
                metadata: ObjectMetadata(), parameters: parameters))
        let timestamp = Timestamp(counter: 1, writer: writer, digest: descriptor.digest)
        let prepare = Prepare(
            key: key, timestamp: timestamp, position: Position(0), descriptor: descriptor, fragments: [fragments[0]])
        var inputs: [ReplicaInput] = [
            .request(RequestTag(session: 0, request: 0), from: .client(writer), .prepare(prepare))
        ]
        var stored: VirtualDisk.Item?
        while !inputs.isEmpty {
            var effects: [ReplicaEffect] = []
            replica.handle(inputs.removeFirst(), accounts: &accounts, into: &effects)
            for effect in effects {
                switch effect {
                case .verify(let token, let job, _):
                    inputs.append(.verified(token, job.run(verifier: verifier, parameters: parameters)))
                case .load(let key, _):
                    inputs.append(.loaded(key, .success(record(key))))
                case .store(let token, let change, let statements):
                    stored = VirtualDisk.Item(token: token, change: change, statements: statements)
                    lastRecord = change?.record ?? lastRecord
                    inputs.append(.stored(token, .success(statements.map(Self.unsigned))))
                default:
                    break
                }
            }
        }
        guard let stored else { preconditionFailure("a good PREPARE is stored") }
        return (stored, timestamp)
    }

    private var lastRecord: ObjectRecord?

    private func record(_ key: ObjectKey) -> ObjectRecord? { lastRecord }

    private static func unsigned(_ statement: Statement) -> SignedStatement {
        SignedStatement(
            node: statement.node, incarnation: statement.incarnation, claim: statement.claim, leafIndex: 0,
            leafCount: 1, path: [], signature: [UInt8](repeating: 0, count: SignedStatement.signatureSizeBytes))
    }
}
