// What a server does of its own accord that needs the other servers, started and stopped together.

import Logging
import ProtocolStorage
import QuorumProtocol

/// Verification, repair, anti-entropy, and scrubbing.
struct BackgroundReads: Sendable {
    let peers: PeerReads
    let repairer: Repairer
    private let antiEntropy: AntiEntropy
    let scrubber: Scrubber
    private let verifier: VersionVerifier

    init(
        _ configuration: ServerConfiguration, peers: PeerReads, verificationThreads: VerificationThreads,
        store: ProtocolStore, losses: LossReport, threads: ServerThreads, host: ReplicaHost,
        statistics: ServerStatistics, logger: Logger
    ) {
        self.peers = peers
        verifier = VersionVerifier(
            configuration, peers: peers, threads: verificationThreads, statistics: statistics, logger: logger,
            found: { [weak host] key, findings in host?.found(key, findings) })
        host.attach(verifier)
        repairer = Repairer(
            configuration, peers: peers, store: store, threads: threads, host: host, verifier: verifier,
            statistics: statistics, logger: logger)
        antiEntropy = AntiEntropy(
            intervalMilliseconds: configuration.antiEntropyMilliseconds, reads: peers, host: host,
            statistics: statistics, logger: logger)
        scrubber = Scrubber(
            configuration, store: store.store, host: host, losses: losses, statistics: statistics, logger: logger)
    }

    /// Begins, once the server can be reached.
    func start() {
        antiEntropy.start()
        scrubber.start()
    }

    /// Does what is due.
    func tick(milliseconds: UInt64) {
        repairer.tick(milliseconds: milliseconds)
        antiEntropy.tick()
    }

    /// Begins nothing any more and ends what is under way.
    func stop() {
        scrubber.stop()
        antiEntropy.stop()
        verifier.stop()
        repairer.stop()
        peers.close()
    }

    /// Waits for what is under way to end, and ends its threads.
    func shutdown() async {
        await scrubber.shutdown()
        await antiEntropy.shutdown()
        await repairer.shutdown()
        await verifier.shutdown()
        await peers.shutdown()
    }
}
