// A server's home: its number, its keys, its store, and the configuration of its cluster.

import Crypto
import QuorumProtocol
import QuorumTransport

/// The directory of one server, loaded and checked against the cluster's configuration and lists:
/// `server.toml` (format, number; for a server that may run without defence against liars, faults; what verification in
/// idle time may take, verification_mib_per_second and verification_processor_percent; what requests and answers may
/// hold of memory, memory_mib; the size of the journal's segments, segment_mib; where metrics are to be had, metrics;
/// for measurements, without),
/// `key.pem`, `certificate.pem`, `statement-key.pem`, `store/`, and `lists/` with the newest lists that the server has
/// seen. `cluster.toml` and the lists beside it lie in it or two directories up.
package struct ServerHome: Sendable {
    /// The format of server.toml.
    static let format = 2
    /// What the key `faults` may say: which faults this server is told to reckon with. Only a server that is told to
    /// reckon with nothing but crashes runs in a cluster whose mode is `none`.
    private static let byzantineFaults = "byzantine"
    static let crashFaults = "crash"
    /// What the key `without` may name.
    private static let withoutAllowed = Optimisation.allCases.filter(\.isServers)
    private static let bytesKey = "verification_mib_per_second"
    private static let processorKey = "verification_processor_percent"
    private static let repairKey = "repair_mib_per_second"
    private static let repairDelayKey = "repair_delay_seconds"
    private static let scrubKey = "scrub_seconds"
    private static let auditKey = "audit_seconds"
    private static let antiEntropyKey = "anti_entropy_seconds"
    private static let sparesKey = "spares"
    private static let sparesFilled = "filled"
    private static let sparesLeftOut = "left out"
    private static let memoryKey = "memory_mib"
    private static let segmentKey = "segment_mib"
    private static let metricsKey = "metrics"
    private static let faultsExpected = "\"byzantine\" or \"crash\""

    /// The home's path.
    package let directory: String
    /// The cluster this server belongs to.
    package let cluster: ClusterDescription
    /// Why lists beside cluster.toml were not taken: the server has seen newer ones, which it goes by.
    package let complaints: [ConfigurationError]
    /// Where the newest lists that it has seen are kept.
    package let listDirectory: String
    /// This server's own entry in the configuration and the list of addresses.
    package let entry: ServerEntry
    /// The key and certificate of its connections.
    package let identity: TransportIdentity
    /// The key that it signs statements with.
    package let statementKey: P256.Signing.PrivateKey
    /// Where its durable store lies.
    package let storeDirectory: String
    /// What this server's verification of committed versions may take in idle time.
    package let verificationBudget: VerificationBudget
    /// What repair may read of other servers a second while clients ask for nothing; 0: nothing is repaired.
    package let repairBytesPerSecond: Int
    /// How old a want is before it is looked after.
    package let repairDelaySeconds: Int
    /// In what time the store is read from end to end; 0: never.
    package let scrubSeconds: Int
    /// In what time the servers of a group audit all that it has; 0: never.
    package let auditSeconds: Int
    /// How often each server of its groups is asked for what this one has missed; 0: never.
    package let antiEntropySeconds: Int
    /// Whether this server wants fragments that partial writes left out here, too.
    package let fillsSpares: Bool
    /// Bytes that requests and answers of all connections together may hold in memory.
    package let memoryBudgetBytes: Int
    /// Size of a segment of the store's journal.
    package let segmentSizeBytes: Int
    /// Where the server tells its metrics over HTTP; nil: nowhere.
    package let metrics: NetworkAddress?
    /// Optimisations that this server is told to leave out.
    package let without: Set<Optimisation>

    /// What server.toml may say.
    static let fileKeys: Set<String> = [
        "format", "number", "faults", bytesKey, processorKey, repairKey, repairDelayKey, antiEntropyKey, scrubKey,
        auditKey,
        sparesKey, memoryKey, segmentKey, metricsKey, "without",
    ]

    /// Loads the home at `path`.
    ///
    /// - Throws: what is wrong, and where; keys that the lists do not name for this server are.
    package init(path: String) throws(ConfigurationError) {
        let files = HomeFiles(path)
        let file = try Self.file(files)
        let number = try Self.number(file)
        let clusterFile = files.clusterFile
        let (cluster, complaints) = try KeptLists(files.lists).newest(ClusterDescription(contentsOf: clusterFile))
        guard let raw = UInt16(exactly: number), let entry = cluster.server(NodeID(raw)) else {
            throw file.invalid("number", number, "\(clusterFile) lists no server of this number")
        }
        let faults = try file.text("faults", expected: Self.faultsExpected, default: Self.byzantineFaults)
        guard [Self.byzantineFaults, Self.crashFaults].contains(faults) else {
            throw file.invalid("faults", faults, "it is \(Self.faultsExpected)")
        }
        guard cluster.parameters.mode.isSigned || faults == Self.crashFaults else {
            throw file.invalid(
                "faults", faults,
                "\(clusterFile) says mode = \"none\", in which nobody's lies are noticed; "
                    + "faults = \"crash\" accepts that")
        }

        directory = files.directory
        self.cluster = cluster
        self.complaints = complaints
        listDirectory = files.lists
        self.entry = entry
        identity = try Self.identity(in: files.directory, of: entry.node, cluster)
        statementKey = try Self.statementKey(files.statementKey)
        guard cluster.lists.keys.contents.contains(statementKey.publicKey, of: entry.node) else {
            throw .foreignStatementKey(
                path: files.statementKey, listedIn: cluster.keysFile, owner: entry.node.description)
        }
        storeDirectory = files.store
        verificationBudget = try Self.verificationBudget(file)
        repairBytesPerSecond =
            try Self.share(
                file, Self.repairKey, "what repair may read of other servers in MiB a second, 0 for no repair",
                in: 0...100_000, default: 256) << 20
        repairDelaySeconds = try Self.share(
            file, Self.repairDelayKey, "after how many seconds what is missing is repaired", in: 0...86_400,
            default: 10)
        antiEntropySeconds = try Self.share(
            file, Self.antiEntropyKey, "how often other servers are asked for what was missed, in seconds, 0 for never",
            in: 0...86_400, default: 300)
        scrubSeconds = try Self.share(
            file, Self.scrubKey, "in how many seconds all that is stored is read, 0 for never", in: 0...31_536_000,
            default: 14 * 86_400)
        auditSeconds = try Self.share(
            file, Self.auditKey, "in how many seconds a group's servers audit all that it has, 0 for never",
            in: 0...31_536_000, default: 7 * 86_400)
        fillsSpares = try Self.fillsSpares(file)
        memoryBudgetBytes = try Self.memoryBudgetBytes(
            file, stripeSizeBytes: cluster.parameters.limits.stripeSizeBytesMax)
        segmentSizeBytes = try Self.segmentSizeBytes(file)
        metrics = try Self.metrics(file)
        without = try Self.without(file)
    }

    package var node: NodeID { entry.node }
    /// Where it is noted how far the server is whose store was begun anew; absent unless it was.
    package var rebuildFile: String { HomeFiles(directory).rebuildMark }
    /// Where it is noted which life of that store is well again.
    package var wellFile: String { HomeFiles(directory).wellMark }
    /// Where it is noted which life of the store was found to have gone back.
    package var rolledBackFile: String { HomeFiles(directory).rolledBackMark }

    private static func verificationBudget(_ file: StrictTable) throws(ConfigurationError) -> VerificationBudget {
        let budget = VerificationBudget()
        return VerificationBudget(
            bytesPerSecond: try share(
                file, bytesKey, "what verification in idle time may read in MiB a second", in: 1...100_000,
                default: budget.bytesPerSecond >> 20) << 20,
            processorPercent: try share(
                file, processorKey, "what verification in idle time may take, in hundredths of one processor",
                in: 1...200,
                default: budget.processorPercent))
    }

    private static func share(
        _ file: StrictTable, _ key: String, _ what: String, in allowed: ClosedRange<Int>, default: Int
    ) throws(ConfigurationError) -> Int {
        let expected = "\(what), an integer from \(allowed.lowerBound) to \(allowed.upperBound)"
        let share = try file.integer(key, expected: expected, default: `default`)
        guard allowed.contains(share) else { throw file.invalid(key, share, "it is \(expected)") }
        return share
    }

    /// At least sixteen stripes, since a share must have room for the largest message.
    private static func memoryBudgetBytes(
        _ file: StrictTable, stripeSizeBytes: Int
    ) throws(ConfigurationError) -> Int {
        let allowed = max(64, stripeSizeBytes >> 16)...(1 << 20)
        let expected =
            "what requests and answers may hold of memory in MiB, an integer from \(allowed.lowerBound) to "
            + "\(allowed.upperBound) (at least sixteen stripes)"
        let budget = try file.integer(memoryKey, expected: expected, default: max(512, stripeSizeBytes >> 14))
        guard allowed.contains(budget) else { throw file.invalid(memoryKey, budget, "it is \(expected)") }
        return budget << 20
    }

    private static func fillsSpares(_ file: StrictTable) throws(ConfigurationError) -> Bool {
        let expected =
            "\"\(sparesLeftOut)\" or \"\(sparesFilled)\", what becomes of fragments that partial writes leave out"
        let spares = try file.text(sparesKey, expected: expected, default: sparesLeftOut)
        guard [sparesLeftOut, sparesFilled].contains(spares) else {
            throw file.invalid(sparesKey, spares, "it is \(expected)")
        }
        return spares == sparesFilled
    }

    private static func segmentSizeBytes(_ file: StrictTable) throws(ConfigurationError) -> Int {
        let allowed = 1...1024
        let expected =
            "the size of the journal's segments in MiB, an integer from \(allowed.lowerBound) to "
            + "\(allowed.upperBound)"
        let size = try file.integer(segmentKey, expected: expected, default: 64)
        guard allowed.contains(size) else { throw file.invalid(segmentKey, size, "it is \(expected)") }
        return size << 20
    }

    /// An empty text is nowhere.
    private static func metrics(_ file: StrictTable) throws(ConfigurationError) -> NetworkAddress? {
        let text = try file.text(metricsKey, expected: "\"host:port\", where metrics are told", default: "")
        guard !text.isEmpty else { return nil }
        guard let address = NetworkAddress(text) else {
            throw file.invalid(metricsKey, text, "write \"host:port\", with a port from 1 to 65535")
        }
        return address
    }

    private static func without(_ file: StrictTable) throws(ConfigurationError) -> Set<Optimisation> {
        let allowed = withoutAllowed.map { "\"\($0)\"" }.joined(separator: ", ")
        let expected = "an array of some of \(allowed)"
        var without: Set<Optimisation> = []
        for name in try file.strings("without", expected: expected, default: []) {
            guard let optimisation = withoutAllowed.first(where: { $0.rawValue == name }) else {
                throw file.invalid("without", name, "a server can leave out \(allowed)")
            }
            guard without.insert(optimisation).inserted else {
                throw file.invalid("without", name, "it is named twice")
            }
        }
        return without
    }

    /// A home's server.toml, of which nothing is believed yet but the format.
    static func file(_ files: HomeFiles) throws(ConfigurationError) -> StrictTable {
        let advice = "a server's home is DIR/servers/NUMBER of a cluster that 'solidus cluster init DIR' made"
        let file = try StrictTable(
            parsing: TextFile.read(files.serverFile, advice: advice), path: files.serverFile, keys: fileKeys)
        try file.checkFormat(format)
        return file
    }

    /// The number of the server whose file it is.
    static func number(_ file: StrictTable) throws(ConfigurationError) -> Int {
        try file.integer("number", expected: "the server's number, counted from 0")
    }

    static func statementKey(_ path: String) throws(ConfigurationError) -> P256.Signing.PrivateKey {
        let bytes = try TextFile.read(path, advice: "restore it from where the cluster was made", isPrivate: true)
        let pem = String(decoding: bytes, as: UTF8.self)
        guard let key = try? P256.Signing.PrivateKey(pemRepresentation: pem) else {
            throw .unusableIdentity(
                reason: "\(path): not a P-256 private key in PEM; restore the file from where the cluster was made")
        }
        return key
    }
}

extension ServerHome {
    /// The key and the certificate that lie in a server's home now, if they are those that the lists name.
    package static func identity(
        in directory: String, of node: NodeID, _ cluster: ClusterDescription
    ) throws(ConfigurationError) -> TransportIdentity {
        try HomeFiles(directory).identity(
            pinned: cluster.server(node)?.pins ?? [], owner: node.description, listedIn: cluster.addressesFile)
    }
}
