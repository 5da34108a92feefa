// What a server does of its own accord that needs the other servers, started and stopped together.

import ClusterFiles
import Logging
import ProtocolStorage
import QuorumProtocol

/// Verification, repair, anti-entropy, scrubbing, auditing, and rebuilding.
struct BackgroundReads: Sendable {
    let peers: PeerReads
    let repairer: Repairer
    let antiEntropy: AntiEntropy
    let scrubber: Scrubber
    let auditor: Auditor
    let restater: Restater
    let evidence: EvidenceRecorder
    /// Of a server whose store was begun anew; nil: it was not.
    let rebuilder: Rebuilder?
    private let verifier: VersionVerifier
    private let threads: ServerThreads

    init(
        _ configuration: ServerConfiguration, incarnation: Incarnation, rebuilding mark: RebuildMark?,
        lists: ListService, peers: PeerReads,
        verificationThreads: VerificationThreads, store: ProtocolStore, losses: LossReport, threads: ServerThreads,
        host: ReplicaHost, statistics: ServerStatistics, logger: Logger
    ) {
        self.peers = peers
        self.threads = threads
        evidence = EvidenceRecorder(
            configuration.evidenceDirectory.map { EvidenceDirectory($0) }, parameters: configuration.parameters,
            verifier: peers.context.verifier, logger: logger)
        verifier = VersionVerifier(
            configuration, peers: peers, threads: verificationThreads, evidence: evidence, statistics: statistics,
            logger: logger,
            found: { [weak host] key, findings in host?.found(key, findings) })
        host.attach(verifier)
        let isDrained = Wakeup()
        repairer = Repairer(
            configuration, peers: peers, store: store, threads: threads, host: host, verifier: verifier,
            evidence: evidence, isDrained: isDrained, statistics: statistics, logger: logger)
        host.attach(repairer)
        antiEntropy = AntiEntropy(
            intervalMilliseconds: configuration.antiEntropyMilliseconds, reads: peers, host: host,
            statistics: statistics, logger: logger)
        scrubber = Scrubber(
            configuration, store: store.store, host: host, losses: losses, statistics: statistics, logger: logger)
        auditor = Auditor(
            intervalMilliseconds: configuration.auditMilliseconds, reads: peers, statistics: statistics, logger: logger)
        restater = Restater(reads: peers, host: host, store: store, statistics: statistics, logger: logger)
        host.attach(restater)
        if let mark, let files = configuration.rebuildFiles {
            rebuilder = Rebuilder(
                mark, files: files, incarnation: incarnation, reads: peers, host: host, lists: lists, store: store,
                repairer: repairer, repairs: isDrained, logger: logger)
        } else {
            rebuilder = nil
        }
    }

    /// Begins, once the server can be reached.
    func start() {
        antiEntropy.start()
        scrubber.start()
        auditor.start()
        rebuilder?.start()
    }

    /// Does what is due.
    func tick(milliseconds: UInt64) {
        repairer.tick(milliseconds: milliseconds)
        if !(rebuilder?.isTakingOver ?? false) { antiEntropy.tick() }
        restater.tick()
        evidence.tick(milliseconds: milliseconds, threads)
        peers.tick(milliseconds: milliseconds)
    }

    /// Begins nothing any more and ends what is under way.
    func stop() {
        rebuilder?.stop()
        scrubber.stop()
        auditor.stop()
        antiEntropy.stop()
        restater.stop()
        verifier.stop()
        repairer.stop()
        peers.close()
    }

    /// Waits for what is under way to end, and ends its threads.
    func shutdown() async {
        await rebuilder?.shutdown()
        await scrubber.shutdown()
        await auditor.shutdown()
        await antiEntropy.shutdown()
        await restater.shutdown()
        await repairer.shutdown()
        await verifier.shutdown()
        await peers.shutdown()
    }
}
