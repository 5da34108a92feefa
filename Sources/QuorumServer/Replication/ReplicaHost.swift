// The shell around the replica: the one funnel of event → machine → effects → I/O.
//
// The machine lives behind a mutex; whatever thread brings an event runs it through. Changes to store are queued while
// the mutex is held, so that they reach the disk in the machine's order. Everything else is done after it is released:
// small proofs and reads at once on the calling thread, since waking another costs more than they do, large ones on
// worker threads.

import ErasureCode
import Fingerprint
import Logging
import NIOPosix
import QuorumProtocol
import Synchronization

/// Runs one replica.
final class ReplicaHost: Sendable {
    /// Fragments up to this size are verified and read on the calling thread.
    private static let inlineWorkSizeBytesMax = 64 << 10
    /// How many due objects the machine is given at once, while requests wait for it.
    private static let dueObjectsPerInput = 64

    private let parameters: ClusterParameters
    private let fragmentIndex: FragmentIndex
    private let replica: Mutex<Replica>
    private let store: ProtocolStore
    private let verifier: StatementVerifier
    private let workers: NIOThreadPool
    private let interposer: (any ServerInterposer)?
    private let pipeline: Mutex<StoragePipeline?>
    private let reply: @Sendable (RequestTag, Reply) -> Void
    private let versionVerifier = Mutex<VersionVerifier?>(nil)

    /// - Parameters:
    ///   - without: optimisations that are left out.
    ///   - interposer: decides which changes are really stored; nil: all.
    ///   - reply: sends an answer to where its request came from; may be called from any thread.
    init(
        parameters: ClusterParameters, server: ServerIndex, store: ProtocolStore, verifier: StatementVerifier,
        signer: StatementSigner, statistics: ServerStatistics, workers: NIOThreadPool, logger: Logger,
        without: Set<Optimisation> = [], interposer: (any ServerInterposer)? = nil,
        reply: @escaping @Sendable (RequestTag, Reply) -> Void
    ) {
        self.parameters = parameters
        fragmentIndex = FragmentIndex(server.rawValue)
        replica = Mutex(Replica(parameters: parameters, server: server, incarnation: signer.incarnation))
        self.store = store
        self.verifier = verifier
        self.workers = workers
        self.interposer = interposer
        self.reply = reply
        pipeline = Mutex(nil)
        let made = StoragePipeline(
            store: store, signer: signer, verifier: verifier, statistics: statistics, logger: logger, without: without
        ) { [weak self] inputs in
            for input in inputs { self?.submit(input) }
        }
        pipeline.withLock { $0 = made }
    }

    /// Names who verifies committed versions; before that, and in modes that do not verify later, nobody does.
    func attach(_ verifier: VersionVerifier) {
        versionVerifier.withLock { $0 = verifier }
    }

    /// Runs an input through the machine and does what follows from it.
    func submit(_ input: ReplicaInput) {
        var effects: [ReplicaEffect] = []
        replica.withLock { replica in
            replica.handle(input, into: &effects)
            for case .store(let token, let change, let statements) in effects {
                pipeline.withLock { $0 }?.enqueue(
                    StoragePipeline.Item(token: token, change: kept(change), statements: statements))
            }
        }
        for effect in effects { perform(effect) }
    }

    /// The change, unless somebody has the server lose it.
    private func kept(_ change: ObjectChange?) -> ObjectChange? {
        guard let interposer, let change else { return change }
        return interposer.keeps(change) ? change : nil
    }

    /// Finishes what is queued for the disk.
    func shutdown() async {
        await pipeline.withLock { $0 }?.shutdown()
    }

    private func perform(_ effect: ReplicaEffect) {
        switch effect.step(in: store) {
        case .done(let outcome):
            finish(outcome)
        case .work(let work):
            guard work.costBytes > Self.inlineWorkSizeBytesMax else {
                finish(run(work))
                return
            }
            workers.submit { _ in self.finish(self.run(work)) }
        }
    }

    private func run(_ work: ReplicaWork) -> ReplicaOutcome {
        work.run(in: store, verifier: verifier, parameters: parameters, fragmentIndex: fragmentIndex)
    }

    private func finish(_ outcome: ReplicaOutcome) {
        switch outcome {
        case .reply(let tag, let answer):
            reply(tag, answer)
        case .input(let input):
            submit(input)
        case .store:
            // Queued while the machine was locked.
            break
        case .due(let keys):
            for start in stride(from: 0, to: keys.count, by: Self.dueObjectsPerInput) {
                submit(.due(Array(keys[start..<min(start + Self.dueObjectsPerInput, keys.count)])))
            }
        case .verifyVersions(let key, let isUrgent):
            versionVerifier.withLock { $0 }?.verify(key, isUrgent: isUrgent)
        }
    }
}
