// What each server keeps for one client (docs/protocol.md, Accounts), where the access list says so.

/// A client's quotas at each server; nil where it has what every client has of whom nothing is said.
public struct ClientQuotas: Hashable, Sendable {
    /// Bytes of what it has written.
    public var storedBytes: UInt64?
    /// What it has not committed while less than half of the disk is free, in hundredths of the disk.
    public var uncommittedPercent: UInt8?
    /// Versions at objects of which none is committed.
    public var bareVersions: UInt32?

    /// The most hundredths of the disk.
    package static let uncommittedPercentMax: UInt8 = 100
    /// The most versions at objects without a commit: all can be listed.
    package static let bareVersionsMax: UInt32 = 1_000_000

    package init(storedBytes: UInt64? = nil, uncommittedPercent: UInt8? = nil, bareVersions: UInt32? = nil) {
        self.storedBytes = storedBytes
        self.uncommittedPercent = uncommittedPercent
        self.bareVersions = bareVersions
    }

    /// Whether nothing is said.
    var isEmpty: Bool { self == ClientQuotas() }

    /// Versions at objects of which none is committed.
    package func bareVersions(_ limits: ProtocolLimits) -> Int {
        bareVersions.map(Int.init) ?? limits.bareVersionsPerClientMax
    }
}

extension ClientQuotas {
    func encode(into encoder: inout CanonicalEncoder) {
        encoder.append(UInt8(storedBytes == nil ? 0 : 1))
        encoder.append(storedBytes ?? 0)
        encoder.append(UInt8(uncommittedPercent == nil ? 0 : 1))
        encoder.append(uncommittedPercent ?? 0)
        encoder.append(UInt8(bareVersions == nil ? 0 : 1))
        encoder.append(bareVersions ?? 0)
    }

    init(from decoder: inout CanonicalDecoder) throws(MalformedEncoding) {
        storedBytes = try Self.quota("quota of bytes", .max, from: &decoder)
        uncommittedPercent = try Self.quota(
            "quota of uncommitted bytes", Self.uncommittedPercentMax, from: &decoder)
        bareVersions = try Self.quota("quota of bare versions", Self.bareVersionsMax, from: &decoder)
    }

    private static func quota<Number: FixedWidthInteger & UnsignedInteger>(
        _ field: String, _ most: Number, from decoder: inout CanonicalDecoder
    ) throws(MalformedEncoding) -> Number? {
        let isSaid = try decoder.flag(field)
        let number: Number = try decoder.integer(field)
        guard isSaid ? number <= most : number == 0 else { throw .notCanonical(field: field) }
        return isSaid ? number : nil
    }
}
