// Everything a server has to know before it starts.

import ClusterFiles
import Crypto
import NIOCore
import ObjectStorage
import QuorumProtocol
import QuorumTransport

/// One server: who it is, whom it knows, where it listens and where its store lies.
package struct ServerConfiguration: Sendable {
    package var parameters: ClusterParameters
    /// What is known of the cluster at the start.
    package var cluster: ClusterDescription
    /// Where the newest lists are kept.
    package var listDirectory: String
    package var node: NodeID
    /// Name or address to listen on.
    package var host: String
    /// Port to listen on; 0 lets the system choose.
    package var port: Int
    package var identity: TransportIdentity
    /// Where a key and certificate that take its place are found; nil: nowhere.
    package var identityDirectory: String?
    /// The key that signs this server's statements.
    package var statementKey: P256.Signing.PrivateKey
    package var storeDirectory: String
    package var storage = StorageOptions()
    /// Where metrics are told over HTTP; nil: nowhere.
    package var metrics: NetworkAddress?
    /// How often the server looks at its clock, and for what is due.
    package var tickInterval = TimeAmount.seconds(1)
    /// How many descriptors the process may have open; the table of connections is sized by it. Nil: enough.
    package var descriptorLimit: Int?
    /// How many event loops carry the connections.
    package var eventLoopCount = 2
    /// How many threads verify.
    package var workerCount = 2
    /// How many threads read from the disk.
    package var readerCount = 8
    /// Bytes that requests and answers of all connections together may hold in memory.
    package var memoryBudgetBytes: Int
    /// How many connections there may be.
    package var admission = AdmissionLimits()
    /// What the verification of committed versions may take in idle time, in the mode `lazy`.
    package var verificationBudget = VerificationBudget()
    /// What repair may read of other servers a second while clients ask for nothing; otherwise a tenth. 0: no repair.
    package var repairBytesPerSecond = 256 << 20
    /// How long what is missing may still be on its way.
    package var repairDelayMilliseconds: UInt64 = 10_000
    /// In what time the store is read from end to end; 0: never. And where it is noted how far that is; nil: nowhere.
    package var scrubMilliseconds: UInt64 = 14 * 86_400_000
    package var scrubFile: String?
    /// Where what proves that others lied is kept; nil: nowhere.
    package var evidenceDirectory: String?
    /// In what time a group's servers audit all that it has; 0: never.
    package var auditMilliseconds: UInt64 = 7 * 86_400_000
    /// Where it is noted how far the server is whose store was begun anew; nil: nowhere, and none is.
    package var rebuildFiles: RebuildFiles?
    /// How often each server of its groups is asked for what this one has missed; 0: never.
    package var antiEntropyMilliseconds: UInt64 = 300_000
    /// How long a version waits for idle time before it is verified all the same.
    package var verificationPatienceMilliseconds: UInt64 = 5000
    /// Optimisations that the server leaves out, to measure what each is worth.
    package var without: Set<Optimisation> = []

    /// The configuration that a server's home directory holds.
    package init(home: ServerHome) {
        let entry = home.entry
        parameters = home.cluster.parameters
        cluster = home.cluster
        node = home.node
        host = entry.host
        port = entry.port
        identity = home.identity
        identityDirectory = home.directory
        listDirectory = home.listDirectory
        statementKey = home.statementKey
        storeDirectory = home.storeDirectory
        storage = StorageOptions(segmentSizeBytes: home.segmentSizeBytes)
        memoryBudgetBytes = home.memoryBudgetBytes
        verificationBudget = home.verificationBudget
        repairBytesPerSecond = home.repairBytesPerSecond
        repairDelayMilliseconds = UInt64(home.repairDelaySeconds) * 1000
        scrubMilliseconds = UInt64(home.scrubSeconds) * 1000
        auditMilliseconds = UInt64(home.auditSeconds) * 1000
        scrubFile = "\(home.directory)/scrub.json"
        evidenceDirectory = EvidenceDirectory(home: home.directory).path
        rebuildFiles = RebuildFiles(
            mark: home.rebuildFile, well: home.wellFile, rolledBack: home.rolledBackFile)
        antiEntropyMilliseconds = UInt64(home.antiEntropySeconds) * 1000
        parameters.limits.fillsSpares = home.fillsSpares
        metrics = home.metrics
        without = home.without
    }
}
