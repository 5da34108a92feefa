// How many servers, how many of them may lie, and every threshold that follows: the one place where they are computed.

import ErasureCode
import Fingerprint

/// The fault model: m-of-n Reed-Solomon with n = m + 2f and m ≥ f + 1, and the thresholds of a Byzantine quorum system
/// with self-verifying replies (docs/protocol.md, Model; Malkhi & Reiter). A class, since it never changes and
/// everything has a copy of it.
public final class QuorumConfiguration: Hashable, Sendable {
    /// f: how many servers may behave arbitrarily.
    public let faults: Int
    /// m: how many fragments make a stripe.
    public let dataFragmentCount: Int
    /// The m-of-n code.
    public let code: ReedSolomonCode
    /// The n positions of an object, in order.
    public let positions: [Position]

    /// The most ways there may be to choose m + 1 of the n fragments. A cheat succeeds when any m + 1 inconsistent
    /// fragments pass together, which for each choice happens under at most L in 2^128 keys (L bytes a fragment): with
    /// too many choices, fingerprints of 16 bytes no longer bind (docs/protocol.md, Values).
    private static let inconsistentChoicesMax = 1 << 32

    /// - Throws: when f < 0, m < f + 1 or n = m + 2f > 255, or when n fragments are too many for fingerprints to bind.
    public init(faults: Int, dataFragmentCount: Int? = nil) throws(QuorumConfigurationError) {
        guard (0...84).contains(faults) else { throw .faultsOutOfRange(faults) }
        let m = dataFragmentCount ?? faults + 1
        guard m >= faults + 1 else { throw .tooFewDataFragments(m, faults: faults) }
        guard m <= 255 - 2 * faults else { throw .tooManyServers(dataFragments: m, faults: faults) }
        guard Self.choices(of: m + 1, from: m + 2 * faults) <= Self.inconsistentChoicesMax else {
            throw .fingerprintsTooShort(dataFragments: m, faults: faults)
        }
        self.faults = faults
        self.dataFragmentCount = m
        positions = (0..<m + 2 * faults).map { Position(UInt8($0)) }
        do {
            code = try ReedSolomonCode(dataFragmentCount: m, fragmentCount: m + 2 * faults)
        } catch {
            throw .tooManyServers(dataFragments: m, faults: faults)
        }
    }

    /// The binomial coefficient, or any number above the limit when it is above the limit; 0 when count > total.
    private static func choices(of count: Int, from total: Int) -> Int {
        guard count <= total else { return 0 }
        var product = 1
        for step in 1...max(1, min(count, total - count)) where count < total {
            // Exact: the product of `step` consecutive numbers is divisible by step!.
            product = product * (total - step + 1) / step
            if product > inconsistentChoicesMax { return product }
        }
        return product
    }

    /// n = m + 2f.
    public var serverCount: Int { dataFragmentCount + 2 * faults }
    /// q = n − f = m + f: two quorums meet in m ≥ f + 1 servers, so in a correct one.
    public var quorum: Int { serverCount - faults - (isPlanted(.quorumOneTooSmall) ? 1 : 0) }
    /// f + 1: so many servers cannot all be lying.
    public var vouchers: Int { faults + (isPlanted(.vouchersOneTooFew) ? 0 : 1) }

    /// The f positions that a partial write leaves without fragments as long as the others take theirs: the last ones,
    /// which hold parity. They are always the same of an object, so that versions which a client leaves behind lie at
    /// the same servers (docs/protocol.md, Partial writes); rotation makes them other servers for other objects.
    package var spares: [Position] { positions.suffix(faults) }

    /// Whether an object has this position.
    package func contains(_ position: Position) -> Bool { position.offset < serverCount }

    public static func == (left: QuorumConfiguration, right: QuorumConfiguration) -> Bool {
        left === right || left.faults == right.faults && left.dataFragmentCount == right.dataFragmentCount
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(faults)
        hasher.combine(dataFragmentCount)
    }
}

/// Why numbers make no quorum system.
public enum QuorumConfigurationError: Error, Equatable, Sendable, CustomStringConvertible {
    case faultsOutOfRange(Int)
    case tooFewDataFragments(Int, faults: Int)
    case tooManyServers(dataFragments: Int, faults: Int)
    /// There are more ways to choose m + 1 of n fragments than fingerprints of 16 bytes can rule out.
    case fingerprintsTooShort(dataFragments: Int, faults: Int)

    public var description: String {
        switch self {
        case .faultsOutOfRange(let faults):
            "faults = \(faults) is not between 0 and 84"
        case .tooFewDataFragments(let m, let faults):
            "data fragments = \(m) is below faults + 1 = \(faults + 1): two quorums could meet in liars only"
        case .tooManyServers(let m, let faults):
            "\(m) data fragments + 2 × \(faults) faults are more than the 255 servers that are possible"
        case .fingerprintsTooShort(let m, let faults):
            "with \(m) data fragments and \(faults) faults there are too many ways to combine fragments for "
                + "fingerprints of 16 bytes to bind them; choose fewer of either"
        }
    }
}

/// Bounds that keep what others can make a server hold finite (docs/protocol.md, Limits).
public struct ProtocolLimits: Hashable, Sendable {
    /// K: how many uncommitted versions one client may have at one object.
    public var pendingVersionsPerClientMax = 8
    /// How many superseded versions an object keeps for slow readers.
    public var retainedVersionsMax = 8
    /// How many versions above the highest sound one a client may have at one object that are unverified or poisonous;
    /// for the modes that verify later. They are verified at once before that.
    public var unverifiedVersionsPerClientMax = 16
    /// How many committed versions an object may have that are not verified, whoever wrote them; fewer where
    /// certificates are large.
    public var unverifiedVersionsMax = 64
    /// In the mode `lazy`: how long a committed version waits before the servers verify it of their own accord.
    public var verificationDelayMilliseconds: UInt64 = 1000
    /// How long a superseded version is kept for slow readers.
    public var retentionMilliseconds: UInt64 = 30_000
    /// The largest stripe: a power of two.
    public var stripeSizeBytesMax = 8 << 20
    /// How many requests may wait for one object at a server.
    public var requestsPerObjectMax = 1024
    /// How many of these may be one principal's while another's wait, too.
    public var requestsPerPrincipalMax = 16
    /// How many versions of a client a server holds at objects of which no version is committed there.
    public var bareVersionsPerClientMax = 10_000
    /// How many attempts of one client, and of all, are staged at one object.
    public var attemptsPerClientMax = StagedLimits.attemptsPerClientMax
    public var attemptsMax = StagedLimits.attemptsMax
    /// What attempts take of an object's record at most, in bytes: of one client the greater part of it, of all
    /// together this, and with the versions that hold them half as much again.
    public var stagedRecordSizeBytesMax = 512 << 10
    /// How many pieces of attempts one change gives back, or a few more.
    public var stagedDropsPerChangeMax = 4096
    /// How long what is staged is kept after its stager's last sign.
    public var stagedMilliseconds: UInt64 = 7 * 86_400_000
    /// How long a superseded version that is being read is kept after each sign of its reader.
    public var pinMilliseconds: UInt64 = 60_000
    /// Whether the servers at an object's last f positions want fragments that never came, too (docs/protocol.md,
    /// Repair).
    public var fillsSpares = false
    /// How often a client is given the list of its uncommitted versions at one object.
    public var listIntervalMilliseconds: UInt64 = 500
    /// How many such lists, of different objects, a client is given in that time.
    public var listsPerIntervalMax = 64

    public init() {}
}

/// All that the machines of one cluster share.
public struct ClusterParameters: Hashable, Sendable {
    /// The epochs that are known.
    public let history: ConfigurationHistory
    /// The thresholds of each group in the newest epoch.
    public let quorums: QuorumConfiguration
    /// How versions are verified in the newest epoch.
    public let mode: VerificationMode
    public var limits: ProtocolLimits

    public init(history: ConfigurationHistory, limits: ProtocolLimits = ProtocolLimits()) {
        self.history = history
        quorums = history.newest.quorums
        mode = history.newest.mode
        self.limits = limits
    }

    public init(_ configuration: Configuration, limits: ProtocolLimits = ProtocolLimits()) {
        self.init(history: ConfigurationHistory(configuration), limits: limits)
    }

    /// The newest epoch's configuration.
    public var configuration: Configuration { history.newest }

    /// Where an object lies in the newest epoch.
    public func placement(of key: ObjectKey) -> Placement { Placement(key, in: history.newest) }

    /// How many uncommitted versions of one client a correct server may come to hold at one object: K of its own, and
    /// those that another correct server counts among its K.
    package var pendingVersionsMax: Int { limits.pendingVersionsPerClientMax * quorums.quorum }

    /// What stripes may take of a record: less where unverified versions' certificates stand beside them.
    package var stagedRecordSizeBytesMax: Int {
        limits.stagedRecordSizeBytesMax / (mode.verifiesLater ? 4 : 1)
    }

    /// How many certificates of unverified versions a record may hold: twice as many, the most that COMMIT can bring
    /// about, take a quarter of what the store takes as a record, or less.
    package var unverifiedVersionsMax: Int {
        let statementSizeBytesMax = 85 + 16 * Digest256.sizeBytes
        let certificateSizeBytesMax = Certificate.headSizeBytes + quorums.quorum * statementSizeBytesMax
        return min(limits.unverifiedVersionsMax, max(1, (256 << 10) / (2 * certificateSizeBytesMax)))
    }
}
